"""Preparation of images, from files and from memory. No time is asserted but that a whole is more than its parts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from runtime.datasets import ArrayDataset, Dataset, evenly_spaced, open_dataset
from runtime.measure.preparation import IMAGES, PASSES, describe_preparation, measure_preparation
from tests.fakes import RecordingProgress, fake_session, first_pixel_class
from tests.tiny import CLASSES, SIDE, make_images, make_spec


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("pictures")
    for index, image in enumerate(make_images(5)):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    return open_dataset(folder, None)


def test_files_are_decoded_prepared_and_answered(files: Dataset) -> None:
    session, engine = fake_session(make_spec(), first_pixel_class(CLASSES))
    progress = RecordingProgress()
    found = measure_preparation({"a": session}, files, progress)["a"]
    assert found.images == 5
    assert found.decode_ms is not None and found.together_ms is not None
    assert found.decode_ms > 0 and found.preprocess_ms > 0
    assert found.together_ms > found.preprocess_ms
    assert engine.batches == [1] * 5 * PASSES
    assert progress.stages["prepare images"].done == PASSES


def test_a_part_of_a_set_of_files_is_of_files(files: Dataset) -> None:
    session, _ = fake_session(make_spec(), first_pixel_class(CLASSES))
    found = measure_preparation({"a": session}, evenly_spaced(files, 3), RecordingProgress(), images=2)["a"]
    assert found.images == 2 and found.decode_ms is not None


def test_arrays_are_not_decoded() -> None:
    dataset = ArrayDataset("arrays", np.zeros((100, SIDE + 3, SIDE), np.uint8), None)
    sessions = {name: fake_session(make_spec(), first_pixel_class(CLASSES))[0] for name in "ab"}
    for found in measure_preparation(sessions, dataset, RecordingProgress()).values():
        assert (found.decode_ms, found.together_ms, found.images) == (None, None, IMAGES)
        assert found.preprocess_ms > 0


def test_medians_in_milliseconds(files: Dataset) -> None:
    spent = [(1_000_000, 2_000_000, 9_000_000), (3_000_000, 4_000_000, 11_000_000), (99_000_000, 0, 8_000_000)]
    found = describe_preparation(spent, files)
    assert (found.decode_ms, found.preprocess_ms, found.together_ms) == (3, 2, 9)
