"""Which of the shapes that overlap are digits: wholes and parts, bars, and what the others look like."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.bars import is_bar, stands_alone
from runtime.camera.reading.choose import Answer, choose, without_doubles
from runtime.camera.reading.company import in_company
from runtime.camera.reading.cut import Candidate
from runtime.camera.reading.normalize import to_mnist

EMPTY = np.zeros((28, 28), np.uint8)
THRESHOLD = 0.5


def candidate(box: Box, *parts: Candidate, severed: bool = False) -> Candidate:
    return Candidate(box, EMPTY, 150.0, False, [list(parts)] if parts else [], severed)


def answer(box: Box, label: int = 3, probability: float = 0.99, strength: float = 150.0, bar: bool = False) -> Answer:
    return Answer(box, label, probability, strength, False, bar)


def digits(root: Candidate, *answers: tuple[Candidate, int, float], bars: tuple[Candidate, ...] = ()) -> list[int]:
    given = {id(one): answer(one.box, label, sure, bar=one in bars) for one, label, sure in answers}
    return [digit.label for digit in choose(root, given, THRESHOLD).digits]


def test_a_sure_whole_is_kept_whatever_its_parts_look_like() -> None:
    top, bottom = candidate((0, 0, 20, 20)), candidate((0, 20, 20, 20))
    eight = candidate((0, 0, 20, 40), top, bottom)
    assert digits(eight, (eight, 8, 0.99), (top, 0, 0.99), (bottom, 0, 0.99)) == [8]


def test_parts_of_a_refused_whole_that_make_up_most_of_it_are_digits() -> None:
    one, other = candidate((0, 0, 20, 40)), candidate((22, 0, 20, 40))
    both = candidate((0, 0, 42, 40), one, other)
    assert digits(both, (both, 4, 0.2), (one, 6, 0.98), (other, 7, 0.95)) == [6, 7]


def test_much_surer_parts_take_the_place_of_a_doubtful_whole() -> None:
    one, other = candidate((0, 0, 20, 40)), candidate((22, 0, 20, 40))
    both = candidate((0, 0, 42, 40), one, other)
    assert digits(both, (both, 4, 0.7), (one, 6, 0.98), (other, 7, 0.99)) == [6, 7]
    assert digits(both, (both, 4, 0.97), (one, 6, 0.98), (other, 7, 0.975)) == [4]


def test_a_small_part_of_a_letter_is_no_digit() -> None:
    part = candidate((2, 2, 14, 20))
    letter = candidate((0, 0, 30, 36), part)
    assert digits(letter, (letter, 8, 0.1), (part, 0, 0.9)) == []


def test_a_digit_on_something_far_larger_is_one() -> None:
    part = candidate((100, 20, 20, 36))
    rules = candidate((0, 0, 180, 70), part)
    assert digits(rules, (rules, 2, 0.1), (part, 5, 0.9)) == [5]


def test_the_legs_of_a_letter_are_no_ones() -> None:
    left, right = candidate((0, 0, 8, 40)), candidate((20, 0, 8, 40))
    letter = candidate((0, 0, 28, 40), left, right)
    answers = ((letter, 4, 0.2), (left, 1, 0.99), (right, 1, 0.99))
    assert digits(letter, *answers, bars=(left, right)) == []


def test_what_is_cut_apart_has_to_be_sure_and_no_bar() -> None:
    left, right = candidate((0, 0, 20, 40), severed=True), candidate((20, 0, 20, 40), severed=True)
    both = candidate((0, 0, 40, 40), left, right)
    assert digits(both, (both, 4, 0.2), (left, 3, 0.95), (right, 5, 0.97)) == [3, 5]
    assert digits(both, (both, 4, 0.2), (left, 3, 0.95), (right, 5, 0.7)) == []
    assert digits(both, (both, 4, 0.2), (left, 3, 0.95), (right, 1, 0.99), bars=(right,)) == []


def test_of_two_answers_about_one_place_the_surer_stays_then_the_larger() -> None:
    large, small = answer((0, 0, 30, 40), 8, 0.999), answer((2, 0, 24, 20), 0, 0.999)
    assert without_doubles([small, large]) == [large]
    doubtful = answer((0, 0, 90, 90), 3, 0.7)
    assert without_doubles([doubtful, small]) == [small]
    apart = answer((200, 0, 30, 40), 2, 0.6)
    assert without_doubles([large, apart]) == [large, apart]


def test_what_is_far_fainter_or_of_another_size_is_no_digit() -> None:
    company = [answer((60 * place, 0, 30, 40)) for place in range(5)]
    faint = answer((400, 0, 30, 40), strength=40, probability=0.9)
    tiny, huge = answer((500, 0, 5, 8), probability=0.9), answer((600, 0, 200, 300), probability=0.9)
    kept, odd = in_company([*company, faint, tiny, huge])
    assert kept == company
    assert odd == [faint, tiny, huge]


def test_a_sure_digit_may_be_a_little_unlike_the_others() -> None:
    company = [answer((60 * place, 0, 30, 40)) for place in range(5)]
    small = answer((500, 0, 12, 18), probability=0.99)
    assert in_company([*company, small])[1] == []


def test_few_digits_are_no_company() -> None:
    pair = [answer((0, 0, 30, 40)), answer((100, 0, 5, 8), strength=30)]
    assert in_company(pair) == (pair, [])


def bar(frame: Picture, ends: tuple[tuple[int, int], tuple[int, int]], width: int = 5) -> tuple[Box, Picture]:
    """A dark stroke on a frame, with its box and what the model sees of it."""
    ink = np.zeros(frame.shape, np.uint8)
    cv2.line(ink, *ends, 255, width, cv2.LINE_AA)
    frame[ink > 0] = (frame * (1 - 0.8 * ink / 255.0)).astype(np.uint8)[ink > 0]
    x, y, wide, high = cv2.boundingRect((ink > 100).astype(np.uint8))
    return (x, y, wide, high), to_mnist(ink[y : y + high, x : x + wide])


@pytest.mark.parametrize("ends", [((100, 60), (100, 110)), ((115, 60), (95, 110)), ((90, 62), (102, 108))])
def test_a_one_stands_alone(ends: tuple[tuple[int, int], tuple[int, int]]) -> None:
    frame = np.full((200, 200), 200, np.uint8)
    box, image = bar(frame, ends)
    assert is_bar(image)
    assert stands_alone(frame, box, image)


def test_a_one_may_lie_across_the_edge_of_a_shadow() -> None:
    frame = np.full((200, 200), 200, np.uint8)
    frame[85:] = 90
    assert stands_alone(frame, *bar(frame, ((100, 60), (98, 110))))


def test_a_piece_of_a_longer_line_does_not() -> None:
    frame = np.full((200, 200), 200, np.uint8)
    box, image = bar(frame, ((100, 60), (100, 110)))
    bar(frame, ((100, 112), (100, 190)))
    assert not stands_alone(frame, box, image)


def test_the_edge_of_a_sheet_does_not() -> None:
    frame = np.full((200, 200), 200, np.uint8)
    frame[:, 103:] = 45
    assert not stands_alone(frame, *bar(frame, ((100, 60), (100, 110))))


def test_a_bar_at_the_very_border_is_not_seen_to_stand_alone() -> None:
    frame = np.full((60, 20), 200, np.uint8)
    assert not stands_alone(frame, *bar(frame, ((2, 1), (2, 58)), 3))
