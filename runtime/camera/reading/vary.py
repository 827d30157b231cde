"""Copies of a digit as others might have written it: a model that is in doubt about one is asked about those, too."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.reading.normalize import CENTER, SIDE
from runtime.preprocess import as_image


def about_the_mass(turn: float, across: float, up: float) -> NDArray[np.float64]:
    """A map that turns by degrees and stretches, with the centre of mass in its place: float64 (2, 3), for OpenCV."""
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    matrix = np.array([[cosine * across, -sine * up], [sine * across, cosine * up]])
    center = np.full(2, CENTER)
    return np.column_stack([matrix, center - matrix @ center])


VARIATIONS = (
    about_the_mass(8, 1, 1),
    about_the_mass(-8, 1, 1),
    about_the_mass(0, 1.12, 0.95),
    about_the_mass(0, 0.88, 1.05),
)


def varied(image: Picture) -> Iterator[Picture]:
    """Each of the `VARIATIONS` of an image, uint8 (28, 28)."""
    for matrix in VARIATIONS:
        yield as_image(cv2.warpAffine(image, matrix, (SIDE, SIDE)))
