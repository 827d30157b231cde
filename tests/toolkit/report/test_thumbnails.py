"""Small pictures of images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from runtime.datasets import ArrayDataset
from toolkit.report.thumbnails import LARGEST, make_thumbnails, thumbnail


def read(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def test_a_small_image_stays_as_it_is() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    made = make_thumbnails(ArrayDataset("set", images, None), [2, 0])
    assert list(made) == [2, 0]
    for index, data in made.items():
        np.testing.assert_array_equal(read(data), images[index])


def test_colours_stay_what_they_are() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200  # red
    np.testing.assert_array_equal(read(thumbnail(image))[..., ::-1], image)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((480, 640), (72, LARGEST)), ((640, 480, 3), (LARGEST, 72)), ((2000, 3), (LARGEST, 1)), ((96, 97), (95, 96))],
)
def test_a_large_image_becomes_small(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    assert read(thumbnail(np.full(shape, 90, np.uint8))).shape[:2] == size
    assert (read(thumbnail(np.full(shape, 90, np.uint8))) == 90).all()
