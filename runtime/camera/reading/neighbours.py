"""What stands next to digits: a letter of a word may look like one, but stands among others that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box

IN_LINE = 0.5  # of the height of the lower of two things, that is beside the other, when they are in a line
ALIKE = 2  # times as high as the lower of those the other may be
OVERHANG = 0.3  # of the width of the narrower of two things, by which the other may reach over it
SPACE = 0.5  # of the height of the lower of two things: what is farther apart is not of one word
ROWS = 256  # of a table that is looked at in one piece
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Neighbours:
    """Of N things, float64 (N,) each.

    Attributes:
        flanked: sides, 0 to 2, on which something is next to it in its line; less where that is farther away.
        misfits: how unlikely that is a digit, together.
        word: how many others there are in its word.
        misfit: how unlikely those are digits, on average; 0 where there are none.
    """

    flanked: NDArray[np.float64]
    misfits: NDArray[np.float64]
    word: NDArray[np.float64]
    misfit: NDArray[np.float64]


def look_beside(boxes: Sequence[Box], things: Sequence[Box], doubts: Sequence[float]) -> Neighbours:
    """What is next to boxes.

    Args:
        boxes: N of them.
        things: T that may stand there, those in the boxes among them.
        doubts: how unlikely each of these is a digit, 0..1.
    """
    ones, others, doubt = np.array(boxes, np.float32), np.array(things, np.float32), np.array(doubts)
    high, place, away = ones[:, 3], *find_nearest(ones, others)
    weight = np.exp(-np.maximum(away, 0) / high)
    last = last_of_word(others)
    word = np.where(away < SPACE * np.minimum(high, others[place, 3]), last[place], -1)[:, :, None]
    fellows = ((last == word[0]) | (last == word[1])) & (separation(ones, others) < np.inf)
    many = fellows.sum(1)
    return Neighbours(
        flanked=weight.sum(0),
        misfits=(weight * doubt[place]).sum(0),
        word=many.astype(np.float64),
        misfit=fellows @ doubt / np.maximum(many, 1),
    )


def find_nearest(ones: Floats, others: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The nearest of others in the line of boxes, on their left and on their right, and how far these are.

    Args:
        ones: (N, 4).
        others: (T, 4).

    Returns:
        (2, N) places, and (2, N) pixels, infinite where none is.
    """
    parts = [gaps(ones[start : start + ROWS], others) for start in range(0, len(ones), ROWS)]
    nearest = np.concatenate([gap.argmin(2) for gap in parts], 1)
    return nearest, np.concatenate([gap.min(2) for gap in parts], 1)


def gaps(ones: Floats, others: Floats) -> Floats:
    """Pixels from boxes, (N, 4), to the left and to the right to others, (T, 4), in their line, or inf: (2, N, T)."""
    top, high = ones[:, None, 1], ones[:, None, 3]
    lower, higher = np.minimum(high, others[:, 3]), np.maximum(high, others[:, 3])
    shared = np.minimum(top + high, others[:, 1] + others[:, 3]) - np.maximum(top, others[:, 1])
    apart = separation(ones, others)
    apart[(shared <= IN_LINE * lower) | (higher >= ALIKE * lower)] = np.inf
    to_right = 2 * others[:, 0] + others[:, 2] > (2 * ones[:, 0] + ones[:, 2])[:, None]
    return np.stack((np.where(to_right, np.inf, apart), np.where(to_right, apart, np.inf)))


def separation(ones: Floats, others: Floats) -> Floats:
    """Pixels between boxes and others along x, infinite where one is over the other: (N, T)."""
    left, wide = ones[:, None, 0], ones[:, None, 2]
    apart: Floats = np.maximum(left - (others[:, 0] + others[:, 2]), others[:, 0] - (left + wide))
    apart[apart <= -OVERHANG * np.minimum(wide, others[:, 2])] = np.inf
    return apart


def last_of_word(things: Floats) -> NDArray[np.intp]:
    """The place of the last of the things that each of them, (T, 4), is followed by closely; its own where by none."""
    (_, place), (_, away) = find_nearest(things, things)
    last = np.where(away < SPACE * np.minimum(things[:, 3], things[place, 3]), place, np.arange(len(things)))
    while (last[last] != last).any():  # who follows is further right, so there is an end
        last = last[last]
    return last
