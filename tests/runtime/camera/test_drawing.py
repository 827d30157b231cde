"""What is drawn on a frame; that it is beautiful, only eyes can tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from runtime.camera.frame import Frame, Number, Picture, State, Tracked
from runtime.camera.outputs.drawing import draw
from runtime.camera.outputs.labels import arranged, covered, grown
from runtime.camera.outputs.pen import pen_for, shortened, text_width
from runtime.camera.outputs.seen import Seen, Status

STATUS = Status("rtsp://camera/" + "long/" * 40, State.STREAMING, "640x480", 29.9, 21.0, 12, "rec 00:12")


def seen_on(picture: Picture, **changes: object) -> Seen:
    height, width = picture.shape[:2]
    digits = tuple(
        Tracked((x, y, 20, 30), label, probability, track)
        for track, (x, y, label, probability) in enumerate(
            [(50, 60, "4", 0.99), (72, 60, "0", 0.5), (-5, -5, "9", 1.0), (width - 8, height - 8, "dög\n", 0.9)]
        )
    )
    numbers = (Number("40", (50, 60, 42, 30), (0, 1)), Number("9", (-5, -5, 20, 30), (2,)))
    settings = {"digits": digits, "numbers": numbers, "refused": ((30, 10, 9, 9), (100, 100, 1, 1)), **changes}
    return Seen(Frame(picture, 0, 0, 0, "drawn"), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (64, 48), (8, 8), (33, 200)])
def test_frames_of_any_size_keep_it_and_are_not_written_to(size: tuple[int, int]) -> None:
    picture = np.full((size[1], size[0], 3), 128, np.uint8)
    picture.flags.writeable = False
    drawn = draw(seen_on(picture), STATUS, help_shown=True)
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    assert (picture == 128).all()
    assert (drawn != 128).any()


@pytest.mark.parametrize("ground", [0, 255, 128])
def test_boxes_and_words_stand_out_on_any_ground(ground: int) -> None:
    drawn = draw(seen_on(np.full((480, 640, 3), ground, np.uint8)))
    near = drawn[20:140, 30:130].reshape(-1, 3).astype(int)
    assert near.max() > 200 and near.min() < 60


def test_nothing_is_drawn_where_nothing_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    assert (draw(Seen(Frame(picture, 0, 0, 0, "drawn"))) == picture).all()


def test_what_is_not_read_is_darker() -> None:
    picture = np.full((240, 320, 3), 200, np.uint8)
    drawn = draw(seen_on(picture, digits=(), numbers=(), refused=(), region=(100, 50, 120, 80)))
    assert (drawn[60:120, 110:210] == 200).all()
    assert drawn[200, 10].max() < 120


@pytest.mark.parametrize("state", State)
def test_every_state_of_a_source_looks_different(state: State) -> None:
    picture = np.full((240, 320, 3), 200, np.uint8)
    streaming = draw(seen_on(picture), Status("drawn", State.STREAMING))
    same = (draw(seen_on(picture), Status("drawn", state)) == streaming).all()
    assert same == (state is State.STREAMING)


def on_wide(width: int) -> Callable[[str], str]:
    pen = pen_for(np.zeros((480, 640, 3), np.uint8))
    return lambda text: shortened(text, width, pen)


def test_words_that_do_not_fit_are_cut() -> None:
    pen = pen_for(np.zeros((480, 640, 3), np.uint8))
    assert on_wide(1000)("rtsp://camera") == "rtsp://camera"
    cut = on_wide(90)("rtsp://camera/stream")
    assert cut.startswith("rtsp") and cut.endswith("...")
    assert text_width(cut, pen) <= 90
    assert on_wide(1)("rtsp://camera") == ""


def rows_of_numbers(gap: int, *, first: int = 60, apart: int = 60) -> Seen:
    """Three numbers of three digits in each row, the rows so many pixels from one another."""
    digits, numbers = [], []
    for row, y in enumerate(range(first, 480 - 40, 40 + gap)):
        for column in range(3):
            tracks = tuple(range(9 * row + 3 * column, 9 * row + 3 * column + 3))
            x = 30 + column * (3 * 34 + apart)
            digits += [Tracked((x + 34 * place, y, 24, 40), "8", 0.9, track) for place, track in enumerate(tracks)]
            numbers.append(Number("888", (x, y, 92, 40), tracks))
    digits.sort(key=lambda digit: digit.box[0])
    return Seen(Frame(np.full((480, 640, 3), 200, np.uint8), 0, 0, 0, "drawn"), tuple(digits), tuple(numbers))


def texts(seen: Seen, top: int = 23) -> list[tuple[str, tuple[int, int, int, int]]]:
    """What is written, and where."""
    pen = pen_for(seen.frame.image)
    return [(" ".join(text for text, _ in each.words), each.box) for each in arranged(seen, (640, 480), top, pen)]


@pytest.mark.parametrize(("gap", "apart"), [(120, 60), (70, 60), (45, 120)])
def test_words_cover_neither_digits_nor_each_other_where_there_is_room(gap: int, apart: int) -> None:
    seen = rows_of_numbers(gap, apart=apart)
    pen = pen_for(seen.frame.image)
    written = texts(seen)
    boxes = [box for _, box in written]
    for place, box in enumerate(boxes):
        assert not covered(box, boxes[:place] + boxes[place + 1 :], pen.pad)
        assert not covered(box, [grown(digit.box, pen.pad) for digit in seen.digits], pen.pad)
    with_probability = sum(text.startswith("888 90%") for text, _ in written)
    assert with_probability == len(seen.numbers) or gap < 70  # then it depends on how wide OpenCV's letters are
    assert sum(text.startswith("8") for text, _ in written) == len(seen.numbers) + len(seen.digits)


def test_a_number_stands_below_its_digits_and_a_label_above_where_nothing_is_in_the_way() -> None:
    seen = rows_of_numbers(400)
    below = [box for text, box in texts(seen) if text.startswith("888")]
    above = [box for text, box in texts(seen) if not text.startswith("888")]
    assert min(box[1] for box in below) > 60 + 40 and max(box[1] + box[3] for box in above) <= 60


def test_crowded_words_stay_on_the_picture_and_off_the_bar() -> None:
    seen = rows_of_numbers(8, first=25, apart=12)
    assert len(texts(seen)) == len(seen.digits) + len(seen.numbers)
    for _, (x, y, width, height) in texts(seen):
        assert 0 <= x <= 640 - width and 23 <= y <= 480 - height


def test_what_is_covered_is_counted_but_for_the_room_about_words() -> None:
    assert covered((0, 0, 10, 10), [(5, 5, 10, 10), (20, 0, 5, 5)]) == 25
    assert covered((0, 0, 10, 10), [(10, 0, 10, 10)]) == 0
    assert covered((0, 0, 10, 10), [(8, 0, 10, 10)], pad=2) == 0
    assert covered((0, 0, 10, 10), [(7, 0, 10, 10)], pad=2) == 30
    assert covered((5, 5, 2, 2), [(0, 0, 20, 20)], pad=0) == 4
