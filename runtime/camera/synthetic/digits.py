"""How digits are written: by which hand, how large, how slanted, how close together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.synthetic.noise import chance, pick, smooth
from runtime.camera.synthetic.signs import Written
from runtime.camera.synthetic.strokes import Mark, grey_mark, ink_points, line_mark, solid_mark

MOST_SLANT = np.radians(30)


@dataclass(frozen=True)
class Hand:
    """A way of writing.

    Attributes:
        style: "grey" as MNIST has it, "solid" with an even edge, "line" with an even pen.
        grow: pixels of MNIST by which solid strokes are thicker.
        width: of even lines, in pixels of MNIST.
        soft: pixels over which an edge fades out.
        contrast: of grey strokes.
        threshold: of grey strokes.
        turn: radians, clockwise.
        shear: to the right, as a share of the height.
        aspect: width over height, against MNIST's.
        gap: between digits of a number, as a share of their height.
        loose: how much digits of one hand differ, 0..1.
        zero: height of its 0s, as a share of the others'.
    """

    style: str
    grow: float
    width: float
    soft: float
    contrast: float
    threshold: float
    turn: float
    shear: float
    aspect: float
    gap: float
    loose: float
    zero: float

    @classmethod
    def of(cls, rng: np.random.Generator, desk: bool) -> Hand:
        """One by chance; on a desk, slant may be strong and digits may touch."""
        slant = float(rng.normal(0, 0.16)) if desk else float(rng.normal(0, 0.05))
        if desk and chance(rng, 0.3):
            slant = pick(rng, -MOST_SLANT, MOST_SLANT)
        share = pick(rng, 0, 1)
        return cls(
            style=str(rng.choice(("grey", "solid", "line"), p=(0.45, 0.35, 0.2))),
            grow=pick(rng, -0.8, 0.7),
            width=pick(rng, 1.1, 3.2),
            soft=pick(rng, 0.9, 1.8),
            contrast=pick(rng, 1.0, 4.0),
            threshold=pick(rng, 0.22, 0.48),
            turn=slant * share,
            shear=-float(np.tan(np.clip(slant * (1 - share), -0.5, 0.5))),
            aspect=pick(rng, 0.85, 1.2),
            gap=pick(rng, -0.04, 0.1) if desk and chance(rng, 0.15) else pick(rng, 0.08, 0.4),
            loose=pick(rng, 0.2, 1.0),
            zero=pick(rng, 0.5, 0.85) if chance(rng, 0.15) else 1.0,
        )


@dataclass(frozen=True)
class Plan:
    """Where the digits of a number are, about a place not yet known.

    Attributes:
        matrices: 2x3 each, from MNIST's pixels.
        boxes: (N, 4) left, top, right, bottom of each digit.
    """

    matrices: list[NDArray[np.float64]]
    boxes: NDArray[np.float64]


def plan_number(
    rng: np.random.Generator, line: Sequence[Written], tall: float, angle: float, camera: float, hand: Hand
) -> Plan:
    """Set digits and signs side by side on a line.

    Args:
        rng: what is drawn by chance.
        line: what is written, from left to right.
        tall: height of a digit in pixels of the canvas.
        angle: of the line, in radians.
        camera: angle that the camera adds.
        hand: the way of writing.
    """
    cursor, matrices = 0.0, []
    for one in line:
        points = ink_points(one.image)
        scale = (
            one.height
            * tall
            * float(np.exp(rng.normal(0, 0.06 * hand.loose)))
            / max(float(np.ptp(points[:, 1])) + 1, 12.0)
        )
        shear = hand.shear + float(rng.normal(0, 0.06)) * hand.loose
        shape = np.array(((scale * hand.aspect, shear * scale), (0, scale)))
        laid = points @ shape.T
        low, high = laid.min(axis=0), laid.max(axis=0)
        move = np.array((cursor - low[0], -high[1] + float(rng.normal(0, 0.04)) * tall * hand.loose))
        move[1] += (one.height - 1) / 2 * tall  # the middle is where it is of the others
        cursor += high[0] - low[0] + scale + tall * (one.space + hand.gap + 0.3 * abs(hand.gap) * pick(rng, -1, 1))
        turn = hand.turn + float(rng.normal(0, 0.05)) * hand.loose
        lean = float(np.arctan(-shear))
        turn = float(np.clip(turn + lean + angle + camera, -MOST_SLANT, MOST_SLANT)) - lean - angle - camera
        middle = (low + high) / 2 + move
        spin = rotation(turn)
        matrices.append(np.concatenate((spin @ shape, (spin @ (move - middle) + middle)[:, None]), 1))
    spin, half = rotation(angle), np.array((cursor / 2, -tall / 2))
    whole = [np.concatenate((spin @ m[:, :2], (spin @ (m[:, 2] - half))[:, None]), 1) for m in matrices]
    boxes = []
    for one, matrix in zip(line, whole, strict=True):
        places = ink_points(one.image) @ matrix[:, :2].T + matrix[:, 2]
        pad = 0.5 * tall / 20 + 2
        boxes.append((*(places.min(axis=0) - pad), *(places.max(axis=0) + pad)))
    return Plan(whole, np.array(boxes))


def bent(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A digit, uint8 (28, 28), as if the hand had slipped a little."""
    rows, columns = np.indices(image.shape, np.float32)
    reach = np.float32(pick(rng, 0.3, 1.1))
    shift_x, shift_y = (smooth(rng, len(image), len(image[0]), 2) * reach for _ in range(2))
    moved = cv2.remap(image, columns + shift_x, rows + shift_y, cv2.INTER_CUBIC)
    return np.asarray(moved, np.uint8)


def rotation(angle: float) -> NDArray[np.float64]:
    """Clockwise on a picture."""
    return np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))


def written(
    rng: np.random.Generator, image: NDArray[np.uint8], matrix: NDArray[np.float64], at: NDArray[np.float64], hand: Hand
) -> Mark:
    """A digit written at a place of the canvas; `matrix` is the plan's."""
    placed = matrix.copy()
    placed[:, 2] += at
    if hand.style == "line":
        least = 1.3 / np.sqrt(abs(np.linalg.det(placed[:, :2])))  # or it would not be seen
        mark = line_mark(image, placed, max(hand.width * pick(rng, 0.9, 1.1), least), hand.soft)
        if mark is not None:
            return mark
    if hand.style != "grey":
        return solid_mark(image, placed, hand.grow + 0.1 * float(rng.normal()), hand.soft)
    return grey_mark(image, placed, hand.contrast, hand.threshold)
