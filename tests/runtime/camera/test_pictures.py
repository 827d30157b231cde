"""Folders and patterns of images as sources."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.camera.frame import State
from runtime.camera.sources.open import open_source
from runtime.camera.sources.pictures import PictureSource
from runtime.errors import SourceError
from tests.runtime.camera.streams import read_all


def save(path: Path, blue: int = 200, size: tuple[int, int] = (32, 24)) -> Path:
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[..., 0] = blue
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def test_pictures_come_by_number_each_with_its_name_and_size(tmp_path: Path) -> None:
    save(tmp_path / "10.png", 10)
    save(tmp_path / "9.png", 9, (64, 48))
    save(tmp_path / "sub" / "1.png", 1)
    save(tmp_path / "2.PNG", 2)
    source = open_source(str(tmp_path))
    frames = read_all(source)
    assert [frame.source for frame in frames] == [
        str(tmp_path / name) for name in ("2.PNG", "9.png", "10.png", "sub/1.png")
    ]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [2, 9, 10, 1]  # blue comes first
    assert frames[1].image.shape == (48, 64, 3)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert source.state is State.ENDED and not source.live and source.status == "4 of 4 pictures"
    assert source.read(1) is None


def test_pictures_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    save(tmp_path / "3.png")
    source = open_source(str(tmp_path))
    assert len(read_all(source)) == 2
    assert isinstance(source, PictureSource) and source.skipped == 1
    assert "1 cannot be read" in source.status and "2.png" in source.status


def test_a_folder_where_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no picture")
    (tmp_path / "2.png").touch()
    with pytest.raises(SourceError, match="none of the 2 pictures"):
        read_all(open_source(str(tmp_path)))


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("seven")
    with pytest.raises(SourceError, match="there are no images in"):
        open_source(str(tmp_path))


def test_a_pattern_takes_the_pictures_that_are_like_it(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.jpg", "b1.png"):
        save(tmp_path / name)
    (tmp_path / "a3.txt").write_text("seven")
    frames = read_all(open_source(str(tmp_path / "a*")))
    assert [Path(frame.source).name for frame in frames] == ["a1.png", "a2.jpg"]
    with pytest.raises(SourceError, match="there is nothing like"):
        open_source(str(tmp_path / "c*"))
    with pytest.raises(SourceError, match="there is no image like"):
        open_source(str(tmp_path / "*.txt"))


def test_one_picture_is_one_frame(tmp_path: Path) -> None:
    assert len(read_all(open_source(str(save(tmp_path / "[1].png"))))) == 1


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    from tests.runtime.test_images import jpeg_turned

    (frame,) = read_all(open_source(str(jpeg_turned(tmp_path / "1.jpg", 6))))
    assert frame.image.shape == (32, 16, 3)


def test_pictures_come_at_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png")
    source = open_source(str(tmp_path), fps=20)
    start = time.monotonic()
    assert source.read(1) and source.read(0) is None
    assert len(read_all(source)) == 3
    assert time.monotonic() - start > 0.1


@pytest.mark.parametrize("name", ["", "1.png", "*.png"])
def test_pictures_cannot_be_asked_for_a_size(tmp_path: Path, name: str) -> None:
    save(tmp_path / "1.png")
    with pytest.raises(SourceError, match="cannot be given a size: it has the sizes of its pictures") as caught:
        open_source(str(tmp_path / name), size=(640, 480), fps=20)
    assert caught.value.hint == "leave the size out"


def test_close_ends_it(tmp_path: Path) -> None:
    save(tmp_path / "1.png")
    source = open_source(str(tmp_path))
    source.close()
    assert source.read(1) is None and source.state is State.ENDED
