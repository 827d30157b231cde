"""Q/DQ pairs become one quantizer each, with the same values, whatever their integers and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runtime.backends import openvino_quantizers
from runtime.backends.openvino import core, openvino
from runtime.backends.openvino_quantizers import fuse_quantizers
from runtime.cpu import X86, cpu_identity

SCALE = 0.03
VALUES = np.random.default_rng(0).standard_normal((2, 6, 4, 4)).astype(np.float32) * 2


def pair(value: Any, kind: str = "i8", zero: int = 0, half: bool = False) -> Any:
    """As OpenVINO reads QuantizeLinear and DequantizeLinear."""
    ops = openvino().opset13
    low, high = (0, 255) if kind == "u8" else (-128, 127)
    ends = [np.float32(end * SCALE) for end in (low - zero, high - zero)]
    steps = ops.fake_quantize(value, *ends, np.float32(low), np.float32(high), 256)
    dtype = np.float16 if half else np.float32
    integers = ops.convert(ops.convert(steps, kind), "f16" if half else "f32")
    return ops.multiply(ops.subtract(integers, np.array(zero, dtype)), np.array(SCALE, dtype))


def model_of(make: Any) -> Any:
    """A model of one input, float32 (2, 6, 4, 4)."""
    ov = openvino()
    given = ov.opset13.parameter([2, 6, 4, 4], np.float32)
    return ov.Model([make(given)], [given], "net")


def run(model: Any) -> np.ndarray:
    return np.asarray(core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([VALUES])[0])


def quantized(kind: str, zero: int) -> np.ndarray:
    low, high = (0, 255) if kind == "u8" else (-128, 127)
    return (np.clip(np.rint(VALUES / np.float32(SCALE)) + zero, low, high) - zero) * np.float32(SCALE)


@pytest.mark.parametrize(("kind", "zero"), [("i8", 0), ("u8", 128), ("u8", 0)])
@pytest.mark.parametrize("half", [False, True])
def test_a_pair_is_one_quantizer_that_gives_the_same(kind: str, zero: int, half: bool) -> None:
    ops = openvino().opset13
    model = model_of(lambda value: ops.convert(pair(value, kind, zero, half), "f32"))
    assert fuse_quantizers(openvino(), model) == 1
    names = [node.get_type_name() for node in model.get_ops()]
    assert names.count("FakeQuantize") == 1 and not {"Subtract", "Multiply"} & set(names)
    np.testing.assert_allclose(run(model), quantized(kind, zero), atol=2e-3 if half else 1e-6)


def test_behind_a_concat_a_layer_in_int8_gives_what_it_should() -> None:
    ops = openvino().opset13
    weight = np.random.default_rng(1).integers(-64, 65, (3, 12, 1, 1)).astype(np.int8)

    def make(value: Any) -> Any:
        joined = pair(ops.concat([value, value], 1))
        weights = ops.multiply(ops.convert(ops.constant(weight), "f32"), np.float32(0.01))
        return ops.convolution(joined, weights, [1, 1], [0, 0], [0, 0], [1, 1])

    model = model_of(make)
    assert fuse_quantizers(openvino(), model) == 1
    steps = np.clip(np.rint(VALUES / np.float32(SCALE)), -127, 128)
    wanted = np.einsum("oi,nihw->nohw", weight[:, :, 0, 0] * 0.01, np.concatenate([steps * SCALE] * 2, 1))
    np.testing.assert_allclose(run(model), wanted, atol=1e-4)


@pytest.mark.parametrize("other", ["scales", "levels", "float", "no pair"])
def test_what_is_no_such_pair_is_left_alone(other: str) -> None:
    ops = openvino().opset13

    def make(value: Any) -> Any:
        if other == "scales":  # one for each channel
            steps = ops.fake_quantize(value, np.float32(-3), np.float32(3), np.float32(-128), np.float32(127), 256)
            scales = np.linspace(0.01, 0.06, 6, dtype=np.float32).reshape(1, 6, 1, 1)
            return ops.multiply(ops.convert(ops.convert(steps, "i8"), "f32"), scales)
        if other == "levels":
            steps = ops.fake_quantize(value, np.float32(-3), np.float32(3), np.float32(-8), np.float32(7), 16)
            return ops.multiply(ops.convert(ops.convert(steps, "i8"), "f32"), np.float32(0.4))
        return ops.multiply(value, np.float32(2) if other == "float" else value)

    model = model_of(make)
    before = run(model)
    assert fuse_quantizers(openvino(), model) == 0
    np.testing.assert_array_equal(run(model), before)


def test_what_comes_of_shapes_alone_is_left_to_be_folded() -> None:
    """As the sines of positions are, which some networks make anew for each size of image."""
    ops = openvino().opset13
    weight = np.random.default_rng(2).standard_normal((6, 1, 1, 1)).astype(np.float32)

    def make(value: Any) -> Any:
        counts = ops.convert(ops.shape_of(value), "f32")
        waves = ops.reshape(ops.concat([ops.sin(counts), ops.cos(counts)], 0), np.array([2, 1, 1, 4]), False)
        return ops.add(ops.convolution(pair(waves), weight, [1, 1], [0, 0], [0, 0], [1, 1]), pair(value))

    model = model_of(make)
    assert fuse_quantizers(openvino(), model) == 1
    assert np.isfinite(run(model)).all()


NEVER_NEGATIVE: dict[str, tuple[Callable[[Any, Any], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "relu": (lambda ops, value: ops.relu(value), lambda x: x.clip(0)),
    "clip": (lambda ops, value: ops.minimum(ops.maximum(value, np.float32(0)), np.float32(6)), lambda x: x.clip(0, 6)),
    "moved": (lambda ops, value: ops.transpose(ops.relu(value), [0, 3, 2, 1]), lambda x: x.clip(0).swapaxes(1, 3)),
    "sigmoid": (lambda ops, value: ops.sigmoid(value), lambda x: 1 / (1 + np.exp(-x))),
    "gated": (
        lambda ops, value: ops.multiply(ops.sigmoid(value), ops.relu(value)),
        lambda x: x.clip(0) / (1 + np.exp(-x)),
    ),
    "joined": (lambda ops, value: ops.concat([ops.relu(value)] * 2, 1), lambda x: np.concatenate([x.clip(0)] * 2, 1)),
}


@pytest.mark.parametrize("name", NEVER_NEGATIVE)
def test_what_is_never_negative_takes_all_levels_of_unsigned_integers_for_the_same_range(name: str) -> None:
    make, expected = NEVER_NEGATIVE[name]
    model = model_of(lambda value: pair(make(openvino().opset13, value)))
    assert fuse_quantizers(openvino(), model) == 1
    np.testing.assert_allclose(limits(model), (0, 127 * SCALE), rtol=1e-6)
    step = np.float32(127 * SCALE / 255)
    steps = np.clip(np.rint(expected(VALUES) / step), 0, 255)
    assert name == "sigmoid" or steps.max() == 255  # some are clipped
    np.testing.assert_allclose(run(model), steps * step, atol=1e-6)


HARDLY_NEGATIVE: dict[str, tuple[float, Callable[[Any, Any], Any]]] = {
    "hard swish": (-0.375, lambda ops, value: ops.hswish(value)),
    "swish": (-0.2785, lambda ops, value: ops.multiply(value, ops.sigmoid(value))),
    "swish, the other way round": (-0.2785, lambda ops, value: ops.multiply(ops.sigmoid(value), value)),
    "gelu": (-0.17, lambda ops, value: ops.gelu(value, "erf")),
    "gelu by tanh": (-0.1701, lambda ops, value: ops.gelu(value, "tanh")),
    "gated": (
        -0.375,
        lambda ops, value: ops.multiply(ops.hswish(value), ops.hard_sigmoid(value, *np.float32([0.2, 0.5]))),
    ),
    "joined": (-0.375, lambda ops, value: ops.concat([ops.relu(value), ops.hswish(value)], 1)),
    "cut": (-0.375, lambda ops, value: ops.split(ops.hswish(value), 1, 2).output(1)),
    "at least -1": (-1, lambda ops, value: ops.maximum(value, np.float32(-1))),
}


@pytest.mark.skipif(cpu_identity()["machine"] not in X86, reason="it is about x86")
@pytest.mark.parametrize("name", HARDLY_NEGATIVE)
def test_what_is_hardly_negative_gets_a_zero_point_by_what_it_is_at_least(name: str) -> None:
    lowest, make = HARDLY_NEGATIVE[name]
    plain = run(model_of(lambda value: make(openvino().opset13, value)))
    model = model_of(lambda value: pair(make(openvino().opset13, value)))
    assert fuse_quantizers(openvino(), model) == 1
    low, high = limits(model)
    step = (high - low) / 255
    assert high == pytest.approx(127 * SCALE) and lowest - 1.5 * step < low < lowest <= plain.min() + 1e-3
    assert -low / step == pytest.approx(round(-low / step), abs=1e-4)  # a whole number, so that 0 stays 0
    steps = np.clip(np.rint(plain / step), round(low / step), 255 + round(low / step))
    np.testing.assert_allclose(run(model), steps * step, atol=step * 1.01 if "wish" in name else 1e-5)
    assert np.abs(run(model) - plain)[plain < high].max() < 0.51 * step


def test_nodes_of_one_name_are_told_apart() -> None:
    ops = openvino().opset13

    def make(value: Any) -> Any:
        signed, relu = ops.prelu(value, np.float32(2)), ops.relu(value)
        for node in (signed, relu):
            node.set_friendly_name("same")
        return ops.add(ops.add(pair(signed), relu), np.float32(0))

    model = model_of(make)
    assert fuse_quantizers(openvino(), model) == 1
    assert limits(model)[0] < -120 * SCALE


@pytest.mark.parametrize("half", [False, True])
def test_what_is_quantized_may_be_quantized_again(half: bool) -> None:
    ops = openvino().opset13
    model = model_of(lambda value: ops.convert(pair(pair(ops.relu(value), half=half), half=half), "f32"))
    assert fuse_quantizers(openvino(), model) == 2
    np.testing.assert_allclose(run(model), VALUES.clip(0, 127 * SCALE), atol=0.8 * SCALE)


SIGNED: dict[str, Callable[[Any, Any], Any]] = {
    "tanh": lambda ops, value: ops.multiply(ops.tanh(value), np.float32(127 * SCALE)),
    "leaky": lambda ops, value: ops.prelu(value, np.float32(0.1)),
    "at least -5": lambda ops, value: ops.maximum(value, np.float32(-5)),
    "gated by another": lambda ops, value: ops.multiply(
        ops.prelu(value, np.float32(2)), ops.sigmoid(ops.negative(value))
    ),
    "joined": lambda ops, value: ops.concat([ops.relu(value), value], 1),
    "at most 6": lambda ops, value: ops.minimum(value, np.float32(6)),
}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", SIGNED)
def test_what_may_be_negative_gets_a_zero_point_on_x86(
    name: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_quantizers, "cpu_identity", lambda: {"machine": machine})
    model = model_of(lambda value: pair(SIGNED[name](openvino().opset13, value)))
    assert fuse_quantizers(openvino(), model) == 1
    low, high = (-127, 128) if machine == "x86_64" else (-128, 127)
    np.testing.assert_allclose(limits(model), (low * SCALE, high * SCALE), rtol=1e-6)
    plain = run(model_of(lambda value: SIGNED[name](openvino().opset13, value)))
    steps = np.clip(np.rint(plain / np.float32(SCALE)), low, high)
    np.testing.assert_allclose(run(model), steps * np.float32(SCALE), atol=1e-6)


@pytest.mark.skipif(cpu_identity()["machine"] not in X86, reason="it is about x86")
def test_a_fully_connected_layer_takes_unsigned_integers_behind_a_tanh() -> None:
    """Signed ones would be moved by 128 with each call, which costs lenet a fourteenth of its time."""
    ops = openvino().opset13
    weight = np.random.default_rng(1).integers(-64, 65, (96, 8)).astype(np.int8)

    def make(value: Any) -> Any:
        rows = ops.reshape(ops.multiply(ops.tanh(value), np.float32(127 * SCALE)), np.array([2, 96]), False)
        return ops.matmul(
            pair(rows), ops.multiply(ops.convert(ops.constant(weight), "f32"), np.float32(0.01)), False, False
        )

    model = model_of(make)
    assert fuse_quantizers(openvino(), model) == 1
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    (layer,) = [info for info in found if info["layerType"].astype(str) == "FullyConnected"]
    assert layer["runtimePrecision"].astype(str) == "u8"
    steps = np.rint(127 * np.tanh(VALUES.reshape(2, 96)))
    np.testing.assert_allclose(compiled([VALUES])[0], steps @ weight * SCALE * 0.01, atol=1e-3)


@pytest.mark.parametrize("name", ["image", "zero point"])
def test_an_image_and_what_has_a_zero_point_keep_their_range(name: str) -> None:
    ops = openvino().opset13
    zero = 5 if name == "zero point" else 0
    model = model_of(
        lambda value: pair(
            ops.tanh(value) if zero else ops.transpose(ops.subtract(value, np.float32(1)), [0, 3, 2, 1]), zero=zero
        )
    )
    assert fuse_quantizers(openvino(), model) == 1
    np.testing.assert_allclose(limits(model), ((-128 - zero) * SCALE, (127 - zero) * SCALE), rtol=1e-6)


def limits(model: Any) -> tuple[float, float]:
    """What the model's quantizer gives at least and at most."""
    (quantize,) = (node for node in model.get_ops() if node.get_type_name() == "FakeQuantize")
    low, high = (float(quantize.input_value(index).get_node().data.item()) for index in (3, 4))
    return low, high


@pytest.mark.parametrize("case", ["alone", "pooled", "read by another too", "cuts off what is negative"])
def test_what_goes_to_float_layers_alone_is_not_quantized(case: str) -> None:
    ops = openvino().opset13
    weight = np.random.default_rng(1).standard_normal((3, 6, 1, 1)).astype(np.float32)

    def make(value: Any) -> Any:
        made = pair(value, "u8" if case == "cuts off what is negative" else "i8")
        moved = ops.transpose(made, [0, 1, 3, 2]) if case == "pooled" else made
        layer = ops.convolution(moved, weight, [1, 1], [0, 0], [0, 0], [1, 1])
        layer.set_friendly_name("float layer")
        return ops.add(layer, ops.reduce_mean(made, [1], True)) if case == "read by another too" else layer

    model = model_of(make)
    assert fuse_quantizers(openvino(), model, {"float layer"}) == 1
    quantizers = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
    assert len(quantizers) == (case in ("read by another too", "cuts off what is negative"))
    if not quantizers:
        given = VALUES.swapaxes(2, 3) if case == "pooled" else VALUES
        np.testing.assert_allclose(run(model), np.einsum("oi,nihw->nohw", weight[:, :, 0, 0], given), atol=1e-4)
