"""MNIST's own normalisation: 20 pixels for the longer side, grey levels kept, the mass in the middle of 28.

The camera's shapes come in squares of `RASTER` pixels, in whose middle they are, so that most steps are one call for
all of them (`all_to_mnist`); `to_mnist` takes a single one of any size.
"""

from __future__ import annotations

import math
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.preprocess import as_image

Floats = NDArray[np.float32]
Integers = NDArray[np.int_]
Pixel = TypeVar("Pixel", np.uint8, np.float32)

SIDE = 28
BOX = 20
RASTER = 40  # pixels of a square in which a shape is looked at
LONG = 26  # of those, along its longer side; the rest is what is round it
MOST = 500  # squares in one column: OpenCV maps no picture of 32,767 rows
FINEST = 32  # steps of a pixel, in which OpenCV maps
THINNEST, THICKEST = 2.2, 4.2  # of 20 pixels, a stroke: nine of ten digits of MNIST are between
ROUND = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
INK = 100  # of 255, from which a pixel counts as ink
CENTER = 14  # the pixel, counted from 0, on which MNIST has the centre of mass: half a pixel off the middle
PLACES = np.arange(RASTER, dtype=np.float32)


def to_mnist(ink: Picture) -> Picture:
    """A light shape on dark, cut out along its bounds, as MNIST has its digits.

    Args:
        ink: uint8 (H, W), not empty.

    Returns:
        uint8 (28, 28).
    """
    height, width = ink.shape
    unit = max(width, height) / BOX
    room = math.ceil(THICKEST * unit)
    padded = np.pad(ink, room).astype(np.float32)[None]
    (evened,), (grown,) = even_strokes(padded, np.array([unit]))
    evened = evened[room - grown : room + height + grown, room - grown : room + width + grown]
    scale = BOX / max(evened.shape)
    width, height = (max(1, round(side * scale)) for side in evened.shape[::-1])
    small = cv2.resize(evened, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    result = np.zeros((SIDE, SIDE), np.uint8)
    mass = cv2.moments(small)
    if mass["m00"]:
        center = np.array([mass["m10"], mass["m01"]]) / mass["m00"]
        x, y = corner_of(center, np.array([width, height])).tolist()
        result[int(y) : int(y) + height, int(x) : int(x) + width] = np.rint(small)
    return result


def corner_of(center: NDArray[np.floating], size: NDArray[np.number]) -> NDArray[np.floating]:
    """Where a shape goes in the image: its mass in the middle, as far as nothing of it is pushed out.

    Args:
        center: of its mass, in pixels of the image, from its own corner.
        size: its width and height.
    """
    return np.asarray(np.rint(CENTER - center).clip(0, SIDE - size))


def in_column(squares: NDArray[Pixel]) -> NDArray[Pixel]:
    """(N, RASTER, RASTER) as (N * RASTER, RASTER)."""
    return squares.reshape(-1, RASTER)


def bounds_of(inks: Picture) -> Integers:
    """Of the ink in each square, uint8 (N, RASTER, RASTER): x, y, width and height, (N, 4); no width where is none."""
    if not len(inks):
        return np.zeros((0, 4), int)
    masks = cv2.threshold(in_column(inks), INK - 1, 255, cv2.THRESH_BINARY)[1].reshape(inks.shape)
    return np.array([cv2.boundingRect(mask) for mask in masks])


def all_to_mnist(inks: Picture, bounds: Integers) -> Picture:
    """Light shapes on dark as MNIST has its digits.

    Args:
        inks: uint8 (N, RASTER, RASTER).
        bounds: of what is taken of each: x, y, width and height, (N, 4).

    Returns:
        uint8 (N, 28, 28).
    """
    if not len(inks):
        return np.zeros((0, SIDE, SIDE), np.uint8)
    if len(inks) > MOST:
        return np.concatenate([all_to_mnist(inks[:MOST], bounds[:MOST]), all_to_mnist(inks[MOST:], bounds[MOST:])])
    ink, grown = even_strokes(inks.astype(np.float32), bounds[:, 2:].max(1) / BOX)
    start, size = bounds[:, :2] - grown[:, None], bounds[:, 2:] + 2 * grown[:, None]
    profiles = np.stack([ink.sum(1), ink.sum(2)], 1)  # along x and y
    mass = profiles @ PLACES / np.maximum(profiles.sum(2), 1)
    scale = BOX / np.maximum(size.max(1), 1)[:, None]
    corner = corner_of((mass + 0.5 - start) * scale - 0.5, size * scale)
    places = start[:, :, None] + (np.arange(SIDE) + 0.5 - corner[:, :, None]) / scale[:, :, None] - 0.5
    places = np.rint(places.clip(0, RASTER - 1) * FINEST) / FINEST  # the same wherever a square is in the column
    return as_image(np.rint(sample(ink, places.astype(np.float32))).astype(np.uint8))


def sample(inks: Floats, places: Floats) -> Floats:
    """Pixels of squares: float32 (N, SIDE, SIDE).

    Args:
        inks: float32 (N, RASTER, RASTER).
        places: of what is wanted, along x and y, in pixels of its square, (N, 2, SIDE).
    """
    x, y = np.empty((2, len(inks), SIDE, SIDE), np.float32)
    x[:] = places[:, 0, None, :]
    y[:] = (places[:, 1] + RASTER * np.arange(len(inks), dtype=np.float32)[:, None])[:, :, None]
    found = cv2.remap(inks.reshape(-1, RASTER), x.reshape(-1, SIDE), y.reshape(-1, SIDE), cv2.INTER_LINEAR)
    return np.asarray(found, np.float32).reshape(-1, SIDE, SIDE)


def even_strokes(ink: Floats, unit: NDArray[np.float64]) -> tuple[Floats, Integers]:
    """Make strokes that are thinner or thicker than the model knows as thin or thick as the outermost of those.

    Args:
        ink: float32 (N, H, W), 0..255, with room round it for strokes to grow.
        unit: pixels of it that make one of 20, (N,).

    Returns:
        The same, changed; and by how many pixels its bounds have grown on every side, (N,), or shrunk, below 0.
    """
    side = ink.shape[2]
    mask = np.asarray(cv2.threshold(ink.reshape(-1, side), INK - 1, 1, cv2.THRESH_BINARY)[1], np.float32)
    area = mask.reshape(len(ink), -1).sum(1)
    edge = area - cv2.erode(mask, ROUND).reshape(len(ink), -1).sum(1)
    thickness = 2 * area / np.maximum(edge, 1)  # a stroke has an edge on both sides
    missing = (np.clip(thickness, THINNEST * unit, THICKEST * unit) - thickness) / 2 * (area > 0)
    for change, places in ((cv2.dilate, np.flatnonzero(missing > 0)), (cv2.erode, np.flatnonzero(missing < 0))):
        number = 0
        while len(places):  # each step changes a stroke by a pixel on both sides, the last one by a share of that
            some = ink[places]
            share = np.minimum(np.abs(missing[places]) - number, 1).astype(np.float32)
            some += share[:, None, None] * (change(some.reshape(-1, side), ROUND).reshape(some.shape) - some)
            ink[places] = some
            number += 1
            places = places[np.abs(missing[places]) > number]
    return ink, np.ceil(missing).astype(int)
