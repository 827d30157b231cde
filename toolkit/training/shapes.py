"""One shape at a time that is no digit: how each kind is drawn, or cut from digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from runtime.camera.reading.normalize import SIDE
from runtime.camera.synthetic.letters import LETTERS as HANDWRITING
from runtime.camera.synthetic.letters import handwritten
from toolkit.training.drawing import (
    CANVAS,
    Image,
    blank,
    draw_bow,
    draw_strokes,
    lean,
    normalize,
    reduce,
    smooth_curve,
    thickness,
)

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


def of_handwriting(names: str) -> Kind:
    """Letters of those that the camera's scenes have, as a hand writes them."""

    def letter(rng: Generator, digits: Digits) -> Image:
        picture = blank()
        width, size = thickness(rng), (rng.uniform(44, 78), 78)
        for line in handwritten(rng, HANDWRITING[names[rng.integers(len(names))]]):
            places = np.round((line - 0.5) * size + CANVAS / 2).astype(np.int32)
            cv2.polylines(picture, [places], False, 255, width, cv2.LINE_AA)
        return normalize(lean(picture, rng))

    return letter


def bracket(rng: Generator, digits: Digits) -> Image:
    """A round bracket: an eighth to a third as wide as high, where a 1 is next to straight."""
    picture = blank()
    bulge = rng.choice([-1, 1]) * rng.uniform(10, 24)
    draw_bow(picture, (56 + bulge / 2, 16), (56 + bulge / 2, 96), bulge, thickness(rng))
    return normalize(lean(picture, rng, 8))


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


def mixture(rng: Generator, digits: Digits) -> Image:
    """Four to eight dots, lines, arcs and rings, anywhere."""
    picture = blank()
    width = int(rng.integers(4, 11))
    for _ in range(rng.integers(4, 9)):
        (x, y), size = rng.integers(14, CANVAS - 14, 2).tolist(), int(rng.integers(5, 30))
        case, turn = rng.integers(4), rng.uniform(0, 360)
        if case == 0:
            cv2.circle(picture, (x, y), int(rng.integers(4, 10)), 255, -1, cv2.LINE_AA)
        elif case == 1:
            end = (round(x + size * np.cos(turn)), round(y + size * np.sin(turn)))
            cv2.line(picture, (x, y), end, 255, width, cv2.LINE_AA)
        else:
            axes = (size, max(4, round(size * rng.uniform(0.3, 1))))
            cv2.ellipse(picture, (x, y), axes, turn, 0, 180 if case == 2 else 360, 255, width, cv2.LINE_AA)
    return normalize(picture)
