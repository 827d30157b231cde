"""What is drawn on a frame; that it is beautiful, only eyes can tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from runtime.camera.frame import Frame, Number, Picture, State, Tracked
from runtime.camera.outputs.drawing import draw, pen_for, shortened, text_width
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


def test_a_grey_frame_is_drawn_on_in_colour() -> None:
    assert draw(Seen(Frame(np.zeros((60, 80), np.uint8), 0, 0, 0, "drawn"))).shape == (60, 80, 3)


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
