"""Bars of shadow and of light, as of a blind, that are as wide as a stroke is long."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from runtime.camera.frame import Box
from runtime.camera.reading import light
from runtime.camera.reading.bars import find_bars
from runtime.camera.reading.reader import find_all_shapes
from tests.runtime.camera.paper import NDFloat, frame, missed, page


def in_stripes(picture: NDFloat, angle: float, width: float, dark: float) -> NDFloat:
    """The same in the light that falls through a blind: every other bar is darker, each with an edge of 2 pixels."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    across = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    wave = np.sin(np.pi * across / width) * width / np.pi
    shade = np.clip(wave / 2 + 0.5, 0, 1)
    return picture * (1 - (1 - dark) * shade)


@pytest.mark.parametrize("angle", [0, 33, 90, 160])
@pytest.mark.parametrize(("paper", "ink"), [(210, 110), (70, 160)])
def test_digits_across_bars_are_found(angle: float, paper: float, ink: float, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, boxes = page(height=36, paper=paper, ink=ink)
    image = frame(in_stripes(picture, angle, 22, 0.3), noise=2)
    assert missed(image, boxes, least=0.6) == []
    monkeypatch.setattr(light, "find_bars", lambda *_: None)
    assert len(missed(image, boxes, least=0.6)) > 2  # without: it is they that do it


def test_bars_are_found_with_their_edges_and_nothing_else() -> None:
    picture, _ = page(height=56, count=0)
    striped = in_stripes(picture, 90, 20, 0.55)
    gray = frame(striped)[::2, ::2, 0].copy()
    level = light.take_light_out(gray, 2, (6, 60))[0]
    assert level.contrast.max() < level.faintest  # there is no ink
    contrast = np.zeros((240, 320), np.uint8)
    contrast[100:110, :] = 120
    contrast[60:64, :] = 120  # a rule is no bar
    bars = find_bars(contrast, 11, 60)
    assert bars is not None
    assert bars[98:112].all()
    assert not bars[:95].any() and not bars[115:].any()


@pytest.mark.parametrize("height", [30, 60, 110])
def test_thick_strokes_are_no_bars(height: float) -> None:
    picture, boxes = page(height=height)
    thick = cv2.erode(picture, np.ones((height // 12, height // 12)))
    assert not any(shape.level.barred for shape in find_all_shapes(frame(thick)))
    assert missed(frame(thick), boxes, least=0.5) == []


@pytest.mark.parametrize(("height", "thickness"), [(200, 18), (200, 24), (300, 24), (320, 20)])
def test_a_large_1_is_found_though_it_is_a_bar_for_small_ones(height: int, thickness: int) -> None:
    picture = np.full((480, 640), 210, np.uint8)
    cv2.line(picture, (320, 240 - height // 2), (320, 240 + height // 2), 40, thickness)
    box = cv2.boundingRect((picture < 120).astype(np.uint8))
    assert missed(picture, [(box, 1)], least=0.6) == []


@pytest.mark.parametrize(("size", "box"), [((480, 640), (210, 70, 220, 340)), ((265, 199), (80, 70, 12, 119))])
def test_a_digit_that_all_but_fills_the_frame_is_no_bar_at_any_size(size: tuple[int, int], box: Box) -> None:
    picture = np.full(size, 210, np.uint8)
    x, y, width, height = box
    pen = max(8, width // 7)
    cv2.line(picture, (x + width - pen // 2, y + pen // 2), (x + width - pen // 2, y + height - pen // 2), 40, pen)
    if width > height // 3:  # a 4
        corners = [(x + pen, y + pen), (x + pen // 2, y + height // 2), (x + width - pen, y + height // 2)]
        cv2.polylines(picture, [np.array(corners)], False, 40, pen)
    whole = cv2.boundingRect((picture < 120).astype(np.uint8))
    assert missed(picture, [(whole, 4)]) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (3, 200), (50, 50)])
def test_any_size_will_do(shape: tuple[int, int]) -> None:
    bars = find_bars(np.full(shape, 200, np.uint8), 11, 60)
    assert bars is None or bars.shape == shape


def test_a_frame_that_is_all_bar() -> None:
    bars = find_bars(np.full((240, 320), 200, np.uint8), 11, 60)
    assert bars is not None and bars.all()
