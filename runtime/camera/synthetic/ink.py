"""Pens, and how their ink lies on paper or board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.synthetic.noise import Field, chance, floats, pick, texture
from runtime.camera.synthetic.strokes import Mark

Colour = tuple[float, float, float]  # blue, green, red; 0..1 of what a white sheet sends back

DARK_COLOURS: tuple[Colour, ...] = (
    (0.10, 0.10, 0.10),
    (0.16, 0.15, 0.14),
    (0.55, 0.20, 0.10),
    (0.70, 0.30, 0.16),
    (0.42, 0.14, 0.12),
    (0.15, 0.12, 0.62),
    (0.22, 0.20, 0.80),
    (0.20, 0.38, 0.12),
    (0.50, 0.15, 0.40),
    (0.12, 0.22, 0.36),
    (0.45, 0.36, 0.10),
)
LIGHT_COLOURS: tuple[Colour, ...] = (
    (0.95, 0.96, 0.96),
    (0.90, 0.93, 0.95),
    (0.84, 0.88, 0.90),
    (0.55, 0.90, 0.95),
    (0.80, 0.75, 0.98),
    (0.96, 0.85, 0.65),
    (0.70, 0.93, 0.72),
    (0.45, 0.72, 0.98),
)


@dataclass(frozen=True)
class Pen:
    """What is written with.

    Attributes:
        name: of the kind of pen.
        colour: of its ink.
        opacity: 0..1, how much of the ground it covers.
        grain: 0..1, how much of the ground's tooth stays free of ink.
        tooth: the texture of that.
        pressure: 0..1, how much the ink's density changes along a stroke.
        width: of the pen, as a share of a digit's height, where the pen and not the digit decides.
        light: whether it covers the ground (chalk, gel) in place of darkening it.
    """

    name: str
    colour: Colour
    opacity: float
    grain: float
    tooth: str
    pressure: float
    width: float
    light: bool = False


def dark_pen(rng: np.random.Generator) -> Pen:
    """A pen for light paper."""
    black = chance(rng, 0.4)
    base = DARK_COLOURS[int(rng.integers(0, 2))] if black else DARK_COLOURS[int(rng.integers(len(DARK_COLOURS)))]
    colour = jittered(rng, base, 0.05)
    kind = str(rng.choice(("ballpoint", "gel", "pencil", "marker", "fountain", "crayon", "felt"), p=PEN_SHARES))
    if kind == "ballpoint":
        return Pen(kind, colour, pick(rng, 0.72, 0.95), pick(rng, 0.0, 0.25), "fine", pick(rng, 0.1, 0.35), 0.06)
    if kind == "gel":
        return Pen(kind, colour, pick(rng, 0.88, 1.0), 0.0, "fine", pick(rng, 0.0, 0.1), 0.07)
    if kind == "pencil":
        shade = pick(rng, 0.2, 0.42)
        grain = pick(rng, 0.2, 0.6)
        return Pen(kind, (shade, shade, shade), pick(rng, 0.7, 0.92), grain, "fine", pick(rng, 0.1, 0.4), 0.07)
    if kind == "marker":
        return Pen(kind, colour, pick(rng, 0.85, 1.0), 0.0, "fine", pick(rng, 0.0, 0.2), 0.15)
    if kind == "fountain":
        return Pen(kind, colour, pick(rng, 0.8, 0.98), 0.0, "fine", pick(rng, 0.2, 0.5), 0.09)
    if kind == "crayon":
        return Pen(kind, colour, pick(rng, 0.8, 1.0), pick(rng, 0.35, 0.7), "tooth", pick(rng, 0.1, 0.3), 0.13)
    return Pen(kind, colour, pick(rng, 0.8, 0.98), pick(rng, 0.0, 0.15), "tooth", pick(rng, 0.05, 0.25), 0.10)


PEN_SHARES = (0.27, 0.16, 0.15, 0.14, 0.1, 0.06, 0.12)


def chalk(rng: np.random.Generator) -> Pen:
    """Chalk for a board."""
    colour = LIGHT_COLOURS[0] if chance(rng, 0.55) else LIGHT_COLOURS[int(rng.integers(len(LIGHT_COLOURS)))]
    tooth = str(rng.choice(("fine", "tooth", "grain"), p=(0.45, 0.47, 0.08)))
    grain = pick(rng, 0.2, 0.75 if tooth != "grain" else 0.35)
    return Pen(
        "chalk", jittered(rng, colour, 0.03), pick(rng, 0.7, 0.97), grain, tooth, pick(rng, 0.1, 0.4), 0.11, True
    )


def light_pen(rng: np.random.Generator) -> Pen:
    """A gel pen or paint marker for dark paper."""
    colour = jittered(rng, LIGHT_COLOURS[int(rng.integers(len(LIGHT_COLOURS)))], 0.04)
    return Pen("gel", colour, pick(rng, 0.75, 1.0), pick(rng, 0.0, 0.2), "fine", pick(rng, 0.0, 0.25), 0.08, True)


def jittered(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """A colour near another one."""
    blue, green, red = np.clip(np.array(colour) + rng.uniform(-amount, amount, 3), 0.03, 1.0)
    return float(blue), float(green), float(red)


def write(rng: np.random.Generator, canvas: Picture, mark: Mark, pen: Pen) -> None:
    """Lay a pen's ink onto the canvas."""
    put(canvas, mark.x, mark.y, inked(rng, mark.alpha, pen), pen.colour, pen.light)


def inked(rng: np.random.Generator, alpha: Field, pen: Pen) -> Field:
    """A shape's coverage with the pen's unevenness."""
    height, width = alpha.shape
    cover = alpha * np.float32(pen.opacity)
    if pen.pressure:
        cover = cover * (
            1 - np.float32(pen.pressure) * np.clip(texture(rng, "blotch", height, width) * 0.5 + 0.4, 0, 1)
        )
    if pen.grain:
        free = np.clip(texture(rng, pen.tooth, height, width) * 0.8 - 0.6 + np.float32(pen.grain), 0, 1)
        cover = cover * (1 - np.float32(min(0.92, 0.4 + 0.7 * pen.grain)) * free)
    return np.asarray(cover, np.float32)


def put(canvas: Picture, x: int, y: int, cover: Field, colour: Colour, opaque: bool) -> None:
    """Blend a colour into the canvas, by coverage 0..1; what is not opaque darkens what is below.

    Args:
        canvas: uint8 (H, W, 3), written to.
        x: the column of the canvas where `cover` begins; may lie outside.
        y: its row.
        cover: float32 (h, w).
        colour: of the ink.
        opaque: whether it hides the ground, as chalk does.
    """
    height, width = canvas.shape[:2]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + cover.shape[1], width), min(y + cover.shape[0], height)
    if left >= right or top >= bottom:
        return
    part = floats(cover[top - y : bottom - y, left - x : right - x])
    kept = cv2.merge([1 - part] * 3 if opaque else [1 - part * np.float32(1 - tone) for tone in colour])
    ground = cv2.multiply(canvas[top:bottom, left:right], kept, dtype=cv2.CV_8U)
    if opaque:
        ground = cv2.add(ground, cv2.merge([cv2.convertScaleAbs(part, alpha=255 * tone) for tone in colour]))
    canvas[top:bottom, left:right] = ground


def shaded(canvas: Picture, x: int, y: int, cover: Field, depth: float) -> None:
    """Darken the canvas by a soft shadow."""
    put(canvas, x, y, cover * np.float32(depth), (0.05, 0.04, 0.04), False)


def any_of(rng: np.random.Generator, colours: Sequence[Colour], amount: float) -> Colour:
    """A colour near one of several."""
    return jittered(rng, colours[int(rng.integers(len(colours)))], amount)


def luma(colour: Colour | NDArray[np.float64]) -> float:
    """How bright a colour is, 0..1."""
    return float(0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2])
