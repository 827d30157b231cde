"""Convolutions by tiles give what direct ones give, and are used where they are faster alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.backend import WINOGRAD
from runtime.backends.openvino import core, openvino
from runtime.backends.openvino_layers import executed_types
from runtime.backends.openvino_winograd import POINTS, Shape, by_tiles, shape_of, transforms, use_winograd

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}
GENERATOR = np.random.default_rng(0)


def convolution(
    given: Any,
    weights: Any,
    groups: int = 1,
    stride: int = 1,
    begin: tuple[int, int] = (1, 1),
    end: tuple[int, int] = (1, 1),
    dilation: int = 1,
) -> Any:
    """Of weights (filters, channels of a group, height, width), an array or a node."""
    ops, steps = openvino().opset13, [[stride, stride], list(begin), list(end), [dilation, dilation]]
    if groups == 1:
        return ops.convolution(given, weights, *steps)
    filters, *rest = weights.shape
    return ops.group_convolution(given, weights.reshape(groups, filters // groups, *rest), *steps)


def floats(*shape: int) -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def compiled(given: Any, answer: Any) -> Any:
    return core().compile_model(openvino().Model([answer], [given], "net"), "CPU", SETTINGS)


@pytest.mark.parametrize("kernel", range(2, 8))
def test_the_transforms_are_a_convolution_in_one_dimension(kernel: int) -> None:
    for tile in range(2, len(POINTS) + 3 - kernel):
        answers, weights, pixels = transforms(tile, kernel)
        image, values = GENERATOR.standard_normal(tile + kernel - 1), GENERATOR.standard_normal(kernel)
        found = answers @ ((weights @ values) * (pixels @ image))
        np.testing.assert_allclose(found, np.correlate(image, values, "valid"), atol=1e-10)


@pytest.mark.parametrize(
    ("groups", "kernel", "stride", "begin", "end", "size"),
    [
        (1, 3, 1, (1, 1), (1, 1), (13, 11)),
        (1, 3, 1, (0, 2), (1, 0), (9, 12)),
        (1, 2, 1, (0, 0), (0, 0), (8, 8)),
        (2, 5, 1, (2, 2), (2, 2), (9, 9)),
        (1, 5, 1, (0, 0), (0, 0), (5, 5)),
        (1, 11, 4, (0, 0), (0, 0), (67, 67)),
        (1, 7, 2, (3, 3), (3, 3), (32, 25)),
        (1, 7, 2, (2, 3), (3, 1), (31, 26)),
        (2, 3, 2, (1, 1), (0, 0), (15, 15)),
        (1, 3, 2, (0, 0), (0, 0), (16, 16)),
    ],
)
def test_every_tile_gives_what_the_direct_convolution_gives(
    groups: int, kernel: int, stride: int, begin: tuple[int, int], end: tuple[int, int], size: tuple[int, int]
) -> None:
    weights = floats(12, 16 // groups, kernel, kernel)
    given = openvino().opset13.parameter([-1, 16, *size], np.float32)
    direct = convolution(given, weights, groups, stride, begin, end)
    shape = shape_of(direct, 1)
    assert shape is not None
    wanted = compiled(given, direct)
    for tile in range(2, len(POINTS) + 3 - shape.taps):
        grouped = weights.reshape(groups, 12 // groups, 16 // groups, kernel, kernel)
        found = compiled(given, by_tiles(openvino().opset13, given.output(0), grouped, shape, tile)[-1])
        for images in (1, 3):
            image = floats(images, 16, *size)
            answer = wanted([image])[0]
            np.testing.assert_allclose(found([image])[0], answer, atol=1e-4 * np.abs(answer).max())


def square(channels: int, filters: int, kernel: int, side: int, groups: int = 1) -> Shape:
    """One image with answers of its size."""
    pad = kernel // 2
    return Shape(groups, channels, filters, kernel, 1, pad, pad, side, side, side, side, 1)


@pytest.mark.parametrize(
    ("of", "tile"),
    [
        (square(96, 256, 5, 27), 4),  # AlexNet's second
        (square(384, 384, 3, 13), 5),  # its fourth
        (square(512, 512, 3, 7), None),  # ResNet's last: its weights take longer to read
        (square(512, 512, 1, 14), None),
        (square(96, 96, 3, 14, groups=96), None),
        (square(6, 16, 5, 14), None),  # LeNet's second
    ],
)
def test_the_tile_is_the_fastest_one(of: Shape, tile: int | None) -> None:
    assert of.best_tile() == tile


def large(case: str, given: Any) -> Any:
    """Convolutions that are worth it, but for one thing."""
    ops = openvino().opset13
    weights = GENERATOR.integers(-64, 65, (64, 64, 3, 3)).astype(np.int8)
    steps: dict[str, Any] = {}
    if case == "dilated":
        steps = {"dilation": 2}
    elif case == "not square":
        weights = weights[..., :1]
    stored = ops.multiply(ops.subtract(ops.convert(weights, "f32"), np.float32(1)), floats(64, 1, 1, 1))
    if case == "computed":
        stored = ops.multiply(stored, ops.reduce_max(given, [0, 1, 2, 3], True))
    elif case == "bfloat16":
        stored = ops.convert(ops.constant(floats(64, 64, 3, 3), openvino().Type.bf16), "f32")
    elif case == "made integers":
        stored = ops.convert(ops.convert(ops.constant(3 * floats(64, 64, 3, 3)), "i8"), "f32")
    elif case == "reshaped":
        rows = ops.multiply(weights.reshape(64, -1).astype(np.float32), floats(64, 1))
        stored = ops.reshape(rows, np.array([64, 64, 3, 3]), False)
    return convolution(given, stored, **steps)


@pytest.mark.parametrize(
    "case", ["stored", "reshaped", "computed", "bfloat16", "made integers", "dilated", "not square", "of any size"]
)
def test_a_convolution_that_can_be_is_replaced(case: str) -> None:
    ops = openvino().opset13
    given = ops.parameter([-1, 64, -1 if case == "of any size" else 24, 24], np.float32)
    layer = large(case, given)
    layer.set_friendly_name("layer")
    model = openvino().Model([ops.relu(layer)], [given], "net")
    image = floats(2, 64, 24, 24)
    wanted = core().compile_model(model, "CPU", SETTINGS)([image])[0]
    readers = use_winograd(openvino(), model, 1)
    found = core().compile_model(model, "CPU", SETTINGS)
    replaced = case in ("stored", "reshaped")
    assert len(readers) == replaced
    assert executed_types(found)["layer"] == (WINOGRAD if replaced else "fp32")
    np.testing.assert_allclose(found([image])[0], wanted, atol=1e-4 * wanted.max())
