"""Pointers of Git LFS in the place of files that were not fetched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.bundle import Bundle
from runtime.camera.sources.open import open_source
from runtime.classification import Unreadable
from runtime.errors import ToolkitError
from runtime.idx import read_idx
from runtime.images import read_image
from runtime.lfs import start_of
from runtime.sources import find_sources

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"4d7a" * 16)
TOLD = "is a pointer of Git LFS, not the file itself"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.png", read_image),
        ("a.mp4", lambda path: open_source(str(path))),
        ("train-images-idx3-ubyte", lambda path: read_idx(path, 3)),
        ("train-images-idx3-ubyte.gz", lambda path: read_idx(path, 3)),
    ],
)
def test_a_pointer_is_told_with_what_fetches_the_file(
    name: str, read: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(ToolkitError) as caught:
        read(tmp_path / name)
    assert caught.value.message == f"{tmp_path / name} {TOLD}"
    assert "git lfs pull" in caught.value.hint


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_in_the_place_of_an_archive(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(POINTER)
    (found,) = find_sources([str(tmp_path / name)])
    assert isinstance(found, Unreadable) and found.error == f"{tmp_path / name} {TOLD}"


def test_in_a_bundle(tiny_bundle_copy: Path) -> None:
    (tiny_bundle_copy / "model.onnx").write_bytes(POINTER)
    with pytest.raises(ToolkitError, match=f"model.onnx {TOLD}"):
        Bundle.open(tiny_bundle_copy)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert start_of(tmp_path / "pipe") == start_of(tmp_path / "none") == start_of(tmp_path) == b""
