"""What words on a picture are written with: sizes for the frame, colours, chips of words on dark."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np

from runtime.camera.frame import Box, Picture

Color: TypeAlias = tuple[int, int, int]
Words: TypeAlias = tuple[str, Color]

FONT = cv2.FONT_HERSHEY_SIMPLEX
# Blue, green, red. Each is seen on paper as on a board, since every line has a dark one beneath it.
DARK, WHITE, GREY = (24, 22, 20), (255, 255, 255), (190, 190, 190)
GREEN, AMBER, RED, BLUE = (120, 220, 60), (40, 180, 255), (70, 70, 255), (255, 180, 70)
DOUBTFUL = 0.8  # a probability below it is drawn in amber
OPACITY = 0.78  # of what words stand on
HEIGHT = 480  # rows of the frame that sizes are given for


class Pen(NamedTuple):
    """Sizes for a frame, in pixels.

    Attributes:
        line: thickness of a thin line.
        text: of OpenCV's font, as a factor.
        row: height of a line of text.
        pad: room about words.
    """

    line: int
    text: float
    row: int
    pad: int


def pen_for(image: Picture) -> Pen:
    """Sizes that look alike on frames of any size, and stay legible on the smallest."""
    factor = max(min(image.shape[0], image.shape[1] * 3 / 4) / HEIGHT, 0.7)
    return Pen(max(1, round(1.3 * factor)), 0.5 * factor, round(15 * factor), max(2, round(4 * factor)))


def color_of(probability: float) -> Color:
    """Green where it is high."""
    return GREEN if probability >= DOUBTFUL else AMBER


def percent(probability: float) -> str:
    """As words on a picture."""
    return f"{100 * probability:.0f}%"


def chip(image: Picture, place: tuple[int, int], words: list[Words], pen: Pen) -> None:
    """Words, each in its colour, on a dark ground; moved to where all of them are on the picture."""
    height, width = image.shape[0], image.shape[1]
    wide, tall = width_of(words, pen), pen.row + 2 * pen.pad
    x, y = max(0, min(place[0], width - wide)), max(0, min(place[1], height - tall))
    darken(image, (x, y, wide, tall))
    for text, color in words:
        write(image, text, (x + pen.pad, y + pen.pad), color, pen)
        x += text_width(text, pen) + pen.pad


def width_of(words: list[Words], pen: Pen) -> int:
    """Of a chip with these words."""
    return sum(text_width(text, pen) + pen.pad for text, _ in words) + pen.pad


@lru_cache(maxsize=1024)
def text_width(text: str, pen: Pen) -> int:
    """Pixels that a text is wide."""
    return int(cv2.getTextSize(drawable(text), FONT, pen.text, pen.line)[0][0])


def write(image: Picture, text: str, place: tuple[int, int], color: Color, pen: Pen) -> None:
    """A text whose line has its upper left corner at a place."""
    foot = (place[0], place[1] + round(0.8 * pen.row))
    cv2.putText(image, drawable(text), foot, FONT, pen.text, color, pen.line, cv2.LINE_AA)


def drawable(text: str) -> str:
    """Text in letters that OpenCV has; its fonts before 5.0 know ASCII alone."""
    plain = "".join(char if char.isprintable() else "?" for char in text)
    return plain if int(cv2.__version__.split(".")[0]) >= 5 else plain.encode("ascii", "replace").decode()


def shortened(text: str, wide: int, pen: Pen) -> str:
    """As much of a text as fits into a width."""
    if text_width(text, pen) <= wide:
        return text
    while text and text_width(text + "...", pen) > wide:
        text = text[:-1]
    return text + "..." if text else ""


def darken(image: Picture, box: Box) -> None:
    """Mix a part of the picture with dark, so that words on it are legible on any ground."""
    height, width = image.shape[0], image.shape[1]
    left, top = max(0, box[0]), max(0, box[1])
    part = image[top : min(height, box[1] + box[3]), left : min(width, box[0] + box[2])]
    if part.size:
        ground = np.empty_like(part)
        ground[:] = DARK
        part[:] = cv2.addWeighted(part, 1 - OPACITY, ground, OPACITY, 0)
