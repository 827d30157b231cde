"""From a frame to the digits on it, with a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime import open_session
from runtime.camera.frame import Box
from runtime.camera.reading import reader as reader_module
from runtime.camera.reading.answer import Answer
from runtime.camera.reading.boxes import common_area, inside, overlap
from runtime.camera.reading.normalize import RASTER
from runtime.camera.reading.reader import (
    DigitReader,
    find_all_shapes,
    find_candidates,
    find_closer,
    once,
    regions,
    usual,
)
from tests.runtime.camera.candidates import bare, said
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


def in_a_box(gap: int = 2) -> tuple[np.ndarray, Box]:
    """A small digit whose foot is that far above the line of a box, on the frame, and its own box."""
    picture, boxes = page(height=30, count=10)
    x, y, width, height = boxes[2][0]
    ink = picture < 140
    picture[:] = 210
    picture[y : y + height, x : x + width][ink[y : y + height, x : x + width]] = 40
    bottom = y + height + gap
    cv2.rectangle(picture, (x - 14, y - 14), (x + width + 14, bottom), 40, 1)
    return picture, (x, y, width, height)


def test_what_is_in_doubt_is_looked_at_with_all_pixels(reader: DigitReader) -> None:
    picture, box = in_a_box()
    assert not any(overlap(found.box, box) > 0.7 for found in find_candidates(frame(picture)))  # in one with the line
    (answers,) = reader.look([frame(picture)])
    assert max(overlap(answer.box, box) for answer in answers) > 0.85


def test_what_is_settled_is_not_looked_at_again(reader: DigitReader) -> None:
    picture, boxes = page(height=30)
    image = frame(picture)
    sure = [Answer(found, *said(7, 0.99)) for found in find_candidates(image)]
    assert len(sure) >= len(boxes)
    assert find_closer(image, sure) == []
    doubtful = [Answer(answer.candidate, *said(7, 0.5)) for answer in sure[:1]]
    found = [shape.level.on_frame(shape.box) for shape in find_closer(image, doubtful + sure[1:])]
    assert [overlap(box, sure[0].box) > 0.8 for box in found] == [True]


def test_small_frames_have_no_more_pixels(reader: DigitReader) -> None:
    picture, _ = page((400, 300), height=30)
    doubtful = [Answer(found, *said(7, 0.5)) for found in find_candidates(frame(picture))]
    assert doubtful
    assert find_closer(frame(picture), doubtful) == []


def test_only_so_many_are_looked_at_closer_the_likeliest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, _ = page(height=30)
    found = find_candidates(frame(picture))
    doubtful = [Answer(one, *said(7, 0.3 + place / 100)) for place, one in enumerate(found)]
    monkeypatch.setattr(reader_module, "MOST_CLOSER", 1)
    shapes = find_closer(frame(picture), doubtful)
    assert [overlap(shape.level.on_frame(shape.box), found[-1].box) > 0.8 for shape in shapes] == [True]


def test_regions_hold_boxes_and_do_not_overlap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        boxes = [(int(x), int(y), 12, 20) for x, y in rng.integers(0, (620, 450), (int(rng.integers(1, 25)), 2))]
        parts = regions(boxes, 640, 480)
        assert all(any(inside(box, part) == 1 for part in parts) for box in boxes)
        assert all(x >= 0 and y >= 0 and x + wide <= 640 and y + high <= 480 for x, y, wide, high in parts)
        pairs = [(one, other) for place, one in enumerate(parts) for other in parts[:place]]
        assert not any(common_area(one, other) for one, other in pairs)
    assert len(regions([(10, 10, 12, 20), (400, 300, 12, 20)], 640, 480)) == 2
    assert regions([], 640, 480) == []


def test_a_thing_that_two_levels_show_is_refused_once(reader: DigitReader) -> None:
    assert once([(10, 10, 30, 40), (50, 10, 30, 40), (11, 9, 30, 41)]) == ((10, 10, 30, 40), (50, 10, 30, 40))
    assert once([(10, 10, 30, 40), (12, 12, 10, 10)]) == ((10, 10, 30, 40), (12, 12, 10, 10))  # a thing in a thing
    strict = DigitReader(reader.session, threshold=1.01)
    refused = strict.read(frame(in_a_box()[0])).refused
    assert len(refused) == len(once(refused)) > 0


def test_what_is_in_doubt() -> None:
    whole, parts = (bare((0, 0, 60, 40)), [bare((0, 0, 20, 40)), bare((30, 0, 20, 40))])
    assert not Answer(whole, *said(8, 0.96)).in_doubt
    assert Answer(whole, *said(8, 0.94)).in_doubt
    for sure in (0.96, 0.94):
        ways = [[Answer(parts[0], *said(3, 0.99)), Answer(parts[1], *said(5, sure))]]
        assert Answer(whole, *said(8, 0.5), ways=ways).in_doubt == (sure < 0.95)
