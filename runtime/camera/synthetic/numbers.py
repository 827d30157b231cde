"""Digits on the canvas, alone and as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.camera.synthetic.digits import Hand, bent, plan_number, written
from runtime.camera.synthetic.ink import Pen, luma, write
from runtime.camera.synthetic.noise import chance, pick
from runtime.camera.synthetic.signs import Written, with_signs, with_word
from runtime.camera.synthetic.stage import Stage, Thing
from runtime.camera.synthetic.strokes import drawn_mark
from runtime.camera.synthetic.traces import enclose

TRIES = 40
SIGNED = 0.06  # of numbers on a desk, that have signs among their digits
NAMED = 0.04  # of them, that have a word beside them
HUGE = 0.1  # of desks, whose first number is many times as high as the others


@dataclass(frozen=True)
class Weakest:
    """What limits how much light and camera may spoil.

    Attributes:
        contrast: of the weakest digit to its ground, 0..1.
        height: of the smallest digit, in pixels of the canvas.
    """

    contrast: float
    height: float


def write_digits(
    rng: np.random.Generator,
    stage: Stage,
    digits: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    count: int,
    height: float,
    least: float,
    turn: float,
    desk: bool,
) -> Weakest:
    """Write digits where there is room; as many as asked for, unless there is none at their least height.

    Args:
        rng: what is drawn by chance.
        stage: to write on.
        digits: uint8 (N, 28, 28).
        labels: (N,).
        count: how many to write.
        height: typical one, in pixels of the canvas.
        least: height, in pixels of the canvas.
        turn: angle that the camera adds, in radians.
        desk: whether slant and crowding are strong.
    """
    pens = [surface.pen(rng) for surface in stage.surfaces]
    one_pen, one_hand, crowded = chance(rng, 0.65), chance(rng, 0.6), chance(rng, 0.5)
    common = Hand.of(rng, desk)
    spread = pick(rng, 0.1, 0.3) if chance(rng, 0.6) else pick(rng, 0.3, 0.6)
    left, number, contrast, smallest, shrink = count, 0, 1.0, height, 1.0
    for _ in range(TRIES + count):
        many = int(rng.choice((1, 2, 3, 4, 5), p=(0.35, 0.25, 0.2, 0.12, 0.08))) if crowded else 1
        many = min(left, many if shrink > 0.5 else 1)
        if not many:
            break
        surface = stage.surface(rng)
        pen = pens[surface] if one_pen else stage.surfaces[surface].pen(rng)
        hand = common if one_hand else Hand.of(rng, desk)
        tall = max(height * float(np.exp(rng.normal(0, spread))) * shrink, least)
        if desk and not number and chance(rng, HUGE):
            tall *= pick(rng, 2, 5)
        angle = stage.surfaces[surface].angle
        indices = rng.integers(0, len(digits), many)
        line = compose(rng, digits[indices], labels[indices], max(hand.zero, least / tall), desk)
        plan = plan_number(rng, line, tall, angle, turn, hand)
        pad = tall * pick(rng, 0.12, 0.35) + 3 if desk and chance(rng, 0.08) else 0.0
        at = stage.find(rng, plan.boxes + np.array((-1, -1, 1, 1)) * pad, surface)
        if at is None:
            shrink *= 0.93
            continue
        ground = stage.ground_at(at)
        if pad:
            enclose(rng, stage.canvas, at, plan.boxes, angle, pad)
        outlines = []
        for one, matrix in zip(line, plan.matrices, strict=True):
            mark = written(rng, one.image, matrix, at, hand)
            write(rng, stage.canvas, mark, pen)
            outlines.append(mark.outline())
            if one.label is None:
                stage.add(outlines[-1], one.kind, taken=False)
                number += 1
            else:
                stage.things.append(Thing(outlines[-1], one.label, "digit", number))
                smallest = min(smallest, float(np.ptp(outlines[-1][:, 1])))
        for outline in outlines:
            stage.take(outline, 0.06 * tall + 3 + 1.5 * pad)
        contrast = min(contrast, weight_of(pen, ground))
        number, left = number + 1, left - many
        if many > 1 and not pad and chance(rng, 0.12 if desk else 0.03):
            underline(rng, stage, at, plan.boxes, angle, pen, tall)
    return Weakest(contrast, smallest)


def compose(
    rng: np.random.Generator, digits: NDArray[np.uint8], labels: NDArray[np.integer], zero: float, desk: bool
) -> list[Written]:
    """A number, and what else stands in its line.

    Args:
        rng: what is drawn by chance.
        digits: uint8 (N, 28, 28), of the number.
        labels: (N,).
        zero: height of its 0s, as a share of the others'.
        desk: whether signs or a word may stand there.
    """
    line = [
        Written(bent(rng, digit) if chance(rng, 0.4) else digit, label, 1.0 if label else zero)
        for digit, label in zip(digits, labels.tolist(), strict=True)
    ]
    if desk and chance(rng, SIGNED):
        return with_signs(rng, line)
    if desk and chance(rng, NAMED):
        return with_word(rng, line)
    return line


def weight_of(pen: Pen, ground: NDArray[np.float64]) -> float:
    """How far ink stands out from its ground, 0..1."""
    there, ink = luma(ground), luma(pen.colour)
    cover = pen.opacity * (1 - 0.4 * pen.pressure) * (1 - 0.45 * pen.grain)
    return cover * (abs(ink - there) if pen.light else there * (1 - ink))


def underline(
    rng: np.random.Generator,
    stage: Stage,
    at: NDArray[np.float64],
    boxes: NDArray[np.float64],
    angle: float,
    pen: Pen,
    tall: float,
) -> None:
    """Draw a line or two below a number whose digits have those boxes about a place."""
    along, down = np.array((np.cos(angle), np.sin(angle))), np.array((-np.sin(angle), np.cos(angle)))
    corners = np.concatenate((boxes[:, (0, 3)], boxes[:, (2, 3)], boxes[:, (0, 1)], boxes[:, (2, 1)]))
    low = float((corners @ down).max()) + tall * pick(rng, 0.05, 0.15) + 4
    first, last = float((corners @ along).min()), float((corners @ along).max())
    for row in range(int(rng.integers(1, 3))):
        ends = [at + along * x + down * (low + row * tall * 0.14 + pick(rng, 0, 4)) for x in (first, last)]
        bow = np.mean(ends, axis=0) + down * pick(rng, -3, 3)
        line = np.stack((ends[0], bow, ends[1]))
        stage.try_mark(rng, drawn_mark([line], max(1.0, pen.width * tall * 0.7)), pen, "underline")
