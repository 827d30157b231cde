"""Convolutions by fewer multiplications, before OpenVINO compiles a graph: Winograd's minimal filtering.

A tile, m x m answers, takes (m + r - 1)^2 products of transformed pixels and transformed weights in place of (m r)^2:
A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015, arXiv:1509.09308. The transforms are
Cook's and Toom's, by evaluating and interpolating polynomials at `POINTS`.

OpenVINO has no such convolutions on a CPU. It runs these as products of matrices, which it does near the peak of the
arithmetic. Where a CPU multiplies int8 no faster than float32, which is so without VNNI, they are faster than its INT8
too. Rounding errors grow with the tile: `POINTS` ends at 8 x 8 pixels, with errors of 1e-5 of the largest answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from runtime.backends.openvino_layers import BY_TILES
from runtime.backends.openvino_quantizers import constant, hand_over

if TYPE_CHECKING:
    import openvino as ov

POINTS = (0, 1, -1, 2, -2, 0.5, -0.5)
# Times of other work, as multiplications of floats that the CPU does meanwhile: fitted to measured times of 30 shapes.
READING_A_WEIGHT = 9
TRANSFORMING_A_VALUE = 40
MOVING_A_VALUE = 90


@dataclass(frozen=True)
class Shape:
    """Of a convolution.

    Attributes:
        groups: they share no channels.
        channels: that come in, of all groups.
        filters: that go out, of all groups.
        kernel: its height, and its width.
        stride: in pixels, down and across.
        top: rows of padding.
        left: columns of padding.
        rows: of the image, in pixels.
        columns: likewise.
        height: of the answer, in pixels.
        width: likewise.
        images: in a batch.
    """

    groups: int
    channels: int
    filters: int
    kernel: int
    stride: int
    top: int
    left: int
    rows: int
    columns: int
    height: int
    width: int
    images: int

    @property
    def taps(self) -> int:
        """The kernel's side for every phase: a stride of s reads s x s images, each of every s-th row and column."""
        return -(-self.kernel // self.stride)

    def grid(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Padding and length, down and across, of the image of all phases; with a stride, padding is a part of it."""
        if self.stride == 1:
            return (self.top, self.rows), (self.left, self.columns)
        return (0, -(-(self.top + self.rows) // self.stride)), (0, -(-(self.left + self.columns) // self.stride))

    def direct(self) -> float:
        """Multiplications of the direct convolution."""
        pixels = self.images * self.height * self.width
        return pixels * self.kernel**2 * self.channels * self.filters / self.groups

    def by_tiles(self, tile: int) -> float:
        """Time by tiles of this many pixels to a side, in multiplications."""
        tiles = self.images * -(-self.height // tile) * -(-self.width // tile)
        positions = (tile + self.taps - 1) ** 2
        channels = self.channels * self.stride**2
        weights = positions * channels * self.filters / self.groups
        transformed = tiles * positions * (channels + self.filters)
        moved = self.images * (self.channels * self.rows * self.columns + self.filters * self.height * self.width)
        return weights * (tiles + READING_A_WEIGHT) + transformed * TRANSFORMING_A_VALUE + moved * MOVING_A_VALUE

    def best_tile(self) -> int | None:
        """The side of the fastest tile; None where the direct convolution is faster."""
        tiles = range(2, len(POINTS) + 3 - self.taps)
        best = min(tiles, key=self.by_tiles, default=None)
        return best if best and self.by_tiles(best) < self.direct() else None


def use_winograd(openvino: Any, model: ov.Model, images: int) -> set[str]:
    """Replace the convolutions that are faster so, in place.

    Args:
        openvino: the package.
        model: as it was read.
        images: of a batch, to choose by; the graph takes any number.

    Returns:
        The names of the nodes that read what went into one of them. They need no quantized values.
    """
    readers: set[str] = set()
    for node in model.get_ordered_ops():
        if node.get_type_name() not in ("Convolution", "GroupConvolution"):
            continue
        shape = shape_of(node, images)
        tile = shape.best_tile() if shape else None
        weights = weights_of(node) if tile else None
        if shape is None or tile is None or weights is None:
            continue
        reader, product, answer = by_tiles(openvino.opset13, node.input_value(0), weights, shape, tile)
        product.set_friendly_name(node.get_friendly_name() + BY_TILES)
        reader.set_friendly_name(f"{node.get_friendly_name()}/tiles")
        readers.add(reader.get_friendly_name())
        hand_over(node.output(0), answer.output(0))
    if readers:
        model.validate_nodes_and_infer_types()
    return readers


def shape_of(node: ov.Node, images: int) -> Shape | None:
    """Of a convolution that is the same down and across, float32, and of an image of known size; None of others."""
    attributes = node.get_attributes()
    if node.get_input_partial_shape(0).rank.is_dynamic:
        return None
    ends = [*list(node.get_input_partial_shape(0))[1:], *list(node.get_output_partial_shape(0))[1:]]
    kernel = list(node.input_value(1).get_partial_shape())
    if (
        len(ends) != 6
        or not all(end.is_static for end in (*ends, *kernel))
        or any(step != 1 for step in attributes["dilations"])
        or len(set(attributes["strides"])) != 1
        or kernel[-1] != kernel[-2]
        or attributes["auto_pad"] != "explicit"
        or node.get_output_element_type(0).to_string() != "f32"
    ):
        return None
    channels, rows, columns, filters, height, width = (end.get_length() for end in ends)
    groups = kernel[0].get_length() if node.get_type_name() == "GroupConvolution" else 1
    side, stride, (top, left) = kernel[-1].get_length(), attributes["strides"][0], attributes["pads_begin"]
    return Shape(groups, channels, filters, side, stride, top, left, rows, columns, height, width, images)


def weights_of(node: ov.Node) -> NDArray[np.float32] | None:
    """A convolution's weights, (groups, filters, channels, kernel, kernel); None where they are computed."""
    values = constant(node.input_value(1).get_node())
    if values is None:
        return None
    return values[None] if node.get_type_name() == "Convolution" else values


def transforms(tile: int, kernel: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The matrices A^T, G and B^T, with A^T [(G g G^T) * (B^T d B)] A the convolution of a tile d with a kernel g.

    Returns:
        A^T (tile, size), G (size, kernel) and B^T (size, size), with size = tile + kernel - 1.
    """
    size = tile + kernel - 1
    points = POINTS[: size - 1]
    answers, weights, pixels = np.zeros((tile, size)), np.zeros((size, kernel)), np.zeros((size, size))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        answers[:, row] = np.power(float(point), np.arange(tile))
        weights[row] = np.power(float(point), np.arange(kernel)) / np.prod([point - other for other in others])
        pixels[row, : size - 1] = polynomial.polyfromroots(others)
    answers[-1, -1] = weights[-1, -1] = 1  # the point at infinity
    pixels[-1] = polynomial.polyfromroots(points)
    return answers, weights, pixels


def by_tiles(
    ops: Any,
    image: ov.Output,
    weights: NDArray[np.float32],
    shape: Shape,
    tile: int,
) -> tuple[ov.Node, ov.Node, ov.Node]:
    """A convolution, (images, channels, ...) to (images, filters, height, width), by tiles of `tile` pixels to a side.

    The positions in a tile come first, so that both transforms are products with a small matrix from the left, for the
    rows and then for the columns; channels come last, so that pixels are moved as whole vectors.

    Returns:
        The node that reads the image, the product with the weights, and the answer.
    """
    size = tile + shape.taps - 1
    down, across = -(-shape.height // tile), -(-shape.width // tile)
    answers, weight_side, pixels = transforms(tile, shape.taps)
    phases = shape.stride**2
    (_, rows), (_, columns) = shape.grid()

    def floats(values: NDArray[Any]) -> ov.Node:
        return ops.constant(np.ascontiguousarray(values, np.float32))

    def reshaped(value: ov.Output | ov.Node, *ends: int) -> ov.Node:
        return ops.reshape(value, np.array(ends, np.int64), False)

    def turned(value: ov.Output | ov.Node, *order: int) -> ov.Node:
        return ops.transpose(value, np.array(order, np.int64))

    def from_the_left(matrix: NDArray[np.float64], value: ov.Node) -> ov.Node:
        rows, columns = matrix.shape
        value = reshaped(ops.matmul(floats(matrix), reshaped(value, columns, -1), False, False), rows, columns, -1)
        return ops.matmul(floats(matrix), value, False, False)

    def gathered(value: ov.Node, places: NDArray[np.int32]) -> ov.Node:
        return ops.gather(value, ops.constant(places.ravel()), np.int64(0))

    each, filters = shape.channels // shape.groups, shape.filters // shape.groups
    if shape.stride == 1:
        reader = turned(image, 0, 2, 3, 1)
        value = turned(reshaped(reader, -1, rows * columns, shape.channels), 1, 0, 2)
    else:
        begin = [0, 0, shape.top, shape.left]
        end = [0, 0, rows * shape.stride - shape.top - shape.rows, columns * shape.stride - shape.left - shape.columns]
        reader = ops.pad(image, np.array(begin), np.array(end), "constant", np.float32(0))
        value = reshaped(reader, -1, shape.groups, each, rows, shape.stride, columns, shape.stride)
        value = turned(value, 3, 5, 0, 1, 4, 6, 2)
    value = reshaped(value, rows * columns, -1)
    value = ops.pad(value, np.array([0, 0]), np.array([1, 0]), "constant", np.float32(0))
    value = gathered(value, places_of_tiles(shape, tile))
    value = from_the_left(pixels, value)
    value = reshaped(value, size**2, down * across, -1, shape.groups, phases * each)
    value = reshaped(turned(value, 0, 3, 1, 2, 4), size**2 * shape.groups, -1, phases * each)
    product = ops.matmul(value, floats(by_positions(weights, shape, weight_side)), False, False)
    value = from_the_left(answers, product)
    value = turned(reshaped(value, tile**2, shape.groups, down * across, -1, filters), 0, 2, 3, 1, 4)
    value = reshaped(value, tile**2 * down * across, -1)
    value = gathered(value, places_of_answers(shape, tile))
    value = turned(reshaped(value, shape.height * shape.width, -1, shape.filters), 1, 0, 2)
    value = reshaped(value, -1, shape.height, shape.width, shape.filters)
    return reader, product, turned(value, 0, 3, 1, 2)


def by_positions(weights: NDArray[np.float32], shape: Shape, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transformed weights, (positions x groups, phases x channels, filters)."""
    groups, filters, channels = weights.shape[:3]
    more = shape.taps * shape.stride - shape.kernel
    padded = np.pad(weights.astype(np.float64), ((0, 0),) * 3 + ((0, more),) * 2)
    phased = padded.reshape(groups, filters, channels, shape.taps, shape.stride, shape.taps, shape.stride)
    taps_first = phased.transpose(3, 5, 0, 4, 6, 2, 1).reshape(shape.taps**2, -1)
    found: NDArray[np.float64] = np.kron(matrix, matrix) @ taps_first
    return found.reshape(-1, shape.stride**2 * channels, filters)


def places_of_tiles(shape: Shape, tile: int) -> NDArray[np.int32]:
    """The pixel at each position of each tile, (size, size, tiles down, tiles across); zeros are behind the last."""

    def along(start: int, length: int, answers: int) -> NDArray[np.int64]:
        position, number = np.ogrid[: tile + shape.taps - 1, : -(-answers // tile)]
        place = number * tile + position - start
        return np.where((place >= 0) & (place < length), place, -1)

    (top, rows), (left, columns) = shape.grid()
    row = along(top, rows, shape.height)[:, None, :, None]
    column = along(left, columns, shape.width)[None, :, None, :]
    places = np.where((row >= 0) & (column >= 0), row * columns + column, rows * columns)
    return places.astype(np.int32)


def places_of_answers(shape: Shape, tile: int) -> NDArray[np.int32]:
    """Where in (tile, tile, tiles down, tiles across) the answer for each pixel is, (height, width)."""
    down, across = -(-shape.height // tile), -(-shape.width // tile)
    row, column = np.ogrid[: shape.height, : shape.width]
    places: NDArray[np.int64] = ((row % tile * tile + column % tile) * down + row // tile) * across + column // tile
    return places.astype(np.int32)
