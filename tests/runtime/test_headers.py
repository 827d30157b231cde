"""What a file says of itself: the size that the decoder would take, and never another."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import ImageError
from runtime.headers import read_header
from runtime.images import SUFFIXES, read_image
from tests import pictures
from tests.command import ROOT, environment
from tests.pictures import claims, encode, exif, segment

RGB = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]
SAMPLES = {
    **{suffix: encode(suffix, RGB) for suffix in (".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm", ".jp2")},
    ".pgm": encode(".pgm", GREY),
    ".gif": pictures.gif([GREY >> 1, GREY >> 2], RGB.reshape(-1, 3)[:128]),
    "progressive.jpg": encode(".jpg", RGB, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "exif.jpg": pictures.jpeg_with_exif(encode(".jpg", RGB), exif(1) + encode(".jpg", RGB[:8, :8])),
    "lzw.tif": encode(".tif", RGB, cv2.IMWRITE_TIFF_COMPRESSION, 5),
}


def refuse_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(data: object, flags: int) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)


@pytest.mark.parametrize("suffix", claims(1, 1))
def test_a_huge_image_of_any_format_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    refuse_decoding(monkeypatch)
    path = tmp_path / f"a{suffix}"
    for width, height in ((30_000, 30_000), (65_000, 60_000)):
        path.write_bytes(claims(width, height)[suffix])
        with pytest.raises(ImageError, match=f"{width}x{height} pixels, over the limit") as caught:
            read_image(path)
        assert str(path) in caught.value.message
        assert caught.value.hint


def test_every_suffix_has_its_huge_image() -> None:
    same = {".jpeg": ".jpg", ".tiff": ".tif", ".ppm": ".pgm"}
    assert {same.get(suffix, suffix) for suffix in SUFFIXES} == set(claims(1, 1))


def test_huge_images_are_refused_within_the_memory_that_small_ones_take(tmp_path: Path) -> None:
    for suffix, data in claims(30_000, 30_000).items():
        (tmp_path / f"a{suffix}").write_bytes(data)
    code = (
        "import resource, sys; from pathlib import Path; from runtime.images import *; from runtime.errors import *\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: read_image(path); sys.exit(f'{path} was read')\n"
        "    except ImageError as error: assert 'over the limit' in error.message, error.message\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 32 << 10  # kilobytes


def two_pngs() -> bytes:
    small, large = pictures.png(10, 10, 8, 0, bytes(110)), pictures.png(30_000, 30_000, 8, 0, bytes(1000))
    return small[:33] + large[8:]


DISGUISED = {
    "png": two_pngs(),
    "tiff": pictures.tiff([(256, 4, 30_000), (256, 4, 10), (257, 4, 30_000), (257, 4, 10)]),
    "tiff-type": pictures.tiff([(256, 4, 10), (256, 16, 30_000), (257, 4, 10)]),
    "tiff-tile": pictures.tiff([(256, 4, 10), (257, 4, 10), (322, 4, 20_000), (323, 4, 20_000)]),
    "jpeg": b"\xff\xd8" + b"".join(segment(0xC0, struct.pack(">BHHB", 8, s, s, 1)) for s in (10, 30_000)) + b"\xff\xd9",
    "jp2": pictures.jp2(30_000, 30_000, claimed=(10, 10)),
    "jp2-two": pictures.jp2(10, 10) + pictures.jp2(30_000, 30_000),
    "pnm-comment": b"P5\n#\r30000 30000\n10 10\n255\n" + bytes(100),
    "pnm-joined": b"P5\n10#30000\n10\n255\n" + bytes(100),
    "avif": claims(10, 10)[".avif"] + claims(30_000, 30_000)[".avif"],
}


@pytest.mark.parametrize("name", DISGUISED)
def test_a_file_with_two_sizes_is_never_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    refuse_decoding(monkeypatch)
    (tmp_path / "a.png").write_bytes(DISGUISED[name])
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_size_is_that_of_the_picture(name: str) -> None:
    header = read_header(SAMPLES[name])
    assert header is not None
    assert (header.width, header.height, header.orientation, header.flaw) == (48, 40, 1, "")


@pytest.mark.parametrize("order", "<>")
def test_a_tiff_is_read_in_both_byte_orders_and_as_bigtiff(order: str) -> None:
    header = read_header(pictures.tiff_picture(GREY, 6, order))
    assert header is not None and (header.width, header.height) == (48, 40)
    big = {"<": b"II+\0", ">": b"MM\0+"}[order] + struct.pack(order + "HHQQ", 8, 0, 16, 2)
    for tag, value in ((256, 48), (257, 40)):
        big += struct.pack(order + "HHQQ", tag, 16, 1, value)
    header = read_header(big)
    assert header is not None and (header.width, header.height) == (48, 40)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_is_cut_off_anywhere_is_refused_or_read_right(tmp_path: Path, name: str) -> None:
    data = SAMPLES[name]
    path = tmp_path / "a.png"
    path.write_bytes(data)
    whole = read_image(path) if readable(data) else None
    for length in (*(len(data) * part // 16 for part in range(1, 16)), len(data) - 2, len(data) - 1):
        path.write_bytes(data[:length])
        try:
            np.testing.assert_array_equal(read_image(path), whole)
        except ImageError as error:
            assert "a.png" in error.message and error.hint
        else:
            assert length > len(data) * 15 // 16 or name == ".gif"  # the second picture of two may be missing


def readable(data: bytes) -> bool:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_jpeg_without_its_end_is_refused_though_its_thumbnail_has_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(SAMPLES["exif.jpg"][:-2])
    with pytest.raises(ImageError, match="cut off"):
        read_image(path)
    path.write_bytes(SAMPLES["exif.jpg"] + bytes(100))  # what follows the end does no harm
    assert read_image(path).shape == RGB.shape


@pytest.mark.parametrize(
    "data", [b"\xff\xd8" + b"\xff\xe0\0\2" * 3_000_000, b"P5\n" + b"#\n" * 3_000_000], ids=["jpeg", "pnm"]
)
def test_a_header_without_end_is_given_up(data: bytes) -> None:
    assert read_header(data) is None


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "a.png"


STARTS = [b"", *(data[:length] for data in SAMPLES.values() for length in (8, 12, 40)), *claims(3, 2).values()]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=300))
def test_random_bytes_give_an_image_or_an_image_error(fuzzed: Path, start: bytes, rest: bytes) -> None:
    assert_image_or_error(fuzzed, start + rest)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(SAMPLES)),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
)
def test_changed_bytes_give_an_image_or_an_image_error(fuzzed: Path, name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLES[name])
    for position, value in changes:
        data[position % len(data)] = value
    assert_image_or_error(fuzzed, bytes(data))


def assert_image_or_error(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    header = read_header(data)
    try:
        image = read_image(path, max_megapixels=1)
    except ImageError as error:
        assert error.hint
    else:
        assert header is not None
        assert image.dtype == np.uint8
        assert sorted(image.shape) == sorted((header.width, header.height, 3))
