"""Shapes within shapes: each is cut out once, and takes the place of one that is none."""

from __future__ import annotations

import gc
import weakref

import cv2
import numpy as np
import pytest

from runtime.camera.frame import Picture
from runtime.camera.reading import apart
from runtime.camera.reading.apart import Cutter, all_within, is_scrap
from runtime.camera.reading.cut import Candidate, cut
from runtime.camera.reading.find import Shape
from runtime.camera.reading.reader import find_all_shapes


def five_and_more() -> Picture:
    """A 5 in two pieces, and a 1 and a 0 that lie as near to each other."""
    picture = np.full((480, 640), 210, np.uint8)
    cv2.line(picture, (100, 220), (150, 218), 40, 6)
    cv2.ellipse(picture, (105, 275), (28, 34), 0, -120, 140, 40, 6)
    cv2.line(picture, (294, 200), (290, 240), 40, 6)
    cv2.ellipse(picture, (322, 220), (17, 19), 0, 0, 360, 40, 6)
    return picture


def test_each_shape_is_cut_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Shape] = []

    def counted(shapes: list[Shape]) -> dict[Shape, Candidate]:
        seen.extend(shapes)
        return cut(shapes)

    monkeypatch.setattr(apart, "cut", counted)
    shapes = find_all_shapes(five_and_more())
    cutter = Cutter()
    (roots,) = cutter.cut_out([shapes])
    cutter.take_apart(roots)
    assert any(root.parts for root in roots)
    assert len(seen) == len(set(seen)) == len(shapes) + len(list(all_within(shapes)))


def test_every_frame_gets_its_own() -> None:
    groups = [find_all_shapes(five_and_more()), [], find_all_shapes(five_and_more()[:, 50:])]
    found = Cutter().cut_out(groups)
    assert [[candidate.shape for candidate in candidates] for candidates in found] == groups
    assert [candidates[0].box[0] for candidates in found[::2]] == [82, 32]


def test_what_lies_within_takes_the_place_of_a_shape_that_is_none() -> None:
    whole = next(shape for shape in find_all_shapes(five_and_more()) if shape.joined and shape.box[0] > 100)
    cutter = Cutter()
    (candidates,) = cutter.cut_out([[whole]])
    assert [candidate.shape for candidate in candidates] == [whole]
    x, y, width, _ = whole.box
    whole.box = (x, y, width, 1000)  # higher than any digit of its level
    cutter = Cutter()
    (candidates,) = cutter.cut_out([[whole]])
    assert [candidate.shape for candidate in candidates] == whole.within
    whole.within = []
    assert Cutter().cut_out([[whole]]) == [[]]


def test_what_was_seen_of_a_frame_goes_with_it() -> None:
    """No shape is in a cycle: its level's pictures would stay until Python looks for those."""
    gc.disable()
    try:
        shapes = find_all_shapes(five_and_more())
        assert any(shape.within for shape in shapes)
        level = weakref.ref(shapes[0].level)
        del shapes
        assert level() is None
    finally:
        gc.enable()


def test_nothing_is_nothing() -> None:
    cutter = Cutter()
    assert cutter.cut_out([]) == []
    cutter.take_apart([])
    assert cutter.known == {}


def test_a_1_is_a_part_of_a_row_however_narrow() -> None:
    row = (100, 100, 90, 44)
    assert not is_scrap((100, 100, 4, 40), row)
    assert is_scrap((100, 100, 6, 10), row)


def test_a_thin_stroke_is_whole_though_its_middle_is_stronger() -> None:
    picture = np.full((480, 640), 210, np.uint8)
    cv2.line(picture, (321, 184), (321, 216), 120, 2)
    cv2.line(picture, (321, 193), (321, 207), 70, 2)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.6), np.uint8)
    ((root,),) = Cutter().cut_out([find_all_shapes(picture)])
    assert root.shape is not None and root.shape.within  # the middle
    assert root.box[1] < 186 and root.box[1] + root.box[3] > 214


def test_a_scrap_of_a_stroke_is_no_part_but_a_piece_that_stands_alone_is_one_however_small() -> None:
    whole = next(shape for shape in find_all_shapes(five_and_more()) if shape.joined and shape.box[0] > 100)
    cutter = Cutter()
    ((root,),) = cutter.cut_out([[whole]])
    (one, zero) = sorted(whole.within, key=lambda shape: shape.box)
    left, top, width, height = root.box
    root.box = (left, top, 8 * width, 8 * height)  # as if a rule joined them to much more
    cutter.take_apart([root])
    assert {part.shape for part in root.parts[0]} == {one, zero}
    one.threshold = zero.threshold = 2 * whole.threshold  # stronger ink, which may be a piece of a stroke
    root.parts = []
    cutter.take_apart([root])
    assert root.parts == []
