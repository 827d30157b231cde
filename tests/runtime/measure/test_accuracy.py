from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec import structs
from numpy.typing import NDArray

from runtime.datasets import ArrayDataset, evenly_spaced, open_dataset
from runtime.errors import Cancelled, DataError
from runtime.measure import accuracy
from runtime.measure.accuracy import measure_accuracy
from runtime.progress import SilentProgress
from runtime.session import Session
from runtime.spec import ModelSpec, Preprocess, classifier_spec
from tests.fakes import RecordingProgress, fake_session, first_pixel_class

CLASSES = 10


def spec(classes: int = CLASSES, threshold: float | None = None) -> ModelSpec:
    plain = Preprocess("gray", (), (0.0,), (1.0,))
    made = classifier_spec("tiny", height=2, width=2, classes=classes, preprocess=plain)
    return structs.replace(made, reject_threshold=threshold)


def answering(rows: NDArray[np.float32], threshold: float | None = None) -> Session:
    """A session whose answer to an image is the row that its first two pixels number."""

    def answer(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return rows[batch[:, 0, 0, 0].astype(int) * 256 + batch[:, 0, 1, 0]]

    return fake_session(spec(rows.shape[1], threshold), answer)[0]


def numbered(count: int, labels: NDArray[np.int64] | None) -> ArrayDataset:
    images = np.zeros((count, 2, 2), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(count) // 256, np.arange(count) % 256
    return ArrayDataset("numbers", images, labels)


def random_rows(count: int, classes: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), count).astype(np.float32)


def test_everything_is_counted_as_by_hand() -> None:
    count = 1000
    a, b = random_rows(count, CLASSES, 1), random_rows(count, CLASSES, 2)
    b[::2] = a[::2]
    labels = np.random.default_rng(3).integers(0, CLASSES, count)
    labels[::3] = a.argmax(axis=1)[::3]
    sessions = {"a": answering(a), "b": answering(b, 0.5)}
    results = measure_accuracy(sessions, numbered(count, labels), "a", SilentProgress())
    first, second = results["a"], results["b"]
    answered, other = b.argmax(axis=1), a.argmax(axis=1)
    right, right_a = answered == labels, other == labels
    assert second.images == count
    assert second.top1 == pytest.approx(100 * right.mean())
    order = np.argsort(-b, axis=1)[:, :5]
    assert second.top5 == pytest.approx(100 * (order == labels[:, None]).any(axis=1).mean())
    assert second.top1_interval is not None
    assert second.top1_interval.low < second.top1 < second.top1_interval.high
    assert second.refused == pytest.approx(100 * (b.max(axis=1) < 0.5).mean())
    assert first.refused is None
    matrix = np.zeros((CLASSES, CLASSES), int)
    for label, answer in zip(labels, answered, strict=True):
        matrix[label, answer] += 1
    assert second.confusion == tuple(map(tuple, matrix.tolist()))
    assert second.confused[0][2] == (matrix - np.diag(np.diag(matrix))).max()
    for entry in second.classes:
        assert entry.images == (labels == entry.index).sum()
        assert entry.recall == pytest.approx(100 * right[labels == entry.index].mean())
        assert entry.precision == pytest.approx(100 * right[answered == entry.index].mean())
    pairing = second.pairing
    assert pairing is not None
    assert first.pairing is None
    assert pairing.agreement == pytest.approx(100 * (answered == other).mean())
    assert (pairing.lost, pairing.gained) == ((right_a & ~right).sum(), (right & ~right_a).sum())
    assert pairing.drop_points == pytest.approx(100 * (right_a.mean() - right.mean()))
    assert pairing.drop_interval is not None
    assert pairing.drop_interval.low < pairing.drop_points < pairing.drop_interval.high
    differ = np.flatnonzero(answered != other)
    assert [change.image for change in second.changed] == differ[:100].tolist()
    change = second.changed[-1]
    assert (change.reference, change.engine) == (other[change.image], answered[change.image])
    assert change.engine_probability == pytest.approx(b[change.image].max())
    assert change.label == labels[change.image]


def test_of_equal_probabilities_five_are_among_the_first_five() -> None:
    rows = np.zeros((CLASSES, CLASSES), np.float32)
    rows[:, 9] = 1  # so sure that the others are zero: the first answers are 9, 0, 1, 2 and 3
    labels = np.arange(CLASSES)
    found = measure_accuracy({"a": answering(rows)}, numbered(CLASSES, labels), None, SilentProgress())["a"]
    assert (found.top1, found.top5) == (10, 50)


def test_the_calibration_error_is_that_of_its_definition() -> None:
    rows = random_rows(600, 4, 5)
    labels = np.random.default_rng(6).integers(0, 4, 600)
    result = measure_accuracy({"a": answering(rows)}, numbered(600, labels), None, SilentProgress())["a"]
    sure, right = rows.max(axis=1).astype(np.float64), rows.argmax(axis=1) == labels
    expected = 0.0
    for k in range(15):
        inside = (sure >= k / 15) & (sure < (k + 1) / 15) if k < 14 else sure >= k / 15
        if inside.any():
            expected += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
            assert result.reliability[k].right == pytest.approx(right[inside].mean())
    assert result.calibration_error == pytest.approx(expected)
    assert result.top5 is None  # of four classes


def test_without_labels_only_answers_are_compared() -> None:
    rows = random_rows(300, CLASSES, 1)
    other = np.roll(rows, 1, axis=1)
    sessions = {"a": answering(rows), "b": answering(other)}
    result = measure_accuracy(sessions, numbered(300, None), "a", SilentProgress())["b"]
    assert (result.top1, result.top1_interval, result.calibration_error) == (None, None, None)
    assert (result.classes, result.confusion, result.reliability) == ((), (), ())
    assert result.pairing is not None
    assert (result.pairing.agreement, result.pairing.drop_points, result.pairing.p_value) == (0, None, None)
    assert len(result.changed) == 100


def test_nan_is_wrong_and_agrees_with_nothing() -> None:
    rows = random_rows(4, CLASSES, 1)
    broken = rows.copy()
    broken[1] = np.nan
    labels = rows.argmax(axis=1)
    sessions = {"a": answering(rows), "b": answering(broken, 0.01)}
    result = measure_accuracy(sessions, numbered(4, labels), "a", SilentProgress())["b"]
    assert (result.broken, result.top1, result.top5, result.refused) == (1, 75, 75, 25)
    assert result.pairing is not None
    assert result.pairing.agreement == 75
    assert result.changed[0].engine == -1
    assert result.changed[0].engine_probability == 0


def test_of_many_classes_the_matrix_is_left_out_and_pairs_are_named() -> None:
    classes = 200
    rows = np.eye(classes, dtype=np.float32)
    labels = np.arange(classes)
    labels[:3] = 7
    result = measure_accuracy({"a": answering(rows)}, numbered(classes, labels), None, SilentProgress())["a"]
    assert result.confusion == ()
    assert set(result.confused) == {(7, 0, 1), (7, 1, 1), (7, 2, 1)}


def test_memory_does_not_grow_with_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "MOST_CLASSES", 8)
    rows = random_rows(20, CLASSES, 1)
    result = measure_accuracy({"a": answering(rows)}, numbered(20, np.zeros(20, np.int64)), None, SilentProgress())["a"]
    assert (result.confusion, result.confused) == ((), ())
    assert result.classes[0].images == 20


def test_models_of_other_sizes_read_the_same_images(tmp_path: Path) -> None:
    for index in range(6):
        folder = tmp_path / str(index % 2)
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"{index}.png"), np.full((4, 4), index % 2, np.uint8))
    from runtime.spec import Resize

    small = spec(2)
    large = classifier_spec(
        "large", height=8, width=8, classes=2, preprocess=Preprocess("gray", (Resize(8, 8),), (0.0,), (1.0,))
    )
    shrunk = structs.replace(small, preprocess=Preprocess("gray", (Resize(2, 2),), (0.0,), (1.0,)))
    sessions = {
        "small": fake_session(shrunk, first_pixel_class(2))[0],
        "large": fake_session(large, first_pixel_class(2, 1))[0],
    }
    dataset = evenly_spaced(open_dataset(tmp_path, None), 4)
    results = measure_accuracy(sessions, dataset, "small", SilentProgress())
    assert (results["small"].top1, results["large"].top1) == (100, 0)
    change = results["large"].changed[1]
    assert change.file is not None
    assert Path(change.file).parent.name in "01"
    assert change.image == int(np.linspace(0, 5, 4).round()[1])


def test_models_with_other_classes_are_refused() -> None:
    sessions = {"a": answering(random_rows(2, 4, 1)), "b": answering(random_rows(2, 5, 1))}
    with pytest.raises(DataError, match="a and b do not have the same classes"):
        measure_accuracy(sessions, numbered(2, None), None, SilentProgress())


def test_labels_that_are_no_classes_are_refused() -> None:
    with pytest.raises(DataError, match="labels"):
        measure_accuracy({"a": answering(random_rows(2, 4, 1))}, numbered(2, np.array([0, 4])), None, SilentProgress())


def test_it_shows_its_progress_and_stops_when_asked() -> None:
    rows = random_rows(600, 4, 1)
    progress = RecordingProgress(stop_after=300)
    with pytest.raises(Cancelled):
        measure_accuracy({"a": answering(rows)}, numbered(600, None), None, progress)
    assert progress.stages["measure accuracy"].total == 600
    assert progress.stages["measure accuracy"].done == 512
