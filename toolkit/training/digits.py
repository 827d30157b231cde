"""Real digits, from which shapes are cut and scenes are drawn."""

from __future__ import annotations

import numpy as np

from runtime.camera.reading.normalize import SIDE
from runtime.datasets import Dataset, evenly_spaced
from runtime.errors import DataError
from toolkit.training.shapes import Digits


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
