"""What has not changed is not read again; and whatever changes is."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.random import default_rng

from runtime.camera.frame import Box, Digit, Picture, Reading
from runtime.camera.reading.boxes import overlap
from runtime.camera.watching import LONGEST, PATIENCE, SETTLED, Watch, moved, says_the_same
from runtime.preprocess import as_image

SIZE = (640, 480)
WRITTEN = {"3": (100, 120, 40), "5": (180, 330, 30), "8": (400, 90, 60), "1": (520, 360, 45)}
READING = Reading(
    tuple(Digit((x, y - high, high, high), label, 0.9) for label, (x, y, high) in WRITTEN.items()), ((10, 400, 30, 20),)
)
PEN = (60, 50, 40)


def write(paper: Picture, text: str, x: int, y: int, high: int, pen: tuple[int, int, int] = PEN) -> None:
    """Write something whose lowest point is y."""
    cv2.putText(paper, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, high / 22, pen, max(2, high // 12), cv2.LINE_AA)


def page() -> Picture:
    """Paper with some digits, under light from the left."""
    paper = np.full((SIZE[1], SIZE[0], 3), 215, np.uint8)
    for label, (x, y, high) in WRITTEN.items():
        write(paper, label, x, y, high)
    cv2.line(paper, (10, 420), (40, 410), PEN, 3)
    return as_image((paper * np.linspace(1, 0.6, SIZE[0])[:, None]).astype(np.uint8))


def noisy(picture: Picture, number: int, deviation: float = 4.0) -> Picture:
    """What a camera makes of it, in the frame of that number."""
    noise = default_rng(number).normal(0, deviation, picture.shape)
    return as_image((picture + noise).clip(0, 255).astype(np.uint8))


def held(picture: Picture, number: int) -> tuple[Picture, np.ndarray]:
    """As a hand holds the camera in that frame, and the motion."""
    turn = 0.01 * np.sin(number / 5)
    motion = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), float(np.degrees(turn)), 1 + 0.01 * np.sin(number / 7))
    motion[:, 2] += (6 * np.sin(number / 3), 5 * np.cos(number / 4) - 5)
    return as_image(cv2.warpAffine(picture, motion, SIZE, borderMode=cv2.BORDER_REFLECT_101)), motion


def settled(picture: Callable[[int], Picture], reading: Reading = READING) -> tuple[Watch, int]:
    """A watch that has seen enough of a source, and the number of the next frame."""
    watch = Watch()
    for number in range(SETTLED):
        assert watch.recall(picture(number)) is None
        watch.learn(picture(number), reading)
    return watch, SETTLED


def test_a_picture_that_stands_still_is_recalled_as_it_was_read() -> None:
    paper = page()
    watch, first = settled(lambda number: noisy(paper, number))
    for number in range(first, first + 20):
        assert watch.recall(noisy(paper, number)) == Reading(READING.digits, READING.refused, recalled=True)


@pytest.mark.parametrize("channels", ["coloured", "grey"])
def test_boxes_move_with_a_camera_that_a_hand_holds(channels: str) -> None:
    paper = page() if channels == "coloured" else as_image(cv2.cvtColor(page(), cv2.COLOR_BGR2GRAY))
    watch, first = settled(lambda number: noisy(held(paper, number)[0], number))
    there, recalled = held(paper, SETTLED - 1)[1], 0
    for number in range(first, first + 25):
        picture, motion = held(paper, number)
        reading = watch.recall(noisy(picture, number))
        if not reading:  # the oldest OpenCV takes one for changed
            continue
        recalled += 1
        assert [digit.label for digit in reading.digits] == list(WRITTEN)
        back = cv2.invertAffineTransform(there)
        for digit, old in zip(reading.digits, READING.digits, strict=True):
            x, y, width, height = old.box
            corners = np.array([[[x, y]], [[x + width, y + height]]], np.float64)
            (left, top), (right, bottom) = cv2.transform(cv2.transform(corners, back), motion)[:, 0]
            assert np.abs(np.array(digit.box) - (left, top, right - left, bottom - top)).max() < 2
    assert recalled > 15


def test_light_that_comes_and_goes_is_no_change() -> None:
    paper = page().astype(np.float32)
    watch, first = settled(lambda number: noisy(as_image(paper.astype(np.uint8)), number))
    for number in range(first, first + 30):
        slope = np.linspace(1, 1 - 0.012 * (number - first), SIZE[0], dtype=np.float32)[:, None]
        assert watch.recall(noisy(as_image((paper * slope).astype(np.uint8)), number))


def add(paper: Picture) -> None:
    write(paper, "7", 300, 250, 40)


def add_small_and_light(paper: Picture) -> None:
    write(paper, "2", 300, 250, 18, (150, 150, 150))


def erase(paper: Picture) -> None:
    x, y, high = WRITTEN["8"]
    cv2.rectangle(paper, (x - 5, y - high - 5), (x + high + 5, y + 5), tuple(map(int, paper[5, x])), cv2.FILLED)


def make_a_seven(paper: Picture) -> None:
    x, y, high = WRITTEN["1"]
    cv2.line(paper, (x - 6, y - high), (x + 14, y - high), PEN, 3)


def shift_one(paper: Picture) -> None:
    x, y, high = WRITTEN["3"]
    part = paper[y - high - 6 : y + 6, x - 6 : x + high].copy()
    paper[y - high - 6 : y + 6, x + 2 : x + high + 8] = part


def cover(paper: Picture) -> None:
    cv2.ellipse(paper, (640, 480), (220, 160), 20, 0, 360, (140, 160, 200), cv2.FILLED)


def show_another(paper: Picture) -> None:
    paper[:] = paper[::-1].copy()


def darken(paper: Picture) -> None:
    paper[:, : SIZE[0] // 2] //= 3


@pytest.mark.parametrize(
    "change", [add, add_small_and_light, erase, make_a_seven, shift_one, cover, show_another, darken]
)
@pytest.mark.parametrize("steady", [True, False], ids=["standing", "held"])
def test_whatever_changes_is_read_in_the_same_frame(change: Callable[[Picture], None], steady: bool) -> None:
    paper = page()

    def seen(number: int) -> Picture:
        return noisy(paper if steady else held(paper, number)[0], number)

    watch, first = settled(seen)
    assert watch.recall(seen(first))
    change(paper)
    assert watch.recall(seen(first + 1)) is None


def test_what_changed_settles_again() -> None:
    paper = page()
    watch, first = settled(lambda number: noisy(paper, number))
    add(paper)
    more = Reading((*READING.digits, Digit((300, 210, 40, 40), "7", 0.8)), ())
    asked = [watch.recall(noisy(paper, first))]
    for number in range(first, first + 10):
        if asked[-1] is None:
            watch.learn(noisy(paper, number), more)
        asked.append(watch.recall(noisy(paper, number + 1)))
    assert [reading is None for reading in asked] == [True] * SETTLED + [False] * (11 - SETTLED)
    assert asked[-1]
    assert {digit.label for digit in asked[-1].digits} == {"3", "8", "5", "1", "7"}


def test_readings_that_differ_do_not_settle() -> None:
    paper, watch, less = page(), Watch(), Reading(READING.digits[1:], ())
    for number in range(20):
        assert watch.recall(paper) is None
        watch.learn(paper, (READING, less)[number % 2])


def test_a_frame_is_read_now_and_then_all_the_same() -> None:
    paper = page()
    watch, _ = settled(lambda number: paper)
    asked = [watch.recall(paper) for _ in range(LONGEST + 1)]
    assert asked[-1] is None
    assert None not in asked[:-1]
    watch.learn(paper, READING)
    assert watch.recall(paper)


def test_while_something_moves_most_frames_are_read_without_a_look_for_it() -> None:
    paper = page()
    watch, first = settled(lambda number: noisy(paper, number))
    looked = []
    for number in range(first, first + 40):
        hand = paper.copy()
        cv2.circle(hand, (20 + 14 * (number - first), 300), 60, (120, 150, 210), cv2.FILLED)
        assert watch.recall(noisy(hand, number)) is None
        looked.append(watch.latest is not None)
        watch.learn(noisy(hand, number), READING)
    assert 3 <= sum(looked) <= 8
    asked = [watch.recall(noisy(paper, number)) or watch.learn(noisy(paper, number), READING) for number in range(20)]
    assert any(reading.recalled for reading in asked[: PATIENCE + 3])
    assert all(reading.recalled for reading in asked[PATIENCE + 3 :])


def test_what_moves_out_of_the_frame_is_not_on_it() -> None:
    reading = Reading((*READING.digits, Digit((600, 216, 34, 34), "4", 0.9)), (*READING.refused, (620, 10, 15, 20)))
    motion = np.array(((1, 0, 7), (0, 1, -5), (0, 0, 1)), np.float64)
    found = moved(reading, motion, SIZE)
    assert [digit.label for digit in found.digits] == list(WRITTEN)
    assert found.digits[0].box == (107, 75, 40, 40)
    assert found.refused == ((17, 395, 30, 20),)
    assert len(moved(reading, np.eye(3), SIZE).digits) == len(WRITTEN) + 1


def test_half_a_digit_that_comes_in_is_a_change() -> None:
    wide = np.full((SIZE[1], SIZE[0] + 60, 3), 215, np.uint8)
    wide[:, : SIZE[0]] = page()
    wide[:, SIZE[0] :] = wide[5, SIZE[0] - 1]
    write(wide, "4", 620, 250, 40)

    def at(x: int) -> Picture:
        return wide[:, x : x + SIZE[0]]

    watch, _ = settled(lambda number: at(0))
    assert watch.recall(at(0))
    assert watch.recall(at(20)) is None


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3, 700), (700, 3), (1920, 1080)])
def test_frames_of_any_size(size: tuple[int, int]) -> None:
    empty = Reading((), ())
    picture = as_image(default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8))
    watch, _ = settled(lambda number: picture, empty)
    assert watch.recall(picture) == Reading((), (), recalled=True)
    other = as_image(default_rng(1).integers(0, 256, (size[1] + 30, size[0] + 30, 3), np.uint8))
    assert watch.recall(other) is None


def test_readings_are_the_same_with_the_same_digits_where_they_were() -> None:
    def reading(*digits: tuple[str, Box]) -> Reading:
        return Reading(tuple(Digit(box, label, 0.9) for label, box in digits), ())

    one, two = ("1", (10, 10, 20, 30)), ("2", (50, 10, 20, 30))
    assert says_the_same(reading(one, two), reading(two, one))
    assert says_the_same(reading(), reading())
    assert says_the_same(reading(one), reading(("1", (14, 12, 20, 30))))
    assert not says_the_same(reading(one), reading(one, two))
    assert not says_the_same(reading(one), reading(("7", one[1])))
    assert not says_the_same(reading(one), reading(("1", two[1])))
    assert overlap(one[1], two[1]) == 0
