"""The fold of mean and standard deviation: exact where it fits, hands off where it does not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.front import FRONT_MEAN_OUTPUT, FRONT_OFFSET_OUTPUT, add_front
from export.names import name_layers
from export.rules import apply_rules
from export.rules.fold_front_into_conv import FoldFrontIntoConv, fold
from tests.export.graphs import (
    answer,
    color_images,
    color_spec,
    constant_names,
    distance,
    in_bytes,
    normal,
    op_types,
    parse,
)

RULE = "fold_front_into_conv"
RULES = (FoldFrontIntoConv(),)
KERNEL = (2, 3, 3, 2)
MAPS = "float[batch,maps,high,wide] conv"


def with_front(body: str, outputs: str = MAPS, **constants: np.ndarray) -> onnx.ModelProto:
    """A float graph behind the uint8 front, its layers named after their outputs."""
    model = parse(body, outputs, **{"w": normal(*KERNEL), **constants})
    name_layers(model)
    add_front(model, color_spec())
    onnx.checker.check_model(model, full_check=True)
    return model


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    other = onnx.ModelProto()
    other.CopyFrom(model)
    return other


@pytest.mark.parametrize(
    "attributes",
    ["", "<strides=[2,1]>", "<dilations=[1,2]>", "<pads=[0,0,0,0]>", '<auto_pad="VALID">', "<group=1>"],
)
@pytest.mark.parametrize("bias", [False, True])
def test_an_unpadded_convolution_takes_the_front_in_and_answers_as_before(attributes: str, bias: bool) -> None:
    constants = {"b": normal(2, seed=1)} if bias else {}
    before = with_front(f"conv = Conv {attributes} (image, w{', b' if bias else ''})", **constants)
    after = copy(before)
    assert apply_rules(after, RULES) == ((RULE, 1, ""),)
    onnx.checker.check_model(after, full_check=True)
    assert op_types(after) == ["Cast", "Transpose", "Sub", "Conv"]
    images = color_images(3)
    assert distance(answer(before, images)[0], answer(after, images)[0]) < 1e-5


@pytest.mark.parametrize("bias", [False, True])
def test_no_constant_is_left_over_and_each_keeps_its_shape(bias: bool) -> None:
    model = with_front(f"conv = Conv (image, w{', b' if bias else ''})", **({"b": normal(2)} if bias else {}))
    apply_rules(model, RULES)
    assert constant_names(model) == {"w", "b" if bias else "conv.bias", "front/128"}
    assert constant_names(model) <= {name for node in model.graph.node for name in node.input}
    assert [tuple(initializer.dims) for initializer in model.graph.initializer if initializer.name == "w"] == [KERNEL]


@pytest.mark.parametrize("inputs", [("square", "square"), ("square, c", "other_square, c")])
def test_constants_that_others_share_stay_as_they_are(inputs: tuple[str, str]) -> None:
    """Exporters keep equal constants once."""
    body = f"conv = Conv (image, {inputs[0]}) other = Conv (conv, {inputs[1]})"
    constants = {name: normal(3, 3, 2, 2, seed=seed) for seed, name in enumerate(("square", "other_square"))}
    constants["c"] = normal(3)
    used = {
        name: array for name, array in constants.items() if name in body.replace(",", " ").replace(")", " ").split()
    }
    before, after = (with_front(body, "float[batch,o,p,q] other", **used) for _ in range(2))
    assert apply_rules(after, RULES) == ((RULE, 1, ""),)
    onnx.checker.check_model(after, full_check=True)
    images = color_images(3)
    assert distance(answer(before, images)[0], answer(after, images)[0]) < 1e-5


def test_layers_keep_their_names_and_their_order() -> None:
    body = "conv = Conv (image, w) relu = Relu (conv) second = Conv (relu, v)"
    model = with_front(body, "float[batch,maps,high,wide] second", v=normal(2, 2, 1, 1))
    before = [node.name for node in model.graph.node]
    apply_rules(model, RULES)
    after = [node.name for node in model.graph.node]
    assert after == ["front/cast", "front/transpose", "front/offset", "conv", "relu", "second"]
    assert set(before) - set(after) == {"front/scale"}


def test_a_later_convolution_is_left_alone() -> None:
    second = normal(2, 2, 1, 1)
    body = "conv = Conv (image, w) relu = Relu (conv) second = Conv <pads=[1,1,1,1]> (relu, v)"
    model = with_front(body, "float[batch,maps,high,wide] second", v=second)
    assert apply_rules(model, RULES) == ((RULE, 1, ""),)
    (kept,) = (entry for entry in model.graph.initializer if entry.name == "v")
    assert np.array_equal(onnx.numpy_helper.to_array(kept), second)


def test_what_the_convolution_takes_is_exactly_the_pixel_minus_128() -> None:
    model = with_front("conv = Conv (image, w)")
    apply_rules(model, RULES)
    images = color_images(4)
    images.reshape(-1)[:256] = np.arange(256)
    (taken,) = answer(model, images, FRONT_OFFSET_OUTPUT)
    assert np.array_equal(taken, images.astype(np.float32).transpose(0, 3, 1, 2) - 128)
    (conv,) = (node for node in model.graph.node if node.op_type == "Conv")
    assert conv.input[0] == FRONT_OFFSET_OUTPUT


def test_a_second_run_finds_nothing_to_do() -> None:
    model = with_front("conv = Conv (image, w)")
    apply_rules(model, RULES)
    once = in_bytes(model)
    assert apply_rules(model, RULES) == ((RULE, 0, ""),)
    assert in_bytes(model) == once


PADS = "conv pads with zeros, which are not 0 before normalization"
ELSEWHERE = "the normalized image is used elsewhere too"


@pytest.mark.parametrize(
    ("body", "outputs", "reason"),
    [
        ("conv = Conv <pads=[1,1,1,1]> (image, w)", MAPS, PADS),
        ("conv = Conv <pads=[0,0,0,1]> (image, w)", MAPS, PADS),
        ('conv = Conv <auto_pad="SAME_UPPER"> (image, w)', MAPS, PADS),
        ('conv = Conv <auto_pad="SAME_LOWER"> (image, w)', MAPS, PADS),
        ("conv = Conv <group=3> (image, depthwise)", MAPS, "conv has groups"),
        ("v = Neg (w) conv = Conv (image, v)", MAPS, "the weight of conv is not constant"),
        ("c = Neg (b) conv = Conv (image, w, c)", MAPS, "the weight of conv is not constant"),
        ("conv = Conv (image, w) other = Relu (image)", f"{MAPS}, float[batch,3,6,5] other", ELSEWHERE),
        ("conv = Conv (image, w) other = Conv (image, w)", f"{MAPS}, float[batch,o,p,q] other", ELSEWHERE),
    ],
)
def test_where_it_does_not_fit_nothing_changes_and_the_report_says_why(body: str, outputs: str, reason: str) -> None:
    constants = {
        "depthwise": normal(3, 1, 2, 2),
        "b": normal(2),
        "c": normal(2),
    }
    used = {name: array for name, array in constants.items() if f"{name})" in body or f"{name}," in body}
    if "c = Neg" in body:
        del used["c"]
    model = with_front(body, outputs, **used)
    before = in_bytes(model)
    found = apply_rules(model, RULES)
    assert in_bytes(model) == before
    assert found == ((RULE, 0, reason),)


@pytest.mark.parametrize("tensor", ["front/normalized", FRONT_MEAN_OUTPUT])
def test_a_normalized_image_that_the_graph_gives_out_is_used_elsewhere(tensor: str) -> None:
    model = with_front("conv = Conv (image, w)")
    model.graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
    before = in_bytes(model)
    assert apply_rules(model, RULES) == ((RULE, 0, ELSEWHERE),)
    assert in_bytes(model) == before


@pytest.mark.parametrize(
    "body",
    [
        "conv = Relu (image)",
        "flat = Neg (image) conv = Conv (flat, w)",
        "conv = AveragePool <kernel_shape=[2,2]> (image)",
    ],
)
def test_a_graph_without_the_pattern_has_no_reason(body: str) -> None:
    model = with_front(body)
    before = in_bytes(model)
    assert apply_rules(model, RULES) == ((RULE, 0, ""),)
    assert in_bytes(model) == before


def test_a_model_that_subtracts_and_scales_by_itself_is_not_taken_for_the_front() -> None:
    body = "less = Sub (image, m) more = Mul (less, s) conv = Conv (more, w)"
    constants = {"m": normal(1, 3, 1, 1), "s": normal(1, 3, 1, 1)}
    model = with_front(body, **constants)
    assert apply_rules(model, RULES) == ((RULE, 0, ""),)


def convolve(
    pixels: NDArray[np.float64], weight: NDArray[np.floating], bias: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Unpadded, in float64: (in, h, w) to (out, h', w')."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels, weight.shape[2:], axis=(1, 2))
    maps: NDArray[np.float64] = np.einsum("ihwkl,oikl->ohw", windows, weight.astype(np.float64))
    return maps + bias.astype(np.float64)[:, None, None]


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """A weight, a bias, a mean and a scale in pixel units, and an image."""
    outputs, channels, high, wide = (draw(st.integers(1, 3)) for _ in range(4))
    small = st.floats(-4, 4, width=32)
    weight = draw(arrays(np.float32, (outputs, channels, high, wide), elements=small))
    bias = draw(arrays(np.float32, outputs, elements=small))
    mean = draw(arrays(np.float32, channels, elements=st.floats(0, 255, width=32)))
    std = draw(arrays(np.float32, channels, elements=st.floats(1, 255, width=32)))
    pixels = draw(arrays(np.uint8, (channels, high + 1, wide + 2)))
    return weight, bias, mean, 1 / std, pixels


@settings(max_examples=100)
@given(cases())
def test_the_folded_convolution_is_the_normalized_one(case: tuple[np.ndarray, ...]) -> None:
    weight, bias, mean, scale, pixels = case
    normalized = (pixels - mean.astype(np.float64)[:, None, None]) * scale.astype(np.float64)[:, None, None]
    new_weight, new_bias = fold(weight, bias, mean, scale)
    assert (new_weight.dtype, new_bias.dtype) == (np.float32, np.float32)
    assert (new_weight.shape, new_bias.shape) == (weight.shape, bias.shape)
    expected = convolve(normalized, weight, bias)
    actual = convolve(pixels.astype(np.float64) - 128, new_weight, new_bias)
    # Only the folded numbers are rounded to float32: half a unit in the last place of every term.
    terms = np.abs(weight * scale[None, :, None, None]).sum(axis=(1, 2, 3)).max() * 256 + np.abs(bias).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=float(terms) * 2**-22 + 1e-30)


def test_the_fold_is_computed_in_float64() -> None:
    """In float32 the sum of a large window of equal signs would drift."""
    weight = np.full((1, 3, 64, 64), 0.1, np.float32)
    mean, scale = np.array([3.3, 77.7, 250.1], np.float32), np.full(3, 1 / 57, np.float32)
    exact = float(np.float64(weight[0, 0, 0, 0]) * np.float64(scale[0]) * 4096 * (128 - mean.astype(np.float64)).sum())
    _, bias = fold(weight, np.zeros(1, np.float32), mean, scale)
    assert bias[0] == np.float32(exact)
