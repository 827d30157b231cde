"""From a frame to the digits on it, with a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime import open_session
from runtime.camera.reading import reader as reader_module
from runtime.camera.reading.boxes import overlap
from runtime.camera.reading.normalize import RASTER
from runtime.camera.reading.reader import DigitReader, find_all_shapes, find_candidates, usual
from tests.runtime.camera.digit_bundle import write_digit_bundle
from tests.runtime.camera.mnist import DIGITS
from tests.runtime.camera.paper import frame, page


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DigitReader]:
    bundle = write_digit_bundle(tmp_path_factory.mktemp("bundle") / "digits")
    with open_session(bundle, threads=1) as session:
        yield DigitReader(session)


def test_a_reader_reads_left_to_right(reader: DigitReader) -> None:
    assert DIGITS.labels is not None
    picture, boxes = page()
    reading = reader.read(frame(picture))
    assert [digit.box[0] for digit in reading.digits] == sorted(digit.box[0] for digit in reading.digits)
    right = [
        place
        for box, place in boxes
        if any(overlap(box, d.box) > 0.6 and d.label == str(DIGITS.labels[place]) for d in reading.digits)
    ]
    assert len(right) >= 7  # its model reads nine of ten of MNIST's digits
    assert set(reader.stages) == {"find", "crop", "infer", "choose"}


def test_a_reader_takes_a_frame_without_anything(reader: DigitReader) -> None:
    reading = reader.read(np.full((480, 640, 3), 200, np.uint8))
    assert (reading.digits, reading.refused) == ((), ())


def test_a_threshold_of_one_refuses_everything(reader: DigitReader) -> None:
    strict = DigitReader(reader.session, threshold=1.01)
    reading = strict.read(frame(page()[0]))
    assert reading.digits == ()
    assert len(reading.refused) >= 10


def test_classes_may_come_in_any_order(reader: DigitReader, tmp_path: Path) -> None:
    picture, _ = page()
    roots = find_candidates(frame(picture))
    numbers, _, rows = zip(*reader.infer(roots), strict=True)
    with open_session(write_digit_bundle(tmp_path / "digits", "9876543210"), threads=1) as session:
        others, _, other_rows = zip(*DigitReader(session).infer(roots), strict=True)
    assert [9 - number for number in others] == list(numbers)
    assert np.array_equal(np.stack(other_rows)[:, ::-1], np.stack(rows))


def test_batches_come_in_few_sizes_and_little_is_added() -> None:
    sizes = [usual(count) for count in range(1, 1001)]
    assert all(count <= size <= 1.25 * count + 1 for count, size in enumerate(sizes, 1))
    assert len(set(sizes)) < 40


def test_a_page_of_print_is_read(reader: DigitReader) -> None:
    """There are more shapes than OpenCV maps in one picture."""
    picture = np.full((1080, 1920), 240, np.uint8)
    for row in range(28):
        for column in range(48):
            place = (12 + 39 * column, 34 + 38 * row)
            cv2.putText(picture, "KMXRW"[(row + column) % 5], place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, 20, 2)
    assert len(find_all_shapes(picture)) > 32767 // RASTER
    before = reader.inferences
    reading = reader.read(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    assert reading.digits or reading.refused
    assert reader.inferences - before > 32767 // RASTER  # each letter was looked at


def test_of_too_many_shapes_the_highest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    heights = range(40, 80, 2)
    boxes = [(30 * (place + 1), 40, height) for place, height in enumerate(heights)]
    frame = np.full((240, 680, 3), 220, np.uint8)
    for x, y, height in boxes:
        cv2.line(frame, (x, y), (x, y + height), (40, 40, 40), 3)
    assert len(find_candidates(frame)) >= len(heights)
    monkeypatch.setattr(reader_module, "MOST", 5)
    found = find_candidates(frame)
    assert 0 < len(found) <= 5
    assert min(candidate.box[3] for candidate in found) > 68
