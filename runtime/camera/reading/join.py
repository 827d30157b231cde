"""Puts together what a pen wrote in two strokes that do not meet: the bar of a 5 above its bowl, the halves of a 3."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from runtime.camera.reading.boxes import around
from runtime.camera.reading.find import Shape

MANY = 300  # pieces of a level, from which on they are text or noise: there are as many pairs as their square
GAP = 0.18  # of the height of both, between two strokes of a digit
NEAR, HALF = 0.05, 0.4  # the same where either has as much of that height: they may be digits of two lines
NARROWEST, WIDEST = 0.3, 2.4  # width over height of both
MOST = 0.8  # of the box about both, that the larger one has: else the other is a speck beside it
BESIDE = 0.5  # of the height of the lower one, that lies beside the higher one in a row of digits


def join(roots: list[Shape]) -> list[Shape]:
    """Shapes of a level that are no part of another one; those that may be one digit are put together, two by two.

    What is put together stays within: it may as well be two digits, or a digit and a speck.
    """
    pieces = [shape for shape in roots if max(shape.box[2:]) <= shape.level.heights[1]]
    if not 2 <= len(pieces) < MANY:
        return roots
    first, second = pairs(len(pieces))
    gaps = gaps_of(np.array([shape.box for shape in pieces]), first, second, pieces[0].level.heights)
    taken: set[Shape] = set()
    joined = []
    for place in np.argsort(gaps, kind="stable")[: np.isfinite(gaps).sum()]:
        one, other = pieces[first[place]], pieces[second[place]]
        if one not in taken and other not in taken:
            taken |= {one, other}
            joined.append(both(one, other))
    return joined + [shape for shape in roots if shape not in taken]


@lru_cache(maxsize=8)
def pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the second of each two of so many."""
    return np.triu_indices(count, 1)


def gaps_of(
    boxes: NDArray[np.int_], first: NDArray[np.intp], second: NDArray[np.intp], heights: tuple[float, float]
) -> NDArray[np.float64]:
    """Between two boxes of each pair, as a share of the height of both; infinite where they are no digit together."""
    one, other = boxes[first], boxes[second]
    start, end = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
    about = np.maximum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:]) - np.minimum(one[:, :2], other[:, :2])
    (across, down), (width, height) = (start - end).T, about.T
    lower = np.minimum(one[:, 3], other[:, 3])
    larger = np.maximum(one[:, 2] * one[:, 3], other[:, 2] * other[:, 3])
    gap = np.maximum(across, down) / height
    fits = (heights[0] <= height) & (height <= heights[1])
    fits &= (NARROWEST * height < width) & (width < WIDEST * height)
    fits &= gap <= np.where(lower < HALF * height, GAP, NEAR)
    fits &= larger < MOST * width * height
    fits &= (-down < BESIDE * lower) | (across < 0)  # digits of a number are beside each other, and do not overlap
    result: NDArray[np.float64] = np.where(fits, gap, np.inf)
    return result


def both(one: Shape, other: Shape) -> Shape:
    """Two shapes as one."""
    threshold = min(one.threshold, other.threshold)
    return Shape(one.level, one.contours + other.contours, around([one.box, other.box]), threshold, [], [one, other])
