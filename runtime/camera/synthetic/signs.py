"""Signs in the line of a number, by the hand that wrote it: the slash of a date, brackets, a plus, a letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.synthetic.letters import (
    ROUND_BRACKETS,
    SIGNS,
    SLASH,
    Line,
    handwritten,
    letter,
    small_letter,
    spelled,
)
from runtime.camera.synthetic.noise import chance, pick

SIDE = 28  # pixels of a picture, as MNIST has them
FINE = 8  # times as many while it is drawn
TALL = 20 / SIDE  # of the picture, as high as MNIST's digits
SQUARE_BRACKETS = ("60303A6A", "40707A4A")


@dataclass(frozen=True)
class Written:
    """A digit or a sign of a number.

    Attributes:
        image: uint8 (28, 28), light on dark.
        label: of a digit.
        height: as a share of the digits'.
        kind: of what is no digit.
        space: to the next one besides the usual, as a share of the digits' height.
    """

    image: NDArray[np.uint8]
    label: int | None
    height: float = 1.0
    kind: str = "sign"
    space: float = 0.0


def with_signs(rng: np.random.Generator, digits: Sequence[Written]) -> list[Written]:
    """A line of digits with signs before, after or between them."""
    line = list(digits)
    if chance(rng, 0.3):
        opening, closing = ROUND_BRACKETS if chance(rng, 0.7) else SQUARE_BRACKETS
        height = pick(rng, 1.0, 1.5)
        if not chance(rng, 0.2):  # at times only the one that closes, as of a list
            line.insert(0, drawn(rng, handwritten(rng, opening), pick(rng, 0.25, 0.6), height))
        return [*line, drawn(rng, handwritten(rng, closing), pick(rng, 0.25, 0.6), height)]
    if len(line) > 1 and chance(rng, 0.6):  # anywhere else a slash may pass for a 1
        wide, height = pick(rng, 0.35, 0.9), pick(rng, 1.1, 1.5)
        for place in some(rng, range(1, len(line))):
            line.insert(place, drawn(rng, handwritten(rng, SLASH), wide, height))
        return line
    plus = chance(rng, 0.5)
    for place in some(rng, range(len(line) + 1)):
        if plus:
            sign = drawn(rng, handwritten(rng, SIGNS["plus"]), pick(rng, 0.8, 1.1), pick(rng, 0.5, 0.9))
        else:
            sign = drawn(rng, letter(rng), pick(rng, 0.6, 1.0), pick(rng, 0.6, 1.2))
        line.insert(place, sign)
    return line


def with_word(rng: np.random.Generator, digits: Sequence[Written]) -> list[Written]:
    """A line of digits with a word before or after them."""
    height, before = pick(rng, 0.65, 1.1), chance(rng, 0.7)
    letters = [
        drawn(rng, small_letter(rng, name), pick(rng, 0.55, 0.95), height * pick(rng, 0.9, 1.1), "word")
        for name in spelled(rng, int(rng.integers(2, 7)))
    ]
    first, second = (letters, [*digits]) if before else ([*digits], letters)
    return [*first[:-1], replace(first[-1], space=pick(rng, 0.2, 1.2)), *second]


def some(rng: np.random.Generator, places: range) -> list[int]:
    """One of them or two, the last one first."""
    chosen = rng.choice(places, min(len(places), int(rng.integers(1, 3))), replace=False)
    return sorted(chosen.tolist(), reverse=True)


def drawn(rng: np.random.Generator, lines: Sequence[Line], wide: float, height: float, kind: str = "sign") -> Written:
    """Lines of the unit square as a picture; `wide` is their width over their height."""
    side = SIDE * FINE
    canvas = np.zeros((side, side), np.uint8)
    thick = round(pick(rng, 2.0, 3.2) * FINE)
    for line in lines:
        points = ((line - 0.5) * (wide * TALL, TALL) + 0.5) * side
        cv2.polylines(canvas, [np.round(points).astype(np.int32)[:, None]], False, 255, thick, cv2.LINE_AA)
    image = cv2.resize(cv2.GaussianBlur(canvas, (0, 0), 0.4 * FINE), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return Written(np.asarray(image, np.uint8), None, height, kind)
