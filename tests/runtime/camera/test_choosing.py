"""Which of the candidates that overlap are digits: wholes, parts, and doubles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runtime.camera.frame import Box
from runtime.camera.reading.answer import Answer, attach_parts, walk, walk_answers
from runtime.camera.reading.boxes import inside, overlap, same_place
from runtime.camera.reading.choose import choose, without_doubles
from runtime.camera.reading.cut import Candidate
from runtime.camera.reading.find import Shape
from runtime.camera.reading.join import both
from runtime.camera.reading.light import Level
from tests.runtime.camera.candidates import LEVEL, bare, said


def candidate(box: Box, severed: bool = False) -> Candidate:
    return bare(box, shape=None if severed else shape(box))


def shape(box: Box, level: Level = LEVEL) -> Shape:
    x, y, width, height = box
    outline = [(x, y), (x + width - 1, y), (x + width - 1, y + height - 1), (x, y + height - 1)]
    return Shape(level, [np.array(outline, np.int32)[:, None]], box, 30, [])


def answer(box: Box, label: int, sureness: float, *ways: list[Answer], severed: bool = False) -> Answer:
    return Answer(candidate(box, severed), *said(label, sureness), ways=list(ways), sureness=sureness)


def digits(root: Answer) -> list[str]:
    return [digit.label for digit in choose(root)[1]]


def test_a_sure_whole_is_kept_whatever_its_parts_look_like() -> None:
    parts = [answer((0, 0, 20, 20), 0, 0.99), answer((0, 20, 20, 20), 0, 0.99)]
    assert digits(answer((0, 0, 20, 40), 8, 0.99, parts)) == ["8"]


def test_surer_parts_take_the_place_of_a_doubtful_whole() -> None:
    parts = [answer((0, 0, 20, 40), 6, 0.95), answer((22, 0, 20, 40), 7, 0.9)]
    assert digits(answer((0, 0, 42, 40), 4, 0.7, parts)) == ["6", "7"]
    assert digits(answer((0, 0, 42, 40), 4, 0.88, parts)) == ["4"]


def test_a_refused_part_does_not_take_the_others_along() -> None:
    parts = [answer((0, 0, 20, 40), 6, 0.9), answer((22, 0, 20, 40), 7, 0.1)]
    assert digits(answer((0, 0, 42, 40), 4, 0.2, parts)) == ["6"]


def test_what_is_cut_apart_has_to_be_digits_on_both_sides() -> None:
    left = answer((0, 0, 20, 40), 3, 0.95, severed=True)
    for sureness, read in ((0.8, ["3", "5"]), (0.2, [])):
        right = answer((20, 0, 20, 40), 5, sureness, severed=True)
        assert digits(answer((0, 0, 40, 40), 4, 0.1, [left, right])) == read


def test_the_best_way_to_cut_is_taken() -> None:
    halves = [answer((0, 0, 30, 40), 4, 0.6, severed=True), answer((30, 0, 30, 40), 4, 0.6, severed=True)]
    thirds = [answer((20 * place, 0, 20, 40), place, 0.9, severed=True) for place in range(3)]
    assert digits(answer((0, 0, 60, 40), 4, 0.1, halves, thirds)) == ["0", "1", "2"]


def test_nothing_sure_is_nothing() -> None:
    assert choose(answer((0, 0, 60, 40), 4, 0.1, [answer((0, 0, 20, 40), 3, 0.2)])) == (0.0, [])


def test_of_two_answers_about_one_place_the_surer_stays() -> None:
    large, small = answer((0, 0, 30, 40), 8, 0.9), answer((2, 0, 24, 20), 0, 0.95)
    assert without_doubles([small, large]) == [small]
    apart = answer((200, 0, 30, 40), 2, 0.6)
    assert without_doubles([apart, large]) == [large, apart]


def test_a_digit_in_the_box_of_another_stays_where_its_ink_lies_apart() -> None:
    large, small = answer((0, 0, 60, 60), 5, 0.95), answer((44, 40, 14, 18), 7, 0.9)
    assert without_doubles([small, large]) == [large]  # within its outline
    corner = np.array([(0, 0), (59, 0), (59, 20), (40, 20), (30, 59), (0, 59)], np.int32)[:, None]
    assert large.candidate.shape is not None
    large.candidate.shape.contours = [corner]
    assert without_doubles([small, large]) == [large, small]
    other_size = replace(LEVEL, reduction=2)  # the same ink, seen once more
    small.candidate.shape = shape(small.box, other_size)
    assert without_doubles([small, large]) == [large]


def test_what_was_put_together_is_taken_apart_however_sure_it_is() -> None:
    pieces = [shape((0, 0, 20, 8)), shape((0, 12, 20, 30))]
    whole = answer((0, 0, 20, 42), 5, 0.99)
    assert whole.settled
    whole.candidate.shape = both(*pieces)
    assert whole.candidate.joined and not whole.settled
    whole.candidate.parts = [[bare(piece.box, shape=piece) for piece in pieces]]
    attach_parts(whole, iter([said(1, 0.2), said(5, 0.7)]))
    assert [(part.depth, part.whole) for part in whole.ways[0]] == [(0, 0.99), (0, 0.99)]


@pytest.mark.parametrize(
    ("other", "union", "share", "same"),
    [
        ((10, 10, 20, 40), 1.0, 1.0, True),
        ((30, 10, 20, 40), 0.0, 0.0, False),
        ((20, 10, 20, 40), 1 / 3, 0.5, False),
        ((12, 12, 10, 10), 0.125, 1.0, True),
    ],
)
def test_boxes(other: Box, union: float, share: float, same: bool) -> None:
    box = (10, 10, 20, 40)
    assert overlap(box, other) == pytest.approx(union)
    assert inside(other, box) == pytest.approx(share)
    assert same_place(box, other) is same


def test_an_answer_knows_what_it_is_a_part_of() -> None:
    whole = candidate((0, 0, 40, 40))
    inner = candidate((0, 0, 18, 40))
    inner.parts = [[candidate((0, 0, 9, 20))]]
    whole.parts = [[inner], [candidate((0, 0, 20, 40), True), candidate((20, 0, 20, 40), True)]]
    root = Answer(whole, *said(8, 0.4))
    attach_parts(root, iter([said(3, 0.5), said(1, 0.75), said(2, 0.25), said(5, 0.625)]))
    assert [one.candidate for one in walk_answers([root])] == list(walk([whole]))
    assert [(one.label, one.depth, one.whole) for one in walk_answers([root])] == [
        ("8", 0, 0.0),
        ("3", 1, 0.4),
        ("1", 2, 0.5),
        ("2", 1, 0.4),
        ("5", 1, 0.4),
    ]
    assert (root.within, root.halves) == (0.5, 0.25)
