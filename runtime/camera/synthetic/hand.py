"""A hand that comes in from outside."""

from __future__ import annotations

import cv2
import numpy as np

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ink import Colour, any_of
from runtime.camera.synthetic.noise import Field, chance, floats, pick, smooth, texture
from runtime.camera.synthetic.stencil import Point, Stencil, unit
from runtime.camera.synthetic.things import PLASTICS, stick

SKINS: tuple[Colour, ...] = (
    (0.62, 0.72, 0.93),
    (0.52, 0.64, 0.87),
    (0.40, 0.54, 0.78),
    (0.28, 0.40, 0.62),
    (0.18, 0.26, 0.42),
)
FINGERS = ((-0.36, 0.56), (-0.12, 0.66), (0.12, 0.62), (0.36, 0.5))  # where each points to, and its length


def hand(rng: np.random.Generator, canvas: Picture, wrist: Point, angle: float, size: float) -> Stencil:
    """Draw one.

    Args:
        rng: what is drawn by chance.
        canvas: written to.
        wrist: where the arm meets the hand.
        angle: that fingers point to, in radians.
        size: from wrist to finger tips, in pixels.
    """
    middle, palm, out = wrist + unit(angle) * size * 0.2, wrist + unit(angle) * size * 0.3, unit(angle) * size
    body = Stencil(canvas, middle, size * 1.5)
    body.bar(wrist - out * 1.4, wrist, size * 0.32)
    body.disc(palm, size * 0.3, size * 0.25, angle)
    side, fist, pointing = float(rng.choice((-1, 1))), chance(rng, 0.5), chance(rng, 0.35)
    ends: list[tuple[Point, Point]] = []
    for finger, (spread, share) in enumerate(FINGERS):
        bent = (pointing and finger > 0) or (fist and chance(rng, 0.4))
        length = size * share * (0.62 if bent else 1.0)
        turn = angle + side * spread * pick(rng, 0.5, 1.1)
        root = palm + unit(angle + (turn - angle) * 2.2) * size * 0.18
        knuckle = root + unit(turn) * length * 0.45
        tip = knuckle + unit(angle + (turn - angle) * pick(rng, 0.2, 1.0)) * length * 0.45
        body.bar(root, knuckle, size * 0.125)
        body.bar(knuckle, tip, size * 0.112)
        ends.append((knuckle, tip))
    base = palm + unit(angle - side * 1.6) * size * 0.2
    thumb = base + unit(angle - side * pick(rng, 0.3, 1.0)) * size * 0.36
    body.bar(palm, base, size * 0.18)
    body.bar(base, thumb, size * 0.13)
    body.drop(rng, size * pick(rng, 0.02, 0.08))
    held = stick(rng, canvas, thumb, size * pick(rng, 0.4, 0.6), angle + pick(rng, -1, 1)) if chance(rng, 0.3) else None
    body.paint(any_of(rng, SKINS, 0.03), skin(rng, body, size, ends))
    if chance(rng, 0.6):
        sleeve = Stencil(canvas, middle, size * 1.5)
        sleeve.bar(wrist - out * 0.25, wrist - out * 1.4, size * 0.52)
        sleeve.paint(any_of(rng, PLASTICS, 0.1), 0.55 + 0.5 * sleeve.roundness(size * 0.2))
        body.mask |= sleeve.mask
    if held is not None:
        overlay(body, held)
    return body


def overlay(body: Stencil, other: Stencil) -> None:
    """Count another shape as part of one, as far as that one's patch reaches."""
    height, width = body.mask.shape
    x, y = other.left - body.left, other.top - body.top
    tall, wide = other.mask.shape
    top, left, bottom, right = max(y, 0), max(x, 0), min(y + tall, height), min(x + wide, width)
    if top < bottom and left < right:
        body.mask[top:bottom, left:right] |= other.mask[top - y : bottom - y, left - x : right - x]


def skin(rng: np.random.Generator, body: Stencil, size: float, ends: list[tuple[Point, Point]]) -> Field:
    """Its shade: round fingers, folds at knuckles, nails, some unevenness; float32 as large as the stencil."""
    height, width = body.mask.shape
    shade = 0.62 + 0.42 * body.roundness(size * 0.075) + 0.05 * smooth(rng, height, width, 8)
    shade += texture(rng, "tooth", height, width) * np.float32(0.02)
    back = chance(rng, 0.75)  # nails are seen from there alone
    for knuckle, tip in ends:
        along = (tip - knuckle) / max(1e-6, float(np.hypot(*(tip - knuckle))))
        across = np.array((-along[1], along[0])) * size * 0.05
        for shift in (-0.02, 0.02):
            at = knuckle + along * size * shift - body.origin
            first, last = (tuple(int(v) for v in at + across * way) for way in (-1, 1))
            cv2.line(shade, first, last, 0.74, max(1, int(size * 0.01)), cv2.LINE_AA)
        if back:
            nail = tuple(int(v) for v in tip + along * size * 0.02 - body.origin)
            axes = (max(1, int(size * 0.045)), max(1, int(size * 0.034)))
            turn = float(np.degrees(np.arctan2(along[1], along[0])))
            cv2.ellipse(shade, nail, axes, turn, 0, 360, 1.12, -1, cv2.LINE_AA)
    return floats(cv2.GaussianBlur(shade, (0, 0), max(0.6, size * 0.006)))
