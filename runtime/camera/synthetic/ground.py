"""What lies below paper, or takes chalk itself: desks and boards."""

from __future__ import annotations

import numpy as np

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ink import Colour, any_of, put
from runtime.camera.synthetic.noise import chance, pick, smooth, texture
from runtime.camera.synthetic.paper import tinted

BOARDS: tuple[Colour, ...] = (
    (0.15, 0.15, 0.15),
    (0.20, 0.27, 0.18),
    (0.24, 0.33, 0.20),
    (0.28, 0.24, 0.20),
    (0.11, 0.12, 0.12),
    (0.22, 0.22, 0.24),
)
DESKS: tuple[Colour, ...] = (
    (0.32, 0.47, 0.62),
    (0.20, 0.32, 0.46),
    (0.13, 0.20, 0.29),
    (0.55, 0.68, 0.78),
    (0.24, 0.25, 0.26),
    (0.48, 0.47, 0.45),
    (0.80, 0.81, 0.81),
    (0.12, 0.12, 0.12),
    (0.42, 0.30, 0.20),
    (0.25, 0.36, 0.24),
    (0.30, 0.25, 0.52),
)


def board(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A chalkboard with the clouds that wiping leaves."""
    colour = any_of(rng, BOARDS, 0.03)
    shade = 1 + texture(rng, "fine", height, width) * np.float32(pick(rng, 0.01, 0.06))
    shade += texture(rng, "blotch", height, width) * np.float32(pick(rng, 0.0, 0.05))
    picture = tinted(shade, colour)
    dust = np.zeros((height, width), np.float32)
    if chance(rng, 0.8):
        dust += np.clip(texture(rng, "cloud", height, width) * 0.5 + 0.3, 0, 2) * np.float32(pick(rng, 0.02, 0.12))
    if chance(rng, 0.7):
        dust += np.clip(texture(rng, "smear", height, width), 0, 3) * np.float32(pick(rng, 0.01, 0.07))
    if chance(rng, 0.4):
        dust += np.clip(texture(rng, "streak", height, width) - 0.5, 0, 3) * np.float32(pick(rng, 0.01, 0.05))
    if chance(rng, 0.5):
        turned = np.clip(texture(rng, "smear", width, height).T, 0, 3)
        dust += turned * np.float32(pick(rng, 0.01, 0.05))
    dust *= 1 + texture(rng, "fine", height, width) * np.float32(0.3)
    put(picture, 0, 0, np.clip(dust, 0, 0.4), (0.93, 0.95, 0.95), True)
    return picture


def desk(rng: np.random.Generator, height: int, width: int) -> Picture:
    """A table top: wood, cloth, stone or one colour."""
    colour = any_of(rng, DESKS, 0.08)
    kind = str(rng.choice(("wood", "cloth", "plain", "stone", "weave"), p=(0.4, 0.15, 0.2, 0.15, 0.1)))
    rows, columns = np.ogrid[:height, :width]
    shade = 1 + texture(rng, "fine", height, width) * np.float32(pick(rng, 0.005, 0.04))
    if kind == "wood":
        grain = texture(rng, "streak", max(height, width), max(height, width))
        grain = (grain if chance(rng, 0.6) else grain.T)[:height, :width]
        bend = smooth(rng, height, width, 3) * np.float32(pick(rng, 0.5, 3))
        along = rows if chance(rng, 0.5) else columns
        rings = np.sin((along / np.float32(pick(rng, 6, 30))).astype(np.float32) + bend * 2)
        shade += grain * np.float32(pick(rng, 0.02, 0.11)) + rings * np.float32(pick(rng, 0.0, 0.07))
        if chance(rng, 0.3):  # boards side by side
            step = pick(rng, 60, 200)
            gaps = np.abs((along % step) - step / 2).astype(np.float32)
            shade *= 1 - np.float32(0.5) * np.clip(2.0 - gaps, 0, 1)
    elif kind == "cloth":
        shade += texture(rng, "fibre", height, width) * np.float32(pick(rng, 0.02, 0.1))
        shade += texture(rng, "tooth", height, width) * np.float32(pick(rng, 0.02, 0.1))
        if chance(rng, 0.4):  # checked
            step = pick(rng, 20, 90)
            checks = (np.sin(rows * (np.pi / step)) > 0).astype(np.float32) + (np.sin(columns * (np.pi / step)) > 0)
            shade *= 1 + (checks - 1) * np.float32(pick(rng, -0.3, 0.3))
    elif kind == "stone":
        shade += texture(rng, "grain", height, width) * np.float32(pick(rng, 0.02, 0.12))
        shade += texture(rng, "cloud", height, width) * np.float32(pick(rng, 0.0, 0.1))
    elif kind == "weave":
        period = pick(rng, 4, 12)
        waves = np.sin(rows * (2 * np.pi / period)) * np.sin(columns * (2 * np.pi / period))
        shade += waves.astype(np.float32) * np.float32(pick(rng, 0.03, 0.15))
    return tinted(np.clip(shade, 0.05, 1.2), colour)
