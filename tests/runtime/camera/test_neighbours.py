"""What stands next to things: on both sides, and as far as a word goes."""

from __future__ import annotations

import math

import pytest

from runtime.camera.frame import Box
from runtime.camera.reading.neighbours import Neighbours, look_beside

HIGH, WIDE = 40, 20


def row(*starts: int, top: int = 100, high: int = HIGH) -> list[Box]:
    return [(x, top, WIDE, high) for x in starts]


def beside(box: Box, others: list[Box], *doubts: float) -> tuple[float, float, float, float]:
    """Of one box that is itself among the things, with a doubt of 1 that must not count."""
    seen: Neighbours = look_beside([box], [box, *others], [1.0, *(doubts or [0.5] * len(others))])
    return (float(seen.flanked[0]), float(seen.misfits[0]), float(seen.word[0]), float(seen.misfit[0]))


def test_alone_there_is_nothing_beside_it() -> None:
    (box,) = row(100)
    assert beside(box, []) == (0, 0, 0, 0)


def test_the_nearest_on_both_sides_count_by_how_near_they_are() -> None:
    box, left, farther, right = row(100, 70, 40, 140)
    flanked, misfits, _, _ = beside(box, [left, farther, right], 0.2, 1.0, 0.6)
    near, far = math.exp(-10 / HIGH), math.exp(-20 / HIGH)
    assert flanked == pytest.approx(near + far)
    assert misfits == pytest.approx(0.2 * near + 0.6 * far)


@pytest.mark.parametrize(
    "other", [(130, 141, WIDE, HIGH), (130, 130, WIDE, HIGH), (130, 60, WIDE, 100), (90, 110, 40, 20)]
)
def test_what_is_in_another_line_or_much_higher_or_in_its_place_is_not_beside_it(other: Box) -> None:
    (box,) = row(100)
    assert beside(box, [other]) == (0, 0, 0, 0)


def test_what_follows_closely_is_a_word_and_what_stands_apart_is_not() -> None:
    letters = row(100, 125, 150, 175)
    number = row(230, 255)  # a space is 35 pixels wide here
    assert beside(letters[0], [*letters[1:], *number], 0.9, 0.1, 0.5, 0.0, 0.0)[2:] == (3, pytest.approx(0.5))
    assert beside(letters[2], [*letters[:2], letters[3], *number], 0.9, 0.1, 0.5, 0.0, 0.0)[2:] == (
        3,
        pytest.approx(0.5),
    )
    assert beside(number[0], [*letters, number[1]], 0.9, 0.1, 0.5, 0.5, 0.2)[2:] == (1, pytest.approx(0.2))


def test_it_and_what_it_is_a_part_of_are_no_others_of_its_word() -> None:
    whole, part, fellow = (100, 100, 45, HIGH), (100, 100, WIDE, HIGH), (150, 100, WIDE, HIGH)
    seen = look_beside([part], [whole, fellow], [1.0, 0.25])
    assert (float(seen.word[0]), float(seen.misfit[0])) == (0, 0)  # 30 pixels from the part
    seen = look_beside([whole], [whole, part, fellow], [1.0, 1.0, 0.25])
    assert (float(seen.word[0]), float(seen.misfit[0])) == (1, 0.25)


def test_a_long_line_is_followed_to_its_end() -> None:
    line = row(*range(0, 25 * 40, 25))
    assert beside(line[20], line[:20] + line[21:])[2] == 39


def test_thin_strokes_are_not_beside_themselves() -> None:
    one, other = (100, 100, 3, 40), (102, 100, 3, 40)
    assert beside(one, []) == (0, 0, 0, 0)
    seen = look_beside([one, other], [one, other], [0.5, 0.5])  # less than a third of them is shared
    assert seen.word.tolist() == [0, 0]
