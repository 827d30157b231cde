"""Things that lie on a desk: coins, cups, pens, erasers, clips, cables, a ruler."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ink import Colour, any_of
from runtime.camera.synthetic.noise import chance, pick, smooth
from runtime.camera.synthetic.stencil import Point, Stencil, unit

PLASTICS: tuple[Colour, ...] = (
    (0.15, 0.15, 0.15),
    (0.65, 0.30, 0.12),
    (0.15, 0.15, 0.75),
    (0.30, 0.60, 0.20),
    (0.85, 0.86, 0.86),
    (0.20, 0.75, 0.92),
    (0.55, 0.55, 0.58),
    (0.45, 0.25, 0.60),
)
METALS: tuple[Colour, ...] = ((0.35, 0.55, 0.72), (0.62, 0.66, 0.68), (0.28, 0.42, 0.62))
DRINKS: tuple[Colour, ...] = ((0.05, 0.10, 0.20), (0.25, 0.42, 0.60), (0.10, 0.30, 0.55), (0.85, 0.88, 0.88))
WOOD: tuple[Colour, ...] = ((0.50, 0.68, 0.80),)


def coin(rng: np.random.Generator, canvas: Picture, middle: Point, radius: float) -> Stencil:
    """A coin with a rim, something embossed, and a gleam."""
    body = Stencil(canvas, middle, radius)
    body.disc(middle, radius, radius)
    body.drop(rng, max(1.5, radius * 0.07))
    height, width = body.mask.shape
    rows, columns = np.ogrid[:height, :width]
    x, y = columns - middle[0] + body.left, rows - middle[1] + body.top
    distance, turn = np.hypot(x, y) / radius, np.arctan2(y, x)
    shade = 0.9 + 0.25 * np.cos(turn - pick(rng, 0, 6)) * (distance > 0.84) + 0.12 * np.cos(2 * turn - pick(rng, 0, 6))
    relief = np.abs(smooth(rng, height, width, pick(rng, 5, 9))) * (distance < 0.7)
    shade = shade + 0.25 * np.clip(relief - 0.8, -0.4, 0.5) - 0.3 * np.exp(-(((distance - 0.82) / 0.03) ** 2))
    body.paint(any_of(rng, METALS, 0.05), shade.astype(np.float32))
    return body


def cup(rng: np.random.Generator, canvas: Picture, middle: Point, radius: float) -> Stencil:
    """A cup from above, with its handle and what is in it."""
    colour, angle = any_of(rng, PLASTICS, 0.06), pick(rng, 0, 2 * np.pi)
    body = Stencil(canvas, middle, radius * 1.6)
    if chance(rng, 0.8):
        body.bar(middle, middle + unit(angle) * radius * 1.35, radius * 0.3)
    body.disc(middle, radius, radius)
    body.drop(rng, radius * 0.25)
    body.paint(colour, 0.75 + 0.3 * body.roundness(radius * 0.15))
    inner = Stencil(canvas, middle, radius)
    inner.disc(middle, radius * 0.86, radius * 0.86)
    inner.paint(colour, 0.7)
    drink = Stencil(canvas, middle, radius)
    drink.disc(middle + unit(angle) * radius * 0.05, radius * 0.76, radius * 0.76)
    drink.paint(any_of(rng, DRINKS, 0.03))
    return body


def stick(
    rng: np.random.Generator, canvas: Picture, middle: Point, radius: float, angle: float | None = None
) -> Stencil:
    """A pen or pencil, its tip towards `angle`."""
    angle = pick(rng, 0, 2 * np.pi) if angle is None else angle
    thick = max(5.0, radius * pick(rng, 0.10, 0.16))
    along, across = unit(angle) * radius, unit(angle + np.pi / 2) * thick / 2
    tail, neck = middle - along, middle + along * 0.78
    body = Stencil(canvas, middle, radius + thick)
    body.area(tail + across, neck + across, middle + along, neck - across, tail - across)
    body.drop(rng, thick * 0.5)
    shade = 0.6 + 0.5 * body.roundness(thick / 2)
    body.paint(any_of(rng, PLASTICS, 0.08), shade)
    end = Stencil(canvas, middle, radius + thick)
    end.area(tail + across, tail + along * 0.14 + across, tail + along * 0.14 - across, tail - across)
    end.paint(any_of(rng, PLASTICS, 0.05), shade)
    point = Stencil(canvas, middle, radius + thick)
    point.area(neck + across, middle + along, neck - across)
    point.paint(any_of(rng, WOOD if chance(rng, 0.5) else METALS, 0.05), shade)
    gleam = Stencil(canvas, middle, radius + thick)
    gleam.bar(tail + across * 0.3, neck + across * 0.3, max(1.0, thick * 0.12))
    gleam.glaze((1.0, 1.0, 1.0), pick(rng, 0.0, 0.6))
    return body


def eraser(rng: np.random.Generator, canvas: Picture, middle: Point, radius: float) -> Stencil:
    """An eraser, a box of matches, a phone: a block in one colour or two."""
    angle = pick(rng, 0, np.pi)
    along, across = unit(angle) * radius * 0.8, unit(angle + np.pi / 2) * radius * pick(rng, 0.3, 0.5)
    body = Stencil(canvas, middle, radius)
    body.area(middle - along - across, middle + along - across, middle + along + across, middle - along + across)
    body.drop(rng, radius * 0.12)
    shade = 0.7 + 0.3 * body.roundness(max(2.0, radius * 0.1))
    body.paint(any_of(rng, PLASTICS, 0.08), shade)
    if chance(rng, 0.7):
        sleeve = Stencil(canvas, middle, radius)
        sleeve.area(middle - across, middle + along - across, middle + along + across, middle + across)
        sleeve.paint(any_of(rng, PLASTICS, 0.08), shade)
    return body


def ruler(rng: np.random.Generator, canvas: Picture, middle: Point, radius: float) -> Stencil:
    """A ruler with its ticks, and no figures."""
    angle, thick = pick(rng, 0, 2 * np.pi), max(14.0, radius * pick(rng, 0.14, 0.24))
    along, across = unit(angle) * radius, unit(angle + np.pi / 2) * thick / 2
    body = Stencil(canvas, middle, radius + thick)
    body.area(middle - along - across, middle + along - across, middle + along + across, middle - along + across)
    body.drop(rng, 2.0)
    body.paint(any_of(rng, (*PLASTICS, *WOOD), 0.08), 0.85 + 0.15 * body.roundness(3))
    ticks = Stencil(canvas, middle, radius + thick)
    for number, share in enumerate(np.arange(-0.95, 0.95, max(0.025, 4 / radius))):
        start = middle + along * share - across
        ticks.bar(start, start + across * (0.8 if not number % 5 else 0.45), 1)
    ticks.glaze((0.1, 0.1, 0.1) if chance(rng, 0.8) else (0.9, 0.9, 0.9), 0.8)
    return body


def clip(rng: np.random.Generator, canvas: Picture, middle: Point, radius: float) -> Stencil:
    """A paper clip."""
    angle, radius = pick(rng, 0, 2 * np.pi), min(radius, 34.0)
    wire = np.array(
        ((-0.6, 0.3), (0.7, 0.3), (0.95, 0.1), (0.7, -0.3), (-0.8, -0.3), (-1.0, 0.0), (-0.8, 0.18), (0.45, 0.18),
         (0.6, 0.0), (0.45, -0.15), (-0.5, -0.15))
    )  # fmt: skip
    places = middle + wire * radius @ np.stack((unit(angle), unit(angle + np.pi / 2)))
    return wound(rng, canvas, middle, radius, places, max(2.0, radius * 0.08))


def cable(rng: np.random.Generator, canvas: Picture, middle: Point, radius: float) -> Stencil:
    """A cable or string in a bow."""
    t = np.linspace(-1, 1, 24)
    turns = pick(rng, 0, 2 * np.pi) + pick(rng, -2.5, 2.5) * t + pick(rng, -1, 1) * t**2
    places = np.cumsum(np.stack((np.cos(turns), np.sin(turns)), 1), 0)
    places = places - places.mean(axis=0)
    places = middle + places / np.abs(places).max() * radius
    return wound(rng, canvas, middle, radius, places, max(3.0, radius * 0.06))


def wound(
    rng: np.random.Generator, canvas: Picture, middle: Point, radius: float, places: Point, thick: float
) -> Stencil:
    """A wire through places, (N, 2)."""
    body = Stencil(canvas, middle, radius)
    for first, last in pairwise(places):
        body.bar(first, last, thick)
    body.drop(rng, thick * 0.5)
    body.paint(any_of(rng, PLASTICS, 0.05), 0.6 + 0.5 * body.roundness(thick / 2))
    return body


#: Each kind with how it is drawn, and its least and largest radius as a share of the canvas' width.
THINGS: dict[str, tuple[Callable[[np.random.Generator, Picture, Point, float], Stencil], float, float]] = {
    "coin": (coin, 0.02, 0.05),
    "cup": (cup, 0.08, 0.14),
    "pen": (stick, 0.07, 0.22),
    "eraser": (eraser, 0.03, 0.16),
    "ruler": (ruler, 0.1, 0.25),
    "clip": (clip, 0.02, 0.04),
    "cable": (cable, 0.05, 0.2),
}
