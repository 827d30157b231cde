"""Small pictures of images, for galleries."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from runtime.datasets import Dataset

LARGEST = 96  # pixels of the longer side


def make_thumbnails(dataset: Dataset, indices: Iterable[int]) -> dict[int, bytes]:
    """PNG files of some images of a set, by index; an image is made smaller where it has to be, never larger."""
    return {index: thumbnail(dataset.image(index)) for index in indices}


def thumbnail(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    """A PNG file.

    Args:
        image: uint8 (H, W) grey or (H, W, 3) RGB.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer > LARGEST:
        size = (max(round(width * LARGEST / longer), 1), max(round(height * LARGEST / longer), 1))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if image.ndim == 3:
        image = np.ascontiguousarray(image[:, :, ::-1])
    return bytes(cv2.imencode(".png", image)[1])
