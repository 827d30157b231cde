"""Which two shapes may be strokes of one digit."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.camera.frame import Box
from runtime.camera.reading.find import Shape
from runtime.camera.reading.join import MANY, join
from runtime.camera.reading.light import Level

EMPTY = np.zeros((4, 4), np.uint8)
LEVEL = Level(2, (6, 60), False, EMPTY, EMPTY, EMPTY, 11.0, EMPTY)


def shape(box: Box) -> Shape:
    x, y, width, height = box
    outline = [(x, y), (x + width - 1, y), (x + width - 1, y + height - 1), (x, y + height - 1)]
    return Shape(LEVEL, [np.array(outline, np.int32)[:, None]], box, 30, [])


def joined(*boxes: Box) -> list[Box]:
    """About what was put together."""
    return [root.box for root in join([shape(box) for box in boxes]) if root.joined]


def test_the_bar_and_the_bowl_of_a_5_make_one_shape_of_both() -> None:
    bar, bowl, apart = shape((10, 0, 20, 5)), shape((6, 10, 20, 26)), shape((100, 0, 20, 40))
    whole, rest = join([bar, bowl, apart])
    assert whole.box == (6, 0, 24, 36)
    assert whole.contours == bar.contours + bowl.contours
    assert whole.within == [bar, bowl]
    assert rest is apart


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        pytest.param((10, 0, 20, 5), (6, 10, 20, 26), True, id="stacked"),
        pytest.param((10, 0, 20, 5), (6, 13, 20, 26), False, id="too far apart"),
        pytest.param((0, 0, 14, 18), (12, 2, 10, 30), True, id="the hook and the stem of a 4"),
        pytest.param((0, 0, 14, 30), (15, 0, 14, 30), False, id="neighbours in a number"),
        pytest.param((0, 0, 14, 17), (1, 18, 14, 18), True, id="the halves of a 3"),
        pytest.param((0, 0, 16, 20), (0, 24, 16, 20), False, id="digits of two lines"),
        pytest.param((0, 0, 20, 28), (8, 29, 3, 3), False, id="a digit and a speck"),
        pytest.param((20, 0, 40, 5), (0, 9, 30, 20), True, id="a 5 that is seen from its foot"),
        pytest.param((0, 0, 80, 4), (0, 8, 60, 20), False, id="too wide"),
        pytest.param((0, 0, 3, 8), (0, 9, 3, 20), False, id="too narrow"),
        pytest.param((0, 0, 30, 10), (0, 16, 30, 50), False, id="too high"),
        pytest.param((0, 0, 8, 3), (12, 4, 8, 3), False, id="two low strokes"),
    ],
)
def test_what_goes_together(one: Box, other: Box, together: bool) -> None:
    assert bool(joined(one, other)) is together
    assert bool(joined(other, one)) is together


def test_a_piece_goes_with_the_nearest() -> None:
    bar, near, far = (10, 40, 20, 5), (6, 48, 20, 26), (6, 10, 20, 26)
    assert joined(bar, far, near) == [(6, 40, 24, 34)]


def test_a_page_of_text_is_left_as_it_is() -> None:
    pairs = [shape((40 * (number // 2), 12 * (number % 2), 20, 7 + 15 * (number % 2))) for number in range(MANY)]
    assert join(pairs) == pairs
    assert sum(root.joined for root in join(pairs[:-2])) == MANY // 2 - 1


def test_one_shape_and_none_are_left_as_they_are() -> None:
    only = shape((0, 0, 20, 30))
    assert join([]) == []
    assert join([only]) == [only]
