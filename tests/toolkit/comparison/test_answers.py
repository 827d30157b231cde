"""The answers of two models."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.evaluate import NO_CLASS
from toolkit.comparison.answers import MOST_POINTS, Answers, Points


def probabilities(count: int, seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).random((count, 4)).astype(np.float32)
    return values / values.sum(axis=1, keepdims=True)


def test_answers_are_those_of_all_batches_at_once() -> None:
    a, b = probabilities(20, 0), probabilities(20, 1)
    answers = Answers()
    for start in range(0, 20, 6):
        part = slice(start, start + 6)
        answers.update((a[part], b[part]), (a[part], b[part] + np.float32(0.01)))
    differences = np.abs(a.astype(np.float64) - b).max(axis=1)
    assert answers.largest == (differences.max(), differences.argmax())
    np.testing.assert_array_equal(answers.classes[0], a.argmax(axis=1))
    np.testing.assert_array_equal(answers.classes[1], b.argmax(axis=1))
    assert answers.engines == [0.0, pytest.approx(0.01, abs=1e-6)]


def test_nan_is_no_class_and_as_far_as_can_be() -> None:
    a = probabilities(3, 0)
    b = a.copy()
    b[1, 2] = np.nan
    answers = Answers()
    answers.update((a, b), (a, b))
    assert answers.classes[1].tolist() == [a[0].argmax(), NO_CLASS, a[2].argmax()]
    assert answers.largest == (1.0, 1)
    assert answers.engines == [0.0, 0.0]
    assert answers.warnings == ("B answers NaN or infinity to 1 of the images",)


@pytest.mark.parametrize("count", [10, 9_000])
def test_points_are_spread_over_all_images_and_not_too_many(count: int) -> None:
    a = np.arange(count * 10, dtype=np.float32).reshape(count, 10)
    points = Points("logits", a.size)
    for start in range(0, count, 32):
        points.update(a[start : start + 32], -a[start : start + 32])
    kept, other = points.both
    np.testing.assert_array_equal(kept, a.ravel()[:: points.every])
    np.testing.assert_array_equal(other, -kept)
    assert len(kept) <= MOST_POINTS
