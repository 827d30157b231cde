"""Small things about sheets: punched holes, staples, tape, what shines through from the back, printed cells."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ink import Colour, any_of, jittered
from runtime.camera.synthetic.letters import spelled, typed
from runtime.camera.synthetic.noise import chance, pick
from runtime.camera.synthetic.sheets import Surface
from runtime.camera.synthetic.stage import Stage
from runtime.camera.synthetic.stencil import Stencil

HOLES: tuple[Colour, ...] = ((0.08, 0.08, 0.08), (0.3, 0.3, 0.3), (0.25, 0.35, 0.45))
TAPES: tuple[Colour, ...] = ((0.75, 0.88, 0.92), (0.9, 0.9, 0.9), (0.55, 0.78, 0.9), (0.85, 0.6, 0.4))
PRINT: tuple[Colour, ...] = ((0.1, 0.1, 0.1), (0.45, 0.45, 0.45), (0.75, 0.5, 0.3), (0.35, 0.3, 0.8), (0.4, 0.6, 0.3))


def add_traces(rng: np.random.Generator, stage: Stage) -> None:
    """Give some of the sheets some of them."""
    for surface in stage.surfaces:
        if surface.dark:
            continue
        if chance(rng, 0.15):
            shine_through(rng, stage.canvas, surface)
        if surface.whole:
            continue
        if chance(rng, 0.15):
            punch(rng, stage, surface)
        if chance(rng, 0.12):
            staple(rng, stage, surface)
        if chance(rng, 0.12):
            tape(rng, stage, surface)


def shine_through(rng: np.random.Generator, canvas: Picture, surface: Surface) -> None:
    """Text on the back, mirrored and faint."""
    strength, tall = pick(rng, 0.015, 0.06), pick(rng, 14, 40)
    middle = surface.corners.mean(axis=0)
    radius = float(np.abs(surface.corners - middle).min(axis=0).min()) * 0.8
    if radius < 2 * tall:
        return
    patch = Stencil(canvas, middle, radius)
    for row in np.arange(tall, patch.mask.shape[0] - 2 * tall, tall * 1.6):
        words = " ".join(spelled(rng, int(rng.integers(2, 9))) for _ in range(4))
        line = (typed(rng, words, tall, 2.0)[:, ::-1] * 255).astype(np.uint8)[:, : patch.mask.shape[1]]
        patch.mask[int(row) : int(row) + line.shape[0], : line.shape[1]] = line
    patch.mask[:] = cv2.GaussianBlur(patch.mask, (0, 0), pick(rng, 1.0, 2.5))
    patch.glaze((0.3, 0.28, 0.28), strength)


def punch(rng: np.random.Generator, stage: Stage, surface: Surface) -> None:
    """A row of holes along a side."""
    side, many = int(rng.integers(4)), int(rng.choice((2, 4, 9, 18)))
    first, last = surface.corners[side], surface.corners[(side + 1) % 4]
    inwards = (surface.corners[(side + 2) % 4] - last) / float(np.hypot(*(surface.corners[(side + 2) % 4] - last)))
    colour, radius = any_of(rng, HOLES, 0.05), pick(rng, 3, 7)
    for share in (np.arange(many) + 0.5) / many:
        at = first + (last - first) * share + inwards * radius * 2.5
        hole = Stencil(stage.canvas, at, radius)
        hole.disc(at, radius, radius)
        if len(outline := hole.outline()) and (stage.open & stage.filled(outline)).any():
            hole.paint(colour, 0.7 + 0.3 * hole.roundness(2))
            stage.add(outline, "hole", 6)


def staple(rng: np.random.Generator, stage: Stage, surface: Surface) -> None:
    """A staple near a corner."""
    corner = surface.corners[int(rng.integers(4))]
    at = corner + (surface.corners.mean(axis=0) - corner) * pick(rng, 0.06, 0.12)
    turn = pick(rng, 0, np.pi)
    reach = np.array((np.cos(turn), np.sin(turn))) * pick(rng, 7, 13)
    pin = Stencil(stage.canvas, at, 14)
    pin.bar(at - reach, at + reach, 2)
    pin.drop(rng, 1.5)
    pin.paint((0.66, 0.68, 0.68))
    stage.add(pin.outline(), "staple", 6)


def tape(rng: np.random.Generator, stage: Stage, surface: Surface) -> None:
    """A strip over a corner."""
    corner, turn = surface.corners[int(rng.integers(4))], pick(rng, 0, np.pi)
    along = np.array((np.cos(turn), np.sin(turn))) * pick(rng, 25, 60)
    across = np.array((-along[1], along[0])) * pick(rng, 0.2, 0.45)
    strip = Stencil(stage.canvas, corner, 80)
    strip.area(corner - along - across, corner + along - across, corner + along + across, corner - along + across)
    strip.drop(rng, 1.5)
    strip.glaze(any_of(rng, TAPES, 0.05), pick(rng, 0.3, 0.9))
    stage.add(strip.outline(), "tape", 4)


def enclose(
    rng: np.random.Generator, canvas: Picture, at: NDArray[np.float64], boxes: NDArray[np.float64], angle: float,
    pad: float,
) -> None:  # fmt: skip
    """Draw a form's cells, or a ring, round a number; neither counts as an object, since digits are inside.

    Args:
        rng: what is drawn by chance.
        canvas: written to.
        at: the number's place.
        boxes: (N, 4) of its digits, about that place.
        angle: of its line.
        pad: pixels between a digit and the line.
    """
    along, down = np.array((np.cos(angle), np.sin(angle))), np.array((-np.sin(angle), np.cos(angle)))
    middles = np.stack((boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]), 1) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=0) / 2
    tones = jittered(rng, any_of(rng, PRINT, 0.05), 0.02)
    low, high = (middles @ down).min() - half[1] - pad * 0.7, (middles @ down).max() + half[1] + pad * 0.7
    left, right = (middles @ along).min() - half[0] - pad * 0.7, (middles @ along).max() + half[0] + pad * 0.7
    radius = float(np.abs(boxes).max()) + 2 * pad + 20
    lines = Stencil(canvas, at, radius * 1.5)
    thick = pick(rng, 1, 2.6)
    if chance(rng, 0.3):
        turns = np.linspace(0, 2 * np.pi * pick(rng, 0.95, 1.1), 60)
        wide, tall = (right - left) / 2 * 1.2, (high - low) / 2 * 1.2
        middle = along * (left + right) / 2 + down * (low + high) / 2
        ring = [at + middle + along * np.cos(t) * wide + down * np.sin(t) * tall * (1 + 0.03 * t) for t in turns]
        for first, last in pairwise(ring):
            lines.bar(first, last, thick)
    else:
        order = np.sort(middles @ along)
        for x in (left, *((order[:-1] + order[1:]) / 2), right):
            lines.bar(at + along * x + down * low, at + along * x + down * high, thick)
        for y in (low, high):
            lines.bar(at + along * left + down * y, at + along * right + down * y, thick)
    lines.glaze(tones, pick(rng, 0.25, 0.9))
