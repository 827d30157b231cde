"""Image files: what is read, and what is refused before it does harm."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime import images as module
from runtime.errors import ImageError
from runtime.images import find_images, read_image
from tests.command import environment
from tests.pictures import chunk

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)


def save(path: Path, pixels: NDArray[np.generic]) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


def png_header(width: int, height: int) -> bytes:
    """A grey PNG of this size whose pixels are a few bytes that unpack to zeros."""
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes(min(height * (width + 1), 1 << 20)))
    return b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_turned(path: Path, orientation: int) -> Path:
    """A JPEG, 16 high and 32 wide, left half white, with an EXIF orientation."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    exif = b"Exif\0\0" + tiff
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    return path


def refused(path: Path, *words: str, **options: float) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read_image(path, **options)
    assert caught.value.hint
    for word in (str(path), *words):
        assert word in caught.value.message
    return caught.value


def test_a_colour_image_comes_as_rgb(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", RGB[:, :, ::-1])
    image = read_image(path)
    assert (image.dtype, image.shape) == (np.uint8, (12, 20, 3))
    np.testing.assert_array_equal(image, RGB)
    np.testing.assert_array_equal(read_image(str(path)), RGB)


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".ppm", ".tif", ".tiff", ".webp"])
def test_lossless_formats_are_read(tmp_path: Path, suffix: str) -> None:
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), RGB[:, :, ::-1], options)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), RGB)


def test_the_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", RGB[:, :, ::-1]).rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(path), RGB)


def test_a_grey_image_gets_three_equal_channels(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "grey.png", RGB[:, :, 0]))
    np.testing.assert_array_equal(image, np.repeat(RGB[:, :, :1], 3, axis=2))


def test_alpha_is_dropped(tmp_path: Path) -> None:
    alpha = np.full((12, 20, 1), 255, np.uint8)
    image = read_image(save(tmp_path / "alpha.png", np.concatenate([RGB[:, :, ::-1], alpha], axis=2)))
    np.testing.assert_array_equal(image, RGB)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "deep.png", RGB[:, :, ::-1].astype(np.uint16) * 257))
    assert (image.dtype, image.shape) == (np.uint8, RGB.shape)
    np.testing.assert_allclose(image.astype(int), RGB, atol=1)


@pytest.mark.parametrize(
    "orientation, white", [(1, np.s_[:, :16]), (3, np.s_[:, 16:]), (6, np.s_[:16, :]), (8, np.s_[16:, :])]
)
def test_a_photo_is_turned_upright(tmp_path: Path, orientation: int, white: tuple[slice, slice]) -> None:
    image = read_image(jpeg_turned(tmp_path / "photo.jpg", orientation))
    assert image.shape == ((16, 32, 3) if orientation in (1, 3) else (32, 16, 3))
    expected = np.zeros(image.shape[:2], bool)
    expected[white] = True
    np.testing.assert_array_equal(image[..., 0] > 128, expected)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "gone.png", "No such file")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "directory")


def test_what_may_never_end_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        refused(tmp_path / name, "pipe or a device")


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    refused(tmp_path / "loop.png", "symbolic links")


def test_a_file_far_larger_than_its_pixels_is_not_read(tmp_path: Path) -> None:
    with save(tmp_path / "a.png", RGB).open("ab") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    assert "limit" in refused(tmp_path / "a.png", "1,099,512 MB").hint


def test_a_file_that_vanishes_after_it_was_found_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", RGB)
    status = path.stat()
    path.unlink()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: status)
    refused(path, "No such file")


def test_files_and_folders_without_permission_are_named(tmp_path: Path) -> None:
    for name in ("open/a.png", "open/closed.png", "tree/shut/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / name, RGB)
    code = (
        "import os, sys; from pathlib import Path; from runtime.images import *; from runtime.errors import *\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"  # to root every file is open
        "def why(call, path):\n"
        "    try: call(Path(path)); print('read')\n"
        "    except DataError as error: print(error.message)\n"
        "why(read_image, 'open/a.png'); why(read_image, 'open/closed.png'); why(read_image, 'tree/shut/a.png')\n"
        "why(find_images, 'open'); why(find_images, 'tree')\n"
    )
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    (tmp_path / "open/closed.png").chmod(0)
    (tmp_path / "tree/shut").chmod(0)
    try:
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
        )
    finally:
        (tmp_path / "tree/shut").chmod(0o755)
    assert run.stdout.splitlines() == [
        "read",
        "cannot read open/closed.png: Permission denied",
        "cannot read tree/shut/a.png: Permission denied",
        "read",
        "cannot list tree/shut: Permission denied",
    ], run.stderr


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    refused(tmp_path / "a.png", "0 bytes")


@pytest.mark.parametrize("data", [b"\0", b"not an image at all", b"<xml></xml>", b"\xff" * 500])
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "not an image")


@pytest.mark.parametrize(
    ("data", "what", "hint"),
    [
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x14ispe\0\0\0\0\0\0\0\x10\0\0\0\x10",
            "a HEIC picture",
            "heif-convert",
        ),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heixmiaf", "a HEIC picture", "heif-convert"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "a video", "toolkit camera"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23", "a video", "toolkit camera"),
        (b"\xff\x0a\xfa\x1f\x01", "a JPEG XL picture", "PNG or JPEG"),
        (b"8BPS\0\1", "a picture of Photoshop", "PNG or JPEG"),
        (b"%PDF-1.7\n" * 20, "a PDF", "PNG or JPEG"),
        (b"<svg width='10' height='10'></svg>", "an SVG drawing", "PNG or JPEG"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg></svg>", "an SVG drawing", "PNG or JPEG"),
    ],
)
def test_what_opencv_does_not_read_is_told_by_its_name(tmp_path: Path, data: bytes, what: str, hint: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError, match=f"a.png is {what}, which OpenCV does not read") as caught:
        read_image(tmp_path / "a.png")
    assert hint in caught.value.hint


@pytest.mark.parametrize("suffix", [".bmp", ".jpg", ".png", ".tif", ".webp", ".pgm"])
def test_a_file_that_is_cut_in_its_header_is_refused(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", RGB[:, :, 0])
    data = path.read_bytes()
    for length in (1, 2, 3, 4, 7, 8, 9):
        path.write_bytes(data[:length])
        refused(path, "damaged")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_png_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "a.png", RGB)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, "damaged")


def test_a_huge_image_is_refused_by_its_header_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(data: object, flags: int) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30_000, 30_000))
    tracemalloc.start()
    try:
        error = refused(path, "30000x30000", "100 megapixels")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert "limit" in error.hint


def test_the_limit_is_in_megapixels_and_can_be_moved(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((100, 200), np.uint8))
    assert read_image(path, max_megapixels=0.02).shape == (100, 200, 3)
    refused(path, "200x100", "0.019 megapixels", max_megapixels=0.019)


def test_an_image_without_pixels_is_refused(tmp_path: Path) -> None:
    for width, height in ((0, 5), (5, 0), (0, 0)):
        (tmp_path / "a.png").write_bytes(png_header(width, height))
        refused(tmp_path / "a.png", "damaged")


def test_any_bytes_give_an_image_or_an_image_error(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", RGB)
    data = path.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(60):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert read_image(path, max_megapixels=1).dtype == np.uint8
        except ImageError as error:
            assert error.hint


def test_pictures_are_found_by_name_in_every_subfolder(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/deep/c.webp", "note.txt", ".hidden.png", ".cache/thumb.png", "sub/.x/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "d.png").touch()
    assert [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)] == [
        "a.JPG",
        "b.png",
        "folder.png/d.png",
        "sub/deep/c.webp",
    ]


def test_pictures_are_found_in_a_folder_whose_own_path_is_hidden(tmp_path: Path) -> None:
    folder = tmp_path / ".data"
    folder.mkdir()
    (folder / "a.png").touch()
    assert find_images(folder) == [folder / "a.png"]


def test_a_link_that_leads_nowhere_is_found_and_a_folder_behind_a_link_is_not(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.png").touch()
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to(tmp_path)
    assert find_images(tmp_path) == [tmp_path / "gone.png", tmp_path / "there" / "a.png"]


def test_every_suffix_that_is_looked_for_is_in_lower_case() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in module.SUFFIXES)
