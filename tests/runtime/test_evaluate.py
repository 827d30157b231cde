"""Accuracy and agreement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from runtime.datasets import ArrayDataset, FileDataset, first
from runtime.errors import Cancelled, DataError
from runtime.evaluate import BATCH, NO_CLASS, accuracy, percent, predict, require_classes
from tests.fakes import RecordingProgress, fake_session, first_pixel_class
from tests.tiny import CLASSES, SIDE, make_spec


def dataset(count: int, labels: np.ndarray | None = None) -> ArrayDataset:
    """Images whose pixels all are their index modulo the classes."""
    values = (np.arange(count) % CLASSES).astype(np.uint8)
    return ArrayDataset("set", np.repeat(values, SIDE * SIDE).reshape(count, SIDE, SIDE), labels)


def test_every_session_answers_every_image_once_and_in_order() -> None:
    right, right_engine = fake_session(make_spec(), first_pixel_class(CLASSES))
    wrong, wrong_engine = fake_session(make_spec(), first_pixel_class(CLASSES, shift=1))
    progress = RecordingProgress()
    answers = predict({"right": right, "wrong": wrong}, dataset(70), progress)
    assert list(answers) == ["right", "wrong"]
    np.testing.assert_array_equal(answers["right"], np.arange(70) % CLASSES)
    np.testing.assert_array_equal(answers["wrong"], (np.arange(70) + 1) % CLASSES)
    assert sum(right_engine.batches) == sum(wrong_engine.batches) == 70
    assert (progress.stages["evaluate"].total, progress.stages["evaluate"].done) == (70, 70)


def test_each_image_is_read_once_for_all_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    image = ArrayDataset.image
    monkeypatch.setattr(ArrayDataset, "image", lambda self, index: (reads.append(index), image(self, index))[1])
    sessions = {name: fake_session(make_spec(), first_pixel_class(CLASSES))[0] for name in "abc"}
    predict(sessions, dataset(35), RecordingProgress())
    assert reads == list(range(35))


@pytest.mark.parametrize("label", [-1, CLASSES, 999])
def test_labels_that_are_no_class_of_the_model_are_refused_before_the_work(label: int) -> None:
    session, engine = fake_session(make_spec(), first_pixel_class(CLASSES))
    labels = np.array([0, label, 1], np.int64)
    with pytest.raises(DataError, match=f"{label}.* tiny has 4 classes") as caught:
        predict({"a": session}, dataset(3, labels), RecordingProgress())
    assert caught.value.hint
    assert engine.batches == []


@pytest.mark.parametrize(
    ("classes", "labels", "right"),
    [
        ((0, 1, 2, 3), (), True),
        ((0, 1, 2), (), False),
        ((0, 1, 2, 3, 4), (), False),
        ((1, 3), ("a", "b", "c", "d"), True),
    ],
)
def test_subfolders_are_counted_where_classes_have_no_names(
    classes: tuple[int, ...], labels: tuple[str, ...], right: bool
) -> None:
    spec = structs.replace(make_spec(), labels=labels)
    files = FileDataset("set", (Path("a.png"),) * len(classes), classes)
    if right:
        require_classes(files, spec)
        require_classes(first(files, 1), spec)  # a sample need not have all of them
    else:
        with pytest.raises(DataError, match="4 classes") as caught:
            require_classes(files, spec)
        assert caught.value.hint


def test_nan_is_no_class() -> None:
    session, _ = fake_session(make_spec(), lambda images: np.full((len(images), CLASSES), np.nan, np.float32))
    assert (predict({"a": session}, dataset(3), RecordingProgress())["a"] == NO_CLASS).all()


def test_a_request_to_stop_is_heard() -> None:
    session, engine = fake_session(make_spec(), first_pixel_class(CLASSES))
    with pytest.raises(Cancelled):
        predict({"a": session}, dataset(3 * BATCH), RecordingProgress(stop_after=BATCH))
    assert sum(engine.batches) == BATCH


PREDICTED, REFERENCE, TRUTH = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 2]), np.array([0, 1, 0, 2])


def test_accuracy_compares_with_labels_and_reference() -> None:
    result = accuracy(PREDICTED, REFERENCE, TRUTH, "onnxruntime")
    assert (result.top1, result.top1_fp32, result.drop_points, result.agreement) == (50, 75, 25, 75)
    assert (result.images, result.measured_with) == (4, "onnxruntime")


def test_nan_agrees_with_nothing_not_even_with_nan() -> None:
    answers = np.array([0, NO_CLASS])
    assert accuracy(answers, answers, None, "x").agreement == 50


def test_a_better_engine_has_a_negative_drop() -> None:
    assert accuracy(REFERENCE, PREDICTED, TRUTH, "x").drop_points == -25


def test_figures_that_were_not_measured_are_none() -> None:
    no_labels = accuracy(PREDICTED, REFERENCE, None, "x")
    assert (no_labels.top1, no_labels.top1_fp32, no_labels.drop_points, no_labels.agreement) == (None, None, None, 75)
    no_reference = accuracy(PREDICTED, None, TRUTH, "x")
    assert (no_reference.top1, no_reference.top1_fp32, no_reference.drop_points) == (50, None, None)
    assert no_reference.agreement is None


def test_a_drop_has_no_noise_from_floating_point() -> None:
    truth = np.zeros(1000, np.int64)
    predicted, reference = truth.copy(), truth.copy()
    predicted[:13] = 1
    reference[:10] = 1
    assert accuracy(predicted, reference, truth, "x").drop_points == 0.3


def test_percent() -> None:
    assert percent(np.array([True, False, False])) == pytest.approx(100 / 3)
    assert percent(np.array([True] * 7)) == 100
