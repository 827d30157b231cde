"""Takes the rules of ruled and squared paper out of a binary picture, and leaves what is written across them."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.preprocess import as_image

STEP = math.pi / 90  # radians between directions; finer ones find no more
RULED = 110  # pixels of a level, the length of something that may be the rules of a sheet
LONG = 70  # pixels of a level: no stroke of a digit is as long and as straight
GAP = 6  # pixels by which a rule may be broken
VOTES = 45  # of its pixels, on one line
COVERED = 0.65  # of a line, that is ink: what goes along a row of loops or letters meets less
MOST = 400  # lines; more are no rules
THIN, THICK = 3, 5  # pixels across a rule that are taken out
THICK_FROM = 2.4  # pixels across, as measured
NO_LINES = np.zeros((0, 4), np.int32)


def find_rules(ink: Picture) -> NDArray[np.int32]:
    """Long straight lines, whatever their direction: int32 (N, 4), from x, y to x, y.

    Args:
        ink: uint8 (H, W), 0 or 255.
    """
    lines = cv2.HoughLinesP(ink, 1, STEP, VOTES, minLineLength=LONG, maxLineGap=GAP)
    if lines is None or len(lines) > MOST:
        return NO_LINES
    found = np.asarray(lines, np.int32).reshape(-1, 4)
    along = np.linspace(0, 1, LONG)
    start, end = found[:, :2, None], found[:, 2:, None]
    x, y = np.rint(start + along * (end - start)).astype(int).swapaxes(0, 1)
    return np.asarray(found[(ink[y, x] > 0).mean(1) > COVERED])


def thickness_of(ink: Picture, lines: NDArray[np.int32]) -> int:
    """Pixels across lines, to be taken out."""
    along = cv2.countNonZero(draw(lines, ink.shape, 1))
    covered = cv2.countNonZero(cv2.bitwise_and(ink, draw(lines, ink.shape, THICK)))
    return THICK if covered > THICK_FROM * along else THIN


def without_rules(ink: Picture, lines: NDArray[np.int32], thickness: int) -> Picture:
    """A copy without lines. Strokes that cross them stay whole, with stubs of the lines on both sides."""
    rest = cv2.subtract(ink, draw(lines, ink.shape, thickness))
    across = np.ones((thickness + 2, thickness + 2), np.uint8)  # reaches half over a line, from both sides
    return as_image(cv2.bitwise_and(cv2.dilate(rest, across), ink))


def draw(lines: NDArray[np.int32], shape: tuple[int, ...], thickness: int) -> Picture:
    """Lines of 255 on 0, uint8 of that shape."""
    picture = np.zeros(shape, np.uint8)
    for x, y, right, bottom in lines.tolist():
        cv2.line(picture, (x, y), (right, bottom), 255, thickness)
    return picture
