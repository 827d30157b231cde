"""Digits from which shapes are cut and scenes are drawn: real ones, and 1s of a hand that MNIST lacks."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from runtime.camera.reading.normalize import SIDE
from runtime.datasets import Dataset, evenly_spaced
from runtime.errors import DataError
from toolkit.training.drawing import Image, blank, draw_bow, lean, normalize, thickness
from toolkit.training.shapes import Digits

UPSTROKES = 0.5  # 1s that are drawn, for each 1 of a set
FLATTEST = 50  # degrees between stem and upstroke: what is flatter may be a 7
FOOTED = 0.2  # share of them that stand on a line


def take_digits(dataset: Dataset, most: int = 5000) -> Digits:
    """Some digits of a set, evenly spaced.

    Raises:
        DataError: the set holds no digits as MNIST has them.
    """
    chosen = evenly_spaced(dataset, most)
    images = [chosen.image(index) for index in range(len(chosen))]
    if chosen.labels is None or any(image.shape != (SIDE, SIDE) for image in images) or len(set(chosen.labels)) < 10:
        raise DataError(
            f"shapes and scenes are drawn from all ten digits of {SIDE}x{SIDE} pixels, and {dataset.name} holds others",
            "give MNIST's IDX files and hold out enough of them, or --shapes 0 and --scenes 0",
        )
    return Digits(np.stack(images), chosen.labels)


def with_upstrokes(digits: Digits, rng: Generator) -> Digits:
    """Digits, and drawn 1s with an upstroke: most of Europe writes them so, and MNIST, of American hands, has few."""
    ones = int(UPSTROKES * np.count_nonzero(digits.labels == 1))
    drawn = [one_with_upstroke(rng) for _ in range(ones)]
    labels = np.concatenate([digits.labels, np.ones(ones, digits.labels.dtype)])
    return Digits(np.concatenate([digits.images, np.array(drawn, np.uint8).reshape(-1, SIDE, SIDE)]), labels)


def one_with_upstroke(rng: Generator) -> Image:
    """A 1 that begins with a stroke up to the top of its stem, of up to four fifths of its length."""
    picture, width = blank(), thickness(rng)
    x, top, bottom = rng.uniform(54, 64), 16, 96
    angle, length = math.radians(rng.uniform(18, FLATTEST)), rng.uniform(14, 62)
    start = (x - length * math.sin(angle), top + length * math.cos(angle))
    draw_bow(picture, start, (x, top), rng.normal(0, 2), width)
    foot = x + rng.normal(0, 3)
    draw_bow(picture, (x, top), (foot, bottom), rng.normal(0, 1.5), width)
    if rng.random() < FOOTED:
        left, right = rng.uniform(10, 26, 2)
        draw_bow(picture, (foot - left, bottom + rng.normal(0, 2)), (foot + right, bottom), 0, width)
    return normalize(lean(picture, rng, 8))
