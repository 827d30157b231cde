"""One shape at a time that is no digit: how each kind is drawn, or cut from digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from toolkit.training.drawing import (
    CANVAS,
    SIDE,
    Image,
    blank,
    draw_strokes,
    lean,
    normalize,
    reduce,
    smooth_curve,
    thickness,
)

PRINTED = "AEFHKMNPRUVWXkmnx#%@"
# Which half of which digit is no digit, by the side that is kept.
NO_DIGIT_HALVES = {"left": (3,), "top": (0, 5), "bottom": (0,)}


class Digits(NamedTuple):
    """Real digits to cut: images, uint8 (M, 28, 28), light on dark, and labels, int (M,)."""

    images: Image
    labels: NDArray[np.int64]


Kind = Callable[[Generator, Digits], Image]


def of_strokes(table: Mapping[str, str]) -> Kind:
    """Any of the shapes of a table, each drawn of strokes."""
    names = list(table)
    return lambda rng, digits: normalize(draw_strokes(table[rng.choice(names)], rng))


def printed_letter(rng: Generator, digits: Digits) -> Image:
    """Letters of the fonts that come with OpenCV."""
    picture = blank()
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX]))
    character = str(rng.choice(list(PRINTED)))
    cv2.putText(picture, character, (20, 85), font, 2.2, 255, int(rng.integers(4, 9)), cv2.LINE_AA)
    return normalize(lean(picture, rng))


def scribble(rng: Generator, digits: Digits) -> Image:
    """A long tangle, or several curves across each other."""
    picture = blank()
    width = int(rng.integers(4, 10))
    for _ in range(count := int(rng.integers(1, 4))):
        points = int(rng.integers(20, 30)) if count == 1 else int(rng.integers(9, 14))
        cv2.polylines(picture, [smooth_curve(rng, points)], False, 255, width, cv2.LINE_AA)
    return normalize(picture)


def figure(rng: Generator, digits: Digits) -> Image:
    """Lines between random places: four or five loose ones, a cross, or a crooked window."""
    places = [f"{x}{y}" for x in range(5) for y in range(7)]
    case = rng.integers(3)
    if case == 0:
        count = int(rng.integers(4, 6))
        ends = rng.choice(places, (count, 2), replace=False)
        return normalize(draw_strokes(", ".join(f"{a} {b}" for a, b in ends), rng))
    if case == 1:
        bar = rng.integers(2, 4)
        return normalize(draw_strokes(f"20 2{rng.integers(5, 7)}, 0{bar} 4{bar}", rng))
    corners = [rng.choice(["00", "01", "10", "11"]), rng.choice(["30", "40", "31"]), rng.choice(["35", "46", "45"])]
    corners += [rng.choice(["06", "15", "05"])] if rng.random() < 0.6 else []
    x, y = rng.integers(0, 5, 2), rng.integers(1, 6, 2)
    across = f"{x[0]}0 {x[1]}6, 0{y[0]} 4{y[1]}"
    return normalize(draw_strokes(f"{' '.join([*corners, corners[0]])}, {across}", rng))


def edge(rng: Generator, digits: Digits) -> Image:
    """The edge or corner of something light, such as paper: a half plane or a wedge, sharp or blurred."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    light = np.ones((SIDE, SIDE))
    for angle in rng.uniform(0, 2 * np.pi) + np.array([0, rng.uniform(1.2, 2)])[: rng.integers(1, 3)]:
        distance = x * np.cos(angle) + y * np.sin(angle) - rng.uniform(-6, 6)
        light = np.minimum(light, np.clip(distance / rng.uniform(0.5, 5) + 0.5, 0, 1))
    return np.asarray(light * rng.uniform(120, 255), np.uint8)


def rule(rng: Generator, digits: Digits) -> Image:
    """Ruled or squared paper: parallel lines, at least two, or a grid."""
    picture = blank()
    gap, width = int(rng.integers(18, 42)), int(rng.integers(3, 10))
    start = int(rng.integers(0, gap))
    grid, upright = rng.random() < 0.4, rng.random() < 0.5
    for place in range(start - CANVAS, 2 * CANVAS, gap):
        if grid or upright:
            cv2.line(picture, (place, 0), (place, CANVAS), 255, width, cv2.LINE_AA)
        if grid or not upright:
            cv2.line(picture, (0, place), (CANVAS, place), 255, width, cv2.LINE_AA)
    return reduce(lean(picture, rng, 45) if rng.random() < 0.7 else picture)


def blob(rng: Generator, digits: Digits) -> Image:
    """Filled: an ellipse, rather round or lying, or the outline of noise."""
    picture = blank()
    if rng.random() < 0.5:
        axes = (int(rng.integers(30, 50)), int(rng.integers(14, 40)))
        cv2.ellipse(picture, (56, 56), axes, rng.uniform(-20, 20), 0, 360, 255, -1, cv2.LINE_AA)
    else:
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        radius = rng.uniform(22, 54, 12)
        outline = np.stack((56 + radius * np.cos(angles), 56 + radius * np.sin(angles)), 1)
        cv2.fillPoly(picture, [np.round(outline).astype(np.int32)], 255, cv2.LINE_AA)
    return normalize(np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 6)), np.uint8))


def half(rng: Generator, digits: Digits) -> Image:
    """Half of a digit that is no digit itself, where it was or centred."""
    side = str(rng.choice(list(NO_DIGIT_HALVES)))
    choices = np.flatnonzero(np.isin(digits.labels, NO_DIGIT_HALVES[side]))
    image = digits.images[rng.choice(choices)].copy()
    left, top, width, height = cv2.boundingRect(image)
    row, column = top + height // 2, left + width // 2
    cut = {"left": np.s_[:, column:], "top": np.s_[row:], "bottom": np.s_[:row]}[side]
    image[cut] = 0
    return normalize(image) if rng.random() < 0.5 else image


def between(rng: Generator, digits: Digits) -> Image:
    """The right part of one digit and the left part of its neighbour, the gap between them in the middle."""
    first, second = digits.images[rng.choice(np.flatnonzero(digits.labels != 1), 2)]
    shift = int(rng.integers(13, 16))
    return np.concatenate((first[:, shift:], second[:, :shift]), axis=1)


def texture(rng: Generator, digits: Digits) -> Image:
    """Noise, fine to coarse."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), rng.uniform(0.3, 2.5))
    lowest, highest = noise.min(), noise.max()
    return np.asarray((noise - lowest) / (highest - lowest) * rng.uniform(80, 255), np.uint8)


def hand(rng: Generator, digits: Digits) -> Image:
    """A palm with four or five fingers spread."""
    picture = blank()
    cv2.ellipse(picture, (56, 70), (int(rng.integers(18, 24)), 22), 0, 0, 360, 255, -1, cv2.LINE_AA)
    for angle in np.linspace(-1.1, 0.7, int(rng.integers(4, 6))) + rng.normal(0, 0.06):
        length = rng.uniform(48, 64)
        tip = (round(56 + length * np.sin(angle)), round(72 - length * np.cos(angle)))
        cv2.line(picture, (56, 70), tip, 255, int(rng.integers(8, 12)), cv2.LINE_AA)
    return normalize(lean(picture, rng, 30))


def face(rng: Generator, digits: Digits) -> Image:
    """A round face with eyes, a mouth and perhaps a nose."""
    picture = blank()
    width = int(rng.integers(5, 10))
    axes = (int(rng.integers(34, 46)), int(rng.integers(38, 48)))
    cv2.ellipse(picture, (56, 56), axes, 0, 0, 360, 255, width, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.circle(picture, (56 + side * int(rng.integers(12, 18)), int(rng.integers(38, 46))), width, 255, -1)
    smile = (180, 360) if rng.random() < 0.3 else (0, 180)
    mouth = (int(rng.integers(12, 22)), int(rng.integers(4, 14)))
    cv2.ellipse(picture, (56, int(rng.integers(68, 76))), mouth, 0, *smile, 255, width, cv2.LINE_AA)
    if rng.random() < 0.5:
        cv2.line(picture, (56, 50), (56, 60), 255, width, cv2.LINE_AA)
    return normalize(lean(picture, rng))


def framed(rng: Generator, digits: Digits) -> Image:
    """A ring or a box with a few dots and short lines in it."""
    picture = blank()
    width = int(rng.integers(5, 11))
    if rng.random() < 0.6:
        axes = (int(rng.integers(32, 48)), int(rng.integers(36, 48)))
        cv2.ellipse(picture, (56, 56), axes, 0, 0, 360, 255, width, cv2.LINE_AA)
    else:
        corner = rng.integers(8, 24, 2)
        cv2.rectangle(picture, corner.tolist(), (CANVAS - corner).tolist(), 255, width, cv2.LINE_AA)
    for _ in range(rng.integers(2, 6)):
        place = rng.uniform(-20, 20, 2) + 56
        if rng.random() < 0.4:
            cv2.circle(picture, np.round(place).astype(int).tolist(), width, 255, -1, cv2.LINE_AA)
        else:
            ends = np.round([place, place + rng.uniform(-18, 18, 2)]).astype(np.int32)
            cv2.polylines(picture, [ends], False, 255, width, cv2.LINE_AA)
    return normalize(lean(picture, rng))


def dots(rng: Generator, digits: Digits) -> Image:
    """Scattered dots, five to twelve."""
    picture = blank()
    for _ in range(rng.integers(5, 13)):
        cv2.circle(picture, rng.integers(10, CANVAS - 10, 2).tolist(), int(rng.integers(4, 10)), 255, -1, cv2.LINE_AA)
    return normalize(picture)


def clock(rng: Generator, digits: Digits) -> Image:
    """The face of a clock: two hands, and marks or none."""
    picture = blank()
    width = int(rng.integers(4, 9))
    cv2.circle(picture, (56, 56), 46, 255, width, cv2.LINE_AA)
    for length in (22, 36):
        angle = rng.uniform(0, 2 * np.pi)
        tip = (round(56 + length * np.sin(angle)), round(56 - length * np.cos(angle)))
        cv2.line(picture, (56, 56), tip, 255, width, cv2.LINE_AA)
    if rng.random() < 0.5:
        for angle in np.arange(12) * np.pi / 6:
            ends = np.round([[56 + r * np.sin(angle), 56 - r * np.cos(angle)] for r in (36, 44)]).astype(np.int32)
            cv2.polylines(picture, [ends], False, 255, max(2, width // 2), cv2.LINE_AA)
    return normalize(lean(picture, rng))


def zigzag(rng: Generator, digits: Digits) -> Image:
    """A line up and down, six to nine times."""
    picture = blank()
    turns = int(rng.integers(7, 11))
    across = np.linspace(8, CANVAS - 8, turns) + rng.normal(0, 2, turns)
    along = 56 + np.where(np.arange(turns) % 2, 1, -1) * rng.uniform(18, 44, turns)
    line = np.round(np.stack((across, along), 1)).astype(np.int32)
    cv2.polylines(picture, [line], False, 255, int(rng.integers(4, 9)), cv2.LINE_AA)
    return normalize(lean(picture, rng, 90))


def crossed(rng: Generator, digits: Digits) -> Image:
    """Straight lines across each other, three to six, as where something is struck out."""
    picture = blank()
    width, turn = thickness(rng), rng.uniform(0, np.pi)
    for angle in turn + np.arange(count := int(rng.integers(3, 7))) * np.pi / count + rng.normal(0, 0.1, count):
        along, middle = 48 * np.array([np.cos(angle), np.sin(angle)]), 56 + rng.uniform(-12, 12, 2)
        ends = np.round([middle - along, middle + along]).astype(np.int32)
        cv2.polylines(picture, [ends], False, 255, width, cv2.LINE_AA)
    return normalize(picture)


def wave(rng: Generator, digits: Digits) -> Image:
    """Stripes that swell and fade, along one direction or two."""
    y, x = np.mgrid[:SIDE, :SIDE]
    first, second = rng.uniform(0.6, 1.6, 2)
    angle, phase = rng.uniform(0, np.pi, 2)
    waves = np.sin(first * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    if rng.random() < 0.5:
        waves = waves * np.sin(second * (y * np.cos(angle) - x * np.sin(angle)))
    return np.asarray((waves + 1) / 2 * rng.uniform(120, 255), np.uint8)
