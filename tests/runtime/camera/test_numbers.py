"""Neighbours on a line."""

from __future__ import annotations

from runtime.camera.frame import Box, Tracked
from runtime.camera.numbers import read_numbers


def tracked(*boxes: Box) -> list[Tracked]:
    return [Tracked(box, str(number % 10), 0.9, number) for number, box in enumerate(boxes)]


def texts(*boxes: Box) -> list[str]:
    return [number.text for number in read_numbers(tracked(*boxes))]


def test_digits_beside_each_other_are_one_number_left_to_right() -> None:
    (number,) = read_numbers(tracked((80, 12, 25, 38), (10, 10, 25, 40), (45, 8, 25, 42)))
    assert number.text == "120"
    assert number.box == (10, 8, 95, 42)
    assert number.tracks == (1, 2, 0)


def test_a_digit_alone_is_a_number() -> None:
    assert texts((10, 10, 25, 40)) == ["0"]
    assert texts() == []


def test_a_page_full_of_digits_is_read_in_its_lines() -> None:
    boxes = [(40 * column, 100 * row, 25, 40) for row in range(30) for column in range(30)]
    numbers = read_numbers(tracked(*boxes))
    assert {number.text for number in numbers} == {"0123456789" * 3}
    assert len(numbers) == 30


def test_what_is_far_away_is_another_number() -> None:
    assert texts((10, 10, 25, 40), (45, 10, 25, 40), (200, 10, 25, 40)) == ["01", "2"]


def test_two_lines_are_two_numbers() -> None:
    assert texts((10, 10, 25, 40), (45, 10, 25, 40), (10, 60, 25, 40), (45, 60, 25, 40)) == ["01", "23"]


def test_a_line_may_rise() -> None:
    assert texts((10, 60, 25, 40), (45, 48, 25, 40), (80, 36, 25, 40), (115, 24, 25, 40)) == ["0123"]


def test_a_small_digit_beside_a_large_one_is_another_number() -> None:
    assert texts((10, 10, 60, 100), (75, 80, 18, 30)) == ["0", "1"]


def test_slanted_digits_may_overlap() -> None:
    assert texts((10, 10, 30, 40), (32, 10, 30, 40)) == ["01"]


def test_each_digit_is_in_one_number() -> None:
    boxes: list[Box] = [(40 * column, 50 * row, 28, 40) for row in range(4) for column in range(5)]
    numbers = read_numbers(tracked(*boxes))
    assert sorted(track for number in numbers for track in number.tracks) == list(range(20))
    assert len(numbers) == 4
