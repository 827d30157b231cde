"""Draws on a copy of a frame what was read on it: for the window, snapshots and recordings alike."""

from __future__ import annotations

import cv2

from runtime.camera.frame import Box, Picture, State
from runtime.camera.outputs.labels import draw_words
from runtime.camera.outputs.pen import (
    AMBER,
    BLUE,
    DARK,
    GREEN,
    GREY,
    RED,
    WHITE,
    Color,
    Pen,
    chip,
    color_of,
    darken,
    pen_for,
    shortened,
    width_of,
    write,
)
from runtime.camera.outputs.seen import Seen, Status

COLORS = {State.CONNECTING: AMBER, State.STREAMING: GREEN, State.LOST: RED, State.ENDED: GREY}
SHADE = 0.45  # of the light that is left outside of the region that is read
HELP = (
    ("q, Esc", "quit"),
    ("space", "pause"),
    ("s", "save a snapshot"),
    ("r", "drag a region to read"),
    ("c", "read all of the frame"),
    ("n", "show the next source"),
    ("h", "this help"),
)


def draw(seen: Seen, status: Status | None = None, *, help_shown: bool = False) -> Picture:
    """A copy of the frame with boxes, labels, numbers and, above it all, how the reading goes.

    Args:
        seen: the frame and what is on it.
        status: for the bar on top; None leaves it out.
        help_shown: list the window's keys.

    Returns:
        uint8 (H, W, 3), BGR, of the frame's size.
    """
    image = seen.frame.image.copy()
    pen = pen_for(image)
    if seen.region:
        shade_outside(image, seen.region)
        cv2.rectangle(image, *corners(seen.region), BLUE, pen.line, cv2.LINE_AA)
    for box in seen.refused:
        draw_refused(image, box, pen)
    for digit in seen.digits:
        draw_box(image, digit.box, color_of(digit.probability), pen)
    draw_words(image, seen, pen.row + 2 * pen.pad if status else 0, pen)
    if status:
        draw_status(image, status, pen)
    if help_shown:
        draw_help(image, pen)
    return image


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
