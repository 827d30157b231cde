"""The uint8 front: any graph takes pixels and sees what PyTorch sees."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from export.front import FRONT_MEAN_OUTPUT, IMAGE, add_front
from export.parity import normalize
from runtime.spec import ModelSpec, Preprocess
from tests.export.graphs import CHANNELS, HEIGHT, WIDTH, answer, color_images, color_spec, op_types, parse

SEEN = f"float[batch,{CHANNELS},{HEIGHT},{WIDTH}] seen"


def every_pixel(spec: ModelSpec) -> np.ndarray:
    """Images in which each channel has all 256 values."""
    height, width, channels = spec.image_shape
    count = -(-256 // (height * width))
    values = np.resize(np.arange(256, dtype=np.uint8), (count, height, width, 1))
    return np.ascontiguousarray(np.concatenate([np.roll(values, index) for index in range(channels)], axis=3))


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), ((1.0, 0.0, 0.5), (2, 1, 9))],
)
def test_the_graph_sees_normalized_channels_first_images(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    spec = color_spec(preprocess=Preprocess("rgb", (), mean, std))
    model = parse("seen = Identity (image)", SEEN)
    add_front(model, spec)
    onnx.checker.check_model(model, full_check=True)
    images = every_pixel(spec)
    np.testing.assert_allclose(answer(model, images)[0], normalize(spec.preprocess, images), rtol=1e-5, atol=1e-6)


def test_a_grey_image_has_one_channel() -> None:
    spec = color_spec(preprocess=Preprocess("gray", (), (0.1307,), (0.3081,)))
    model = parse("seen = Identity (image)", "float[batch,1,6,5] seen", takes="float[batch,1,6,5] image")
    add_front(model, spec)
    images = every_pixel(spec)
    (seen,) = answer(model, images)
    assert seen.shape == (len(images), 1, 6, 5)
    np.testing.assert_allclose(seen, normalize(spec.preprocess, images), rtol=1e-5, atol=1e-6)


def test_the_input_is_uint8_with_channels_last_and_any_batch() -> None:
    model = parse("seen = Identity (image)", SEEN)
    add_front(model, color_spec())
    (taken,) = model.graph.input
    assert taken == helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["batch", HEIGHT, WIDTH, CHANNELS])
    for count in (1, 7):
        assert answer(model, color_images(count))[0].shape == (count, CHANNELS, HEIGHT, WIDTH)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalized_images_can_be_flattened_by_view(channels: int) -> None:
    preprocess = Preprocess("gray" if channels == 1 else "rgb", (), (0.0,) * channels, (1.0,) * channels)
    normalized = normalize(preprocess, np.zeros((3, 5, 4, channels), np.uint8))
    assert torch.from_numpy(normalized).view(3, -1).shape == (3, 20 * channels)


def test_every_node_that_took_the_image_takes_the_normalized_one() -> None:
    model = parse("twice = Add (image, image) seen = Mul (twice, image)", SEEN)
    add_front(model, color_spec())
    images = color_images(2)
    expected = 2 * normalize(color_spec().preprocess, images) ** 2
    np.testing.assert_allclose(answer(model, images)[0], expected, rtol=1e-4, atol=1e-5)
    assert [node.op_type for node in model.graph.node if IMAGE in node.input] == ["Cast"]


def test_the_input_may_have_had_another_name() -> None:
    model = parse("seen = Identity (x)", SEEN, takes="float[batch,3,6,5] x")
    add_front(model, color_spec())
    images = color_images(1)
    np.testing.assert_allclose(
        answer(model, images)[0], normalize(color_spec().preprocess, images), rtol=1e-5, atol=1e-6
    )


def test_the_front_comes_first_and_its_offset_has_the_name_that_the_fold_looks_for() -> None:
    model = parse("seen = Relu (image)", SEEN)
    add_front(model, color_spec())
    assert op_types(model) == ["Cast", "Transpose", "Sub", "Mul", "Relu"]
    assert model.graph.node[2].output[0] == FRONT_MEAN_OUTPUT
    images = color_images(1)
    (shifted,) = answer(model, images, FRONT_MEAN_OUTPUT)
    mean = 255 * np.array(color_spec().preprocess.mean, np.float32)
    np.testing.assert_allclose(shifted, (images - mean).transpose(0, 3, 1, 2), atol=1e-4)
