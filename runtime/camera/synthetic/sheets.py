"""Places to write on, laid onto the canvas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ground import board
from runtime.camera.synthetic.ink import Colour, Pen, any_of, chalk, dark_pen, light_pen, shaded
from runtime.camera.synthetic.layout import grown
from runtime.camera.synthetic.noise import chance, floats, pick
from runtime.camera.synthetic.paper import paper, paper_colour, ruled

FRAMES: tuple[Colour, ...] = ((0.35, 0.55, 0.72), (0.2, 0.35, 0.5), (0.65, 0.67, 0.68))
DARK_PAPERS: tuple[Colour, ...] = ((0.12, 0.12, 0.13), (0.36, 0.20, 0.13), (0.20, 0.14, 0.26), (0.17, 0.27, 0.36))


@dataclass(frozen=True, eq=False)
class Surface:
    """A place to write on.

    Attributes:
        corners: float64 (4, 2), in turn, in pixels of the canvas.
        angle: of its lines, in radians, clockwise on the picture.
        pen: makes one that suits it.
        whole: whether it covers the canvas, so that its sides are not seen.
        dark: whether it takes light ink.
    """

    corners: NDArray[np.float64]
    angle: float
    pen: Callable[[np.random.Generator], Pen]
    whole: bool
    dark: bool = False


def rectangle(x: float, y: float, width: float, height: float, angle: float) -> NDArray[np.float64]:
    """(4, 2) corners, in turn, of a rectangle about a centre."""
    half = np.array(((-width, -height), (width, -height), (width, height), (-width, height))) / 2
    turn = np.array(((np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))))
    return half @ turn + (x, y)


def whole_sheet(
    rng: np.random.Generator, height: int, width: int, wear: float, pitch: float
) -> tuple[Picture, Surface]:
    """A canvas that is one sheet of paper.

    Args:
        rng: what is drawn by chance.
        height: of the canvas.
        width: of the canvas.
        wear: 0..1, of the paper.
        pitch: of its lines, in pixels; 0 for blank paper.
    """
    picture = paper(rng, height, width, paper_colour(rng, 0.15), wear)
    angle = 0.0 if not wear else pick(rng, -0.12, 0.12)
    if pitch:
        ruled(rng, picture, (pick(rng, 0, width), pick(rng, 0, height)), angle, pitch)
    return picture, Surface(rectangle(width / 2, height / 2, width, height, 0), angle, dark_pen, True)


def lay_sheet(
    rng: np.random.Generator, canvas: Picture, corners: NDArray[np.float64], angle: float, pitch: float, *, note: bool
) -> Surface:
    """Lay a sheet onto the canvas, with the shadow that it throws.

    Args:
        rng: what is drawn by chance.
        canvas: written to.
        corners: (4, 2), in turn.
        angle: of the sheet, in radians.
        pitch: of its lines in pixels; 0 for blank paper.
        note: whether it may be a coloured note.
    """
    dark = chance(rng, 0.1)
    left, top = np.floor(corners.min(axis=0)).astype(int) - 12
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 12
    left, top = max(int(left), 0), max(int(top), 0)
    right, bottom = min(int(right), canvas.shape[1]), min(int(bottom), canvas.shape[0])
    height, width = bottom - top, right - left
    inner = corners - (left, top)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(inner * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    cover = mask.astype(np.float32) / 255
    reach = pick(rng, 0.6, 5)
    shadow = floats(cv2.GaussianBlur(cover, (0, 0), reach))
    shaded(canvas, left + int(pick(rng, -3, 5)), top + int(pick(rng, -2, 5)), shadow, pick(rng, 0.2, 0.65))
    slate = dark and chance(rng, 0.4)
    colour = any_of(rng, DARK_PAPERS, 0.03) if dark else paper_colour(rng, 0.5 if note else 0.12)
    picture = board(rng, height, width) if slate else paper(rng, height, width, colour, 0.6)
    if pitch:
        ruled(rng, picture, (float(inner[0, 0]), float(inner[0, 1])), angle, pitch)
    part = canvas[top:bottom, left:right]
    weight = cv2.merge([cover] * 3)
    part[:] = (part + (picture.astype(np.float32) - part) * weight + 0.5).astype(np.uint8)
    if slate:  # in its wooden frame
        wide, wood = int(pick(rng, 6, 16)), tuple(255 * tone for tone in any_of(rng, FRAMES, 0.08))
        rim = grown(corners, wide / 2 - 1)
        cv2.polylines(canvas, [np.round(rim * 16).astype(np.int32)], True, wood, wide, cv2.LINE_AA, 4)
    return Surface(corners, angle, (chalk if slate else light_pen) if dark else dark_pen, False, dark)


def chalkboard(rng: np.random.Generator, height: int, width: int) -> tuple[Picture, Surface]:
    """A canvas that is one board; at times a dark sheet of paper."""
    if chance(rng, 0.25):
        colour = any_of(rng, DARK_PAPERS, 0.03)
        picture, pen = paper(rng, height, width, colour, 0.7), light_pen
    else:
        picture, pen = board(rng, height, width), chalk
    angle = pick(rng, -0.1, 0.1)
    if chance(rng, 0.25):
        lines = picture.copy()
        ruled(rng, lines, (pick(rng, 0, width), pick(rng, 0, height)), angle, pick(rng, 25, 80))
        picture = np.minimum(picture.astype(np.int16) * 2 - lines, 255).astype(np.uint8)
    return picture, Surface(rectangle(width / 2, height / 2, width, height, 0), angle, pen, True, True)
