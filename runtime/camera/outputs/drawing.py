"""Draws on a copy of a frame what was read on it: for the window, snapshots and recordings alike."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import cv2
import numpy as np

from runtime.camera.frame import Box, Number, Picture, State, Tracked
from runtime.camera.outputs.seen import Seen, Status

Color: TypeAlias = tuple[int, int, int]
Words: TypeAlias = tuple[str, Color]

FONT = cv2.FONT_HERSHEY_SIMPLEX
# Blue, green, red. Each is seen on paper as on a board, since every line has a dark one beneath it.
DARK, WHITE, GREY = (24, 22, 20), (255, 255, 255), (190, 190, 190)
GREEN, AMBER, RED, BLUE = (120, 220, 60), (40, 180, 255), (70, 70, 255), (255, 180, 70)
DOUBTFUL = 0.8  # a probability below it is drawn in amber
COLORS = {State.CONNECTING: AMBER, State.STREAMING: GREEN, State.LOST: RED, State.ENDED: GREY}
OPACITY = 0.78  # of what words stand on
SHADE = 0.45  # of the light that is left outside of the region that is read
HEIGHT = 480  # rows of the frame that sizes are given for
HELP = (
    ("q, Esc", "quit"),
    ("space", "pause"),
    ("s", "save a snapshot"),
    ("r", "drag a region to read"),
    ("c", "read all of the frame"),
    ("h", "this help"),
)


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


def draw(seen: Seen, status: Status | None = None, *, help_shown: bool = False) -> Picture:
    """A copy of the frame with boxes, labels, numbers and, above it all, how the reading goes.

    Args:
        seen: the frame and what is on it.
        status: for the bar on top; None leaves it out.
        help_shown: list the window's keys.

    Returns:
        uint8 (H, W, 3), BGR, of the frame's size.
    """
    image = as_bgr(seen.frame.image)
    pen = pen_for(image)
    if seen.region:
        shade_outside(image, seen.region)
        cv2.rectangle(image, *corners(seen.region), BLUE, pen.line, cv2.LINE_AA)
    for box in seen.refused:
        draw_refused(image, box, pen)
    for digit in seen.digits:
        draw_box(image, digit.box, color_of(digit.probability), pen)
    top = pen.row + 2 * pen.pad if status else 0
    draw_labels(image, seen.digits, top, pen)
    sure = {digit.track: digit.probability for digit in seen.digits}
    for number in seen.numbers:
        if len(number.tracks) > 1:
            draw_number(image, number, min(sure.get(track, 1.0) for track in number.tracks), pen)
    if status:
        draw_status(image, status, pen)
    if help_shown:
        draw_help(image, pen)
    return image


def as_bgr(image: Picture) -> Picture:
    """A copy with three channels."""
    if image.ndim == 3 and image.shape[2] == 3:
        return image.copy()
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)


def corners(box: Box) -> tuple[tuple[int, int], tuple[int, int]]:
    """Upper left and lower right pixel."""
    x, y, width, height = box
    return (x, y), (x + width - 1, y + height - 1)


def shade_outside(image: Picture, region: Box) -> None:
    """Darken what is not read."""
    x, y, width, height = region
    inside = image[y : y + height, x : x + width].copy()
    cv2.convertScaleAbs(image, image, SHADE)
    image[y : y + height, x : x + width] = inside


def draw_box(image: Picture, box: Box, color: Color, pen: Pen) -> None:
    """A rectangle a little outside of the ink, on a dark one that sets it off from any ground."""
    x, y, width, height = box
    first, last = corners((x - pen.pad, y - pen.pad, width + 2 * pen.pad, height + 2 * pen.pad))
    cv2.rectangle(image, first, last, DARK, pen.line + 2, cv2.LINE_AA)
    cv2.rectangle(image, first, last, color, pen.line, cv2.LINE_AA)


def draw_refused(image: Picture, box: Box, pen: Pen) -> None:
    """Corners in grey: it was looked at, and is no digit."""
    x, y, width, height = box
    (left, top), (right, bottom) = corners((x - pen.pad, y - pen.pad, width + 2 * pen.pad, height + 2 * pen.pad))
    arm = max(3, min(width, height) // 4)
    for thickness, color in ((pen.line + 2, DARK), (pen.line, GREY)):
        for at, along, down in ((left, arm, top), (right, -arm, top), (left, arm, bottom), (right, -arm, bottom)):
            up = arm if down == top else -arm
            cv2.line(image, (at, down), (at + along, down), color, thickness, cv2.LINE_AA)
            cv2.line(image, (at, down), (at, down + up), color, thickness, cv2.LINE_AA)


def draw_labels(image: Picture, digits: tuple[Tracked, ...], top: int, pen: Pen) -> None:
    """The label of each digit above its box, with the probability where its neighbours leave room for that.

    Args:
        image: to draw on.
        digits: left to right.
        top: the first row that words may stand on.
        pen: sizes.
    """
    tall = pen.row + 2 * pen.pad
    places = []
    for digit in digits:
        x, y, _, height = digit.box
        over = y - 2 * pen.pad - tall
        places.append((x - pen.pad, over if over >= top else y + height + 2 * pen.pad))
    for digit, (x, y) in zip(digits, places, strict=True):
        color = color_of(digit.probability)
        words = [(digit.label, WHITE), (percent(digit.probability), color)]
        end = x + width_of(words, pen)
        if any(x < left < end and abs(y - down) < tall for left, down in places):
            words = [(digit.label, color)]
        chip(image, (x, y), words, pen)


def draw_number(image: Picture, number: Number, probability: float, pen: Pen) -> None:
    """A line under the digits, and the number below it with the probability of its least sure digit."""
    x, y, width, height = number.box
    under = y + height + 3 * pen.pad
    cv2.line(image, (x, under), (x + width - 1, under), DARK, pen.line + 3, cv2.LINE_AA)
    cv2.line(image, (x, under), (x + width - 1, under), BLUE, pen.line + 1, cv2.LINE_AA)
    large = Pen(pen.line, 1.5 * pen.text, round(1.5 * pen.row), pen.pad)
    words = [(number.text, WHITE), (percent(probability), color_of(probability))]
    chip(image, (x + (width - width_of(words, large)) // 2, under + pen.pad), words, large)


def color_of(probability: float) -> Color:
    """Green where it is high."""
    return GREEN if probability >= DOUBTFUL else AMBER


def percent(probability: float) -> str:
    """As words on a picture."""
    return f"{100 * probability:.0f}%"


def draw_status(image: Picture, status: Status, pen: Pen) -> None:
    """A bar on top: the source and its state at the left, how fast it goes at the right."""
    height, width = image.shape[0], image.shape[1]
    tall = pen.row + 2 * pen.pad
    darken(image, (0, 0, width, tall))
    middle = (2 * pen.pad + pen.row // 3, tall // 2)
    cv2.circle(image, middle, max(2, pen.row // 3), COLORS[status.state], cv2.FILLED, cv2.LINE_AA)
    right = [f"{status.fps:.1f} fps", f"{status.latency_ms:.0f} ms"]
    right += [f"{status.dropped} dropped"] if status.dropped else []
    right += [status.recording] if status.recording else []
    words = "   ".join(right)
    wide = width_of([(words, WHITE)], pen)
    write(image, words, (width - wide, pen.pad), WHITE, pen)
    state = "" if status.state is State.STREAMING else status.state.value
    about = "   ".join(part for part in (status.source, state, status.text) if part)
    about = shortened(about, width - wide - 5 * pen.pad - pen.row, pen)
    write(image, about, (pen.row + 3 * pen.pad, pen.pad), WHITE, pen)
    if status.state is State.LOST:
        banner = shortened(f"source lost   {status.text}".rstrip(), width - 8 * pen.pad, pen)
        wide = width_of([(banner, WHITE)], pen)
        chip(image, ((width - wide) // 2, height // 2), [(banner, RED)], pen)


def draw_help(image: Picture, pen: Pen) -> None:
    """The keys of the window, in the middle."""
    height, width = image.shape[0], image.shape[1]
    column = width_of([("q, Esc  ", WHITE)], pen)
    wide = column + max(width_of([(text, WHITE)], pen) for _, text in HELP) + 6 * pen.pad
    tall = len(HELP) * (pen.row + pen.pad) + 3 * pen.pad
    left, top = (width - wide) // 2, (height - tall) // 2
    darken(image, (left, top, wide, tall))
    for place, (key, text) in enumerate(HELP):
        down = top + 2 * pen.pad + place * (pen.row + pen.pad)
        write(image, key, (left + 3 * pen.pad, down), BLUE, pen)
        write(image, text, (left + 3 * pen.pad + column, down), WHITE, pen)


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
