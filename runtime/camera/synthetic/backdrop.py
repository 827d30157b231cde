"""What a scene happens on, before anything is written: one sheet, a board, or sheets on a desk."""

from __future__ import annotations

import numpy as np

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ground import desk
from runtime.camera.synthetic.noise import chance, pick
from runtime.camera.synthetic.sheets import Surface, chalkboard, lay_sheet, rectangle, whole_sheet


def backdrop(
    rng: np.random.Generator, difficulty: str, size: tuple[int, int], height: float
) -> tuple[Picture, list[Surface], bool]:
    """Draw one.

    Args:
        rng: what is drawn by chance.
        difficulty: of the scene.
        size: width and height of the canvas.
        height: of digits, in pixels of the canvas; lines are ruled to suit.

    Returns:
        The canvas, the places to write on, lower ones first, and whether they are dark.
    """
    wide, tall = size
    pitch = max(pick(rng, 0.35, 1.7) * height, 9.0)
    if difficulty == "clean" or (difficulty == "uneven" and chance(rng, 0.7)):
        canvas, surface = whole_sheet(rng, tall, wide, 0.0 if difficulty == "clean" else 0.4, 0.0)
        return canvas, [surface], False
    kind = str(rng.choice(("whole", "board", "sheets"), p=(0.25, 0.23, 0.52)))
    if kind == "board":
        canvas, surface = chalkboard(rng, tall, wide)
        return canvas, [surface], True
    if kind == "whole":
        canvas, surface = whole_sheet(rng, tall, wide, 0.7, pitch if difficulty == "desk" else 0.0)
        return canvas, [surface], False
    canvas = desk(rng, tall, wide)
    return canvas, sheets(rng, canvas, pitch), False


def sheets(rng: np.random.Generator, canvas: Picture, pitch: float) -> list[Surface]:
    """Lay one large sheet and some smaller ones; or notes alone."""
    tall, wide = canvas.shape[:2]
    many = int(rng.choice((1, 2, 3, 4), p=(0.5, 0.25, 0.15, 0.1)))
    notes = many > 2 and chance(rng, 0.3)
    surfaces: list[Surface] = []
    for number in range(many):
        large = not number and not notes
        share = rng.uniform(0.5, 0.85, 2) if large else rng.uniform(0.22, 0.5, 2)
        if notes:
            share[:] = share[0] * np.array((1.0, wide / tall)) * (pick(rng, 0.9, 1.1), 1.0)
        middle = rng.uniform(0.34, 0.66, 2) if large else rng.uniform(0.2, 0.8, 2)
        angle = float(np.clip(rng.normal(0, 0.13), -0.3, 0.3))
        corners = rectangle(middle[0] * wide, middle[1] * tall, share[0] * wide, share[1] * tall, angle)
        lines = pitch * pick(rng, 0.8, 1.2) if chance(rng, 0.2 if notes else 0.6) else 0.0
        surfaces.append(lay_sheet(rng, canvas, corners, angle, lines, note=notes or not large))
    return surfaces
