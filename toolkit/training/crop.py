"""The random resized crop, with which photos are varied while they are read."""

from __future__ import annotations

import cv2
import numpy as np

from runtime.preprocess import Image, to_color
from runtime.spec import ModelSpec

TRIES = 10
MOST_ASPECT = 4 / 3


def random_crop(image: Image, spec: ModelSpec, smallest: float, rng: np.random.Generator) -> Image:
    """A part of a picture at random, stretched to the model's size.

    Its area is uniform in `smallest`..1 of the picture's, its aspect log-uniform in 3/4..4/3; what does not fit is
    drawn again, and after some tries the whole picture is taken.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        spec: of the model.
        smallest: share of the area.
        rng: where all is drawn from.

    Returns:
        uint8, `spec.image_shape`.
    """
    rows, columns = image.shape[:2]
    for _ in range(TRIES):
        area = rng.uniform(smallest, 1) * rows * columns
        aspect = np.exp(rng.uniform(-1, 1) * np.log(MOST_ASPECT))
        height, width = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if 0 < height <= rows and 0 < width <= columns:
            top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
            image = image[top : top + height, left : left + width]
            break
    pixels = to_color(image, spec.preprocess.color)
    height, width, channels = spec.image_shape
    shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
    resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8).reshape(height, width, channels)
