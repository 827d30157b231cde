"""Light shapes drawn on a dark canvas, and brought to the size and place that MNIST's digits have."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from runtime.camera.reading.normalize import SIDE, to_mnist

Image = NDArray[np.uint8]
Point = tuple[float, float]

CANVAS = 112  # shapes are drawn large and then reduced, as MNIST's digits were
BITS = 3  # of fractions of a pixel, in which bows are drawn

# As `draw_strokes` takes them. Not from a font: those that come with OpenCV differ between its versions.
LETTERS = {
    "A": "06 20 46, 13 33",
    "E": "40 00 06 46, 03 33",
    "F": "40 00 06, 03 33",
    "H": "00 06, 40 46, 03 43",
    "K": "00 06, 40 03 46",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "P": "06 00 30 41 42 33 03",
    "R": "06 00 30 41 42 33 03, 23 46",
    "U": "00 05 16 36 45 40",
    "V": "00 26 40",
    "W": "00 16 22 36 40",
    "X": "00 46, 40 06",
    "k": "00 06, 32 04 36",
    "m": "06 02, 03 12 23 26, 23 32 43 46",
    "n": "06 02, 03 12 32 43 46",
    "w": "02 16 23 36 42",
    "x": "02 46, 42 06",
    "Zhe": "20 26, 00 46, 40 06",
    "Pi": "06 00 40 46",
    "Sha": "00 06 46 40, 20 26",
    "Psi": "00 03 24 43 40, 20 26",
}
SYMBOLS = {
    "arrow": "03 43, 21 43 25",
    "arrow up": "20 26, 02 20 42",
    "double arrow": "03 43, 11 03 15, 31 43 35",
    "star": "20 36 02 42 06 20",
    "tree": "26 20, 01 22 41, 03 24 43",
    "house": "06 02 20 42 46 06, 02 42",
    "envelope": "01 41 45 05 01 23 41",
}
DRAWINGS = {
    "umbrella": "03 11 20 31 43 03, 23 26",
    "ladder": "10 06, 30 46, 01 41, 03 43, 05 45",
    "crown": "06 00 13 20 33 40 46 06",
    "flags": "06 00 21 02, 46 40 21 42",
    "kite": "20 42 26 02 20 26, 02 42",
    "goal": "06 00 40 46, 02 42, 20 23",
    "stick figure": "20 24 06, 24 46, 01 22 41",
}
SIGNS = {
    "root": "04 13 26 30 40",
    "not equal": "02 42, 04 44, 40 06",
    "plus or minus": "02 42, 20 24, 06 46",
    "sum": "40 00 23 06 46",
    "equals": "02 42, 04 44",
    "divided by": "03 43, 21 21, 25 25",
    "yen": "00 23 40, 23 26, 03 43, 04 44",
}
CHARACTERS = {
    "ka": "01 41 36 25, 20 06",
    "ki": "02 41, 04 43, 10 36",
    "sa": "02 42, 10 14, 30 33 16",
    "ho": "02 42, 20 26, 13 05, 33 45",
    "tree": "02 42, 20 26, 22 06, 22 46",
    "field": "00 40 46 06 00, 20 26, 03 43",
    "middle": "01 41 44 04 01, 20 26",
    "king": "00 40, 03 43, 06 46, 20 26",
}


def normalize(picture: Image) -> Image:
    """A light shape on dark as MNIST has its digits: reduced to 20 pixels, its centre of mass in the centre of 28x28.

    Args:
        picture: uint8 (H, W); one without any light gives a black image.
    """
    left, top, width, height = cv2.boundingRect(picture)
    if width == 0 or height == 0:
        return np.zeros((SIDE, SIDE), np.uint8)
    return to_mnist(picture[top : top + height, left : left + width])


def blank() -> Image:
    """A dark canvas."""
    return np.zeros((CANVAS, CANVAS), np.uint8)


def thickness(rng: Generator) -> int:
    """Of a stroke, 1.5 to 4 pixels in the result."""
    return int(rng.integers(7, 18))


def draw_strokes(strokes: str, rng: Generator) -> Image:
    """Strokes on a canvas, each point moved a little, then slanted and turned a little.

    Args:
        strokes: lines through points of a grid 4 wide and 6 high, x then y, downwards: "03 43, 20 26" is a cross.
        rng: what is random.
    """
    picture = blank()
    width = thickness(rng)
    stretch = np.array([rng.uniform(11, 18), 13])
    for stroke in strokes.split(", "):
        points = np.array([[int(point[0]), int(point[1])] for point in stroke.split()], np.float64)
        points += rng.normal(0, 0.15, points.shape)
        line = np.round(points * stretch + [56 - 2 * stretch[0], 17]).astype(np.int32)
        cv2.polylines(picture, [line], False, 255, width, cv2.LINE_AA)
    return lean(picture, rng)


def draw_bow(picture: Image, start: Point, end: Point, bulge: float, width: int) -> None:
    """A stroke on a canvas whose middle lies `bulge` pixels beside the straight line from start to end."""
    (x, y), (across, down) = start, (end[0] - start[0], end[1] - start[1])
    along = np.linspace(0, 1, 16)
    aside = 4 * bulge * along * (1 - along) / math.hypot(across, down)
    points = np.stack([x + along * across - aside * down, y + along * down + aside * across], 1)
    places = np.round(points * (1 << BITS)).astype(np.int32)
    cv2.polylines(picture, [places], False, 255, width, cv2.LINE_AA, BITS)


def lean(picture: Image, rng: Generator, degrees: float = 12) -> Image:
    """Slanted by up to 0.25 and turned by up to `degrees`."""
    angle, slant, middle = np.deg2rad(rng.uniform(-degrees, degrees)), rng.uniform(-0.25, 0.25), CANVAS / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, slant], [0, 1]]
    matrix = np.column_stack((0.85 * turn, [middle, middle] - 0.85 * turn @ [middle, middle]))
    return np.asarray(cv2.warpAffine(picture, matrix, (CANVAS, CANVAS)), np.uint8)


def smooth_curve(rng: Generator, points: int) -> NDArray[np.int32]:
    """A smooth path near random places, (40 * points, 2)."""
    path = rng.uniform(8, CANVAS - 8, (points, 2))
    dense = np.repeat(path, 40, axis=0)
    kernel = cv2.getGaussianKernel(121, 20)
    return np.round(np.asarray(cv2.filter2D(dense, -1, kernel, borderType=cv2.BORDER_REPLICATE))).astype(np.int32)


def reduce(picture: Image) -> Image:
    """A whole canvas as an image: what has no bounds to normalize."""
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
