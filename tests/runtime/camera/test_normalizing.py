"""MNIST's normalisation: size, place and strokes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from runtime.camera.reading.normalize import INK, LONG, MOST, RASTER, all_to_mnist, bounds_of, to_mnist
from tests.runtime.camera.mnist import DIGITS, cut


def test_mnist_normalisation_leaves_mnist_as_it_is() -> None:
    """Twenty pixels for the longer side and the mass in the middle: what it was made with."""
    differences = []
    for index in range(200):
        image = DIGITS.image(index)
        again = to_mnist(cut(image))
        differences.append(np.abs(again.astype(int) - image).mean())
    assert np.median(differences) < 3
    assert max(differences) < 25


def test_squares_are_normalised_as_a_single_shape_is() -> None:
    inks, wanted = [], []
    for index in range(60):
        image = cut(DIGITS.image(index))
        scale = LONG / max(image.shape)
        larger = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        square = np.zeros((RASTER, RASTER), np.uint8)
        y, x = ((RASTER - side) // 2 for side in larger.shape)
        square[y : y + larger.shape[0], x : x + larger.shape[1]] = larger
        inks.append(square)
        wanted.append(to_mnist(cut(np.where(square >= INK, square, 0).astype(np.uint8))))
    seen = all_to_mnist(np.stack(inks), bounds_of(np.stack(inks)))
    differences = [np.abs(one.astype(int) - other).mean() for one, other in zip(seen, wanted, strict=True)]
    assert np.median(differences) < 6
    assert max(differences) < 20
    # As many as there may be on a page of text, and each as it is alone.
    many = np.concatenate([np.stack(inks)] * 15)
    assert len(many) > MOST
    assert np.array_equal(all_to_mnist(many, bounds_of(many)), np.concatenate([seen] * 15))


def test_normalisation_does_not_depend_on_size() -> None:
    differences = []
    for index in range(20):
        image = cut(DIGITS.image(index))
        larger = cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        differences.append(np.abs(to_mnist(larger).astype(int) - to_mnist(image)).mean())
    assert np.median(differences) < 4
    assert max(differences) < 20  # a stroke that is evened may come to lie a pixel beside


@pytest.mark.parametrize("width", [1, 3, 6, 9, 14])
def test_strokes_are_evened(width: int) -> None:
    """Whatever the pen, the model sees a stroke as thick as MNIST's are."""
    ink = np.zeros((70, 70), np.uint8)
    cv2.line(ink, (10, 55), (60, 10), 255, width, cv2.LINE_AA)
    cv2.line(ink, (10, 10), (60, 60), 255, width, cv2.LINE_AA)
    seen = to_mnist(cut(ink))
    thickness = (seen / 255).sum() / (2 * np.hypot(20, 20))
    assert 1.1 < thickness < 4.5
    assert seen.max() > 180
