"""Cuts shapes out of the frame, as the model wants to see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.find import Shape
from runtime.camera.reading.light import contrast_of
from runtime.camera.reading.normalize import LONG, RASTER, Floats, Integers, all_to_mnist, bounds_of, in_column
from runtime.preprocess import as_image

SMALLEST = 13  # pixels of the frame, the height of a digit
NARROWEST, WIDEST = 0.04, 2.6  # width over height
FAINTEST = 30  # contrast of ink
EDGE = 0.5  # pixels of the frame: of the soft edge of ink, where its box is
COARSE = 1.5  # pixels of a picture in one of a square's, from which it takes their mean, which is slower
BITS = 4  # of fractions of a pixel, in which outlines are drawn
ABOUT = np.ones((3, 3), np.uint8)  # its soft edge is part of a shape


@dataclass(eq=False)
class Candidate:
    """What may be a digit.

    Attributes:
        box: about its ink, in pixels of the frame.
        image: uint8 (28, 28), as MNIST has its digits.
        strength: contrast of its ink, 0..255.
        light_ink: whether that is lighter than its ground.
        square: of the frame, in which it lies.
        ink: uint8 (RASTER, RASTER), 255 where it is strongest, of that square.
        bounds: of that, x, y, width and height.
        shape: that it was cut out of; None where it was cut off from others that it touches.
        parts: ways to see several digits in it instead, once it was taken apart.
    """

    box: Box
    image: Picture
    strength: float
    light_ink: bool
    square: Square
    ink: Picture
    bounds: Box
    shape: Shape | None = None
    parts: list[list[Candidate]] = field(default_factory=list)

    @property
    def joined(self) -> bool:
        """Whether it was put together of pieces."""
        return self.shape is not None and self.shape.joined

    @property
    def severed(self) -> bool:
        """Whether it was cut off from others that it touches."""
        return self.shape is None


@dataclass(eq=False)
class Square:
    """A part of the frame, seen with `RASTER` x `RASTER` pixels.

    Attributes:
        left: in pixels of the frame.
        top: the same.
        step: pixels of the frame along the side of one of its own.
        gray: of the frame, and `HAZE` added, uint8 (RASTER, RASTER).
        size: width and height of the frame.
    """

    left: float
    top: float
    step: float
    gray: Picture
    size: tuple[int, int]

    def box(self, bounds: Box) -> Box:
        """What is within bounds, x, y, width and height, and its soft edge, in pixels of the frame."""
        x, y, width, height = bounds
        left, top = self.left + x * self.step, self.top + y * self.step
        right, bottom = left + width * self.step + EDGE, top + height * self.step + EDGE
        x, y = max(0, round(left - EDGE)), max(0, round(top - EDGE))
        right, bottom = min(round(right), self.size[0]), min(round(bottom), self.size[1])
        return (x, y, max(1, right - x), max(1, bottom - y))


def cut(shapes: Sequence[Shape]) -> dict[Shape, Candidate]:
    """The candidates that shapes make, but for those that make none."""
    fitting = [
        shape
        for shape in shapes
        if shape.box[3] <= shape.level.heights[1] and NARROWEST < shape.box[2] / shape.box[3] < WIDEST
    ]
    if not fitting:
        return {}
    fitting.sort(key=lambda shape: shape.level.light_ink)
    squares = np.array([square_about(shape) for shape in fitting])
    gray, contrast = look_at(fitting, squares)
    strength, inks = ink_of(contrast, np.array([shape.threshold for shape in fitting], np.float32))
    bounds = bounds_of(inks)
    reductions = np.array([shape.level.reduction for shape in fitting])
    places = np.column_stack([squares[:, :2], squares[:, 2] / RASTER]) * reductions[:, None]
    places[:, :2] += [shape.level.origin for shape in fitting]
    kept = np.flatnonzero((strength > 0) & (bounds[:, 3] > 0))
    images = all_to_mnist(inks[kept], bounds[kept])
    result = {}
    for number, image in zip(kept.tolist(), images, strict=True):
        shape, (left, top, step), about = fitting[number], places[number].tolist(), bounds[number].tolist()
        (x, y), (rows, columns) = shape.level.origin, shape.level.gray.shape
        end = (x + columns * shape.level.reduction, y + rows * shape.level.reduction)
        square = Square(left, top, step, gray[number], end)
        box = square.box(about)
        if box[3] < SMALLEST:
            continue
        result[shape] = Candidate(
            box,
            image,
            float(strength[number]),
            shape.level.light_ink,
            square,
            inks[number],
            about,
            shape,
        )
    return result


def square_about(shape: Shape) -> tuple[int, int, int]:
    """Left, top and side of the square about a shape, in pixels of its level."""
    x, y, width, height = shape.box
    side = -(-max(width, height) * RASTER // LONG)
    return x + (width - side) // 2, y + (height - side) // 2, side


def look_at(shapes: Sequence[Shape], squares: Integers) -> tuple[Picture, Picture]:
    """What is in the square of each shape.

    Args:
        shapes: those of dark ink before those of light.
        squares: left, top and side, in pixels of the level, (N, 3).

    Returns:
        The light, and `HAZE` added, and the contrast of the shape's ink, uint8 (N, RASTER, RASTER) each.
    """
    gray = np.zeros((len(shapes), RASTER, RASTER), np.uint8)
    ground, mask = np.zeros((2, *gray.shape), np.uint8)
    for number, (shape, (left, top, side)) in enumerate(zip(shapes, squares.tolist(), strict=True)):
        level, times, picture = shape.level, 1, shape.level.gray
        if level.frame is not None and max(shape.box[2:]) < LONG:
            times, picture = level.reduction, level.frame
        fit(picture, left * times, top * times, side * times, gray[number])
        fit(level.ground, left, top, side, ground[number])
    draw(shapes, squares, mask)
    dark = sum(not shape.level.light_ink for shape in shapes)
    contrast = np.concatenate(
        [
            contrast_of(in_column(gray[part]), in_column(ground[part]), light_ink)
            for part, light_ink in ((slice(dark), False), (slice(dark, None), True))
            if len(gray[part])
        ]
    )
    about = as_image(cv2.dilate(in_column(mask), ABOUT))
    for picture, shape, place in zip(about.reshape(gray.shape), shapes, squares.tolist(), strict=True):
        leave_out_beyond(picture, shape.level.gray.shape, *place)
    return gray, as_image(cv2.bitwise_and(contrast, about)).reshape(gray.shape)


def leave_out_beyond(picture: Picture, size: tuple[int, ...], left: int, top: int, side: int) -> None:
    """Clear what of a square lies beyond the frame, which has that many rows and columns."""
    rows, columns = size
    scale = RASTER / side
    if top < 0:
        picture[: math.ceil(-top * scale)] = 0
    if left < 0:
        picture[:, : math.ceil(-left * scale)] = 0
    if top + side > rows:
        picture[math.floor((rows - top) * scale) :] = 0
    if left + side > columns:
        picture[:, math.floor((columns - left) * scale) :] = 0


def fit(picture: Picture, left: int, top: int, side: int, result: Picture) -> None:
    """Put a square of a picture into another of `RASTER` pixels; the outermost pixels are repeated."""
    rows, columns = picture.shape
    right, bottom = left + side, top + side
    part = picture[max(0, top) : bottom, max(0, left) : right]
    if left < 0 or top < 0 or right > columns or bottom > rows:
        margins = (max(0, -top), max(0, bottom - rows), max(0, -left), max(0, right - columns))
        part = as_image(cv2.copyMakeBorder(part, *margins, cv2.BORDER_REPLICATE))
    interpolation = cv2.INTER_AREA if side > COARSE * RASTER else cv2.INTER_LINEAR
    cv2.resize(part, (RASTER, RASTER), dst=result, interpolation=interpolation)


def ink_of(contrast: Picture, thresholds: Floats) -> tuple[Floats, Picture]:
    """The ink of shapes.

    Args:
        contrast: uint8 (N, RASTER, RASTER), 0 where their ink is not.
        thresholds: from which it was found, (N,).

    Returns:
        Its strength, (N,), 0 where that is too little; the ink, uint8 (N, RASTER, RASTER), 255 where it is strongest.
    """
    pixels = contrast.reshape(len(contrast), -1).astype(np.float32)
    strong = (pixels > FAINTEST).astype(np.float32)
    number = np.maximum(strong.sum(1), 1)
    strong *= pixels
    mean = strong.sum(1) / number
    strength = mean + np.sqrt(np.maximum(np.einsum("np,np->n", strong, strong) / number - mean**2, 0))
    floor = np.maximum(0.25 * strength, 0.7 * thresholds)
    pixels -= floor[:, None]
    pixels *= (255 / np.maximum(strength - floor, 1))[:, None]
    inks = pixels.clip(0, 255, out=pixels).astype(np.uint8).reshape(contrast.shape)
    return strength * (strength >= np.maximum(FAINTEST, thresholds)), inks


def draw(shapes: Sequence[Shape], squares: Integers, result: Picture) -> None:
    """Draw what the outlines of shapes enclose.

    Args:
        shapes: N of them.
        squares: of each, as in `look_at`.
        result: 255 on 0, uint8 (N, RASTER, RASTER).
    """
    contours = [contour for shape in shapes for contour in shape.contours]
    owner = np.repeat(np.arange(len(shapes)), [sum(map(len, shape.contours)) for shape in shapes])
    scale = (RASTER << BITS) / squares[:, 2:]
    points = (np.concatenate(contours)[:, 0] + 0.5 - squares[owner, :2]) * scale[owner] - (1 << BITS) / 2
    points = np.rint(points).astype(np.int32)
    last = 0
    for picture, shape in zip(result, shapes, strict=True):
        outlines = []
        for contour in shape.contours:
            first, last = last, last + len(contour)
            outlines.append(points[first:last])
        cv2.fillPoly(picture, outlines, 255, shift=BITS)
