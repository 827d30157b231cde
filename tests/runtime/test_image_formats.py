"""The right pixels of every format, depth and turn, whichever OpenCV reads them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import ImageError
from runtime.images import read_image
from runtime.preprocess import apply
from runtime.spec import Pad, PadToSquare, Polarity, Preprocess, Resize
from tests import pictures
from tests.pictures import chunk, encode, exif

DATA = Path(__file__).parent / "data"
NEWER = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 11)  # reads GIF and animated WebP
LOSSLESS_WEBP = (cv2.IMWRITE_WEBP_QUALITY, 101)
LOSSLESS_JP2 = (cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000)

RGBA = np.random.default_rng(0).integers(0, 256, (40, 48, 4), dtype=np.uint8)
RGBA[:, :8, 3], RGBA[:, 8:16, 3] = 0, 255
RGB, GREY = RGBA[:, :, :3], RGBA[:, :, 0]
DEEP = np.random.default_rng(1).integers(0, 65536, (40, 48, 4), dtype=np.uint16)
BITS = GREY > 127
PALETTE = np.random.default_rng(2).integers(0, 256, (128, 3), dtype=np.uint8)


def read(folder: Path, data: bytes) -> NDArray[np.uint8]:
    path = folder / "picture.png"  # the content counts
    path.write_bytes(data)
    return read_image(path)


def expected(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """What is right of grey, RGB or RGBA: the upper eight bits, three channels, on white."""
    bits = (pixels // 256 if pixels.dtype == np.uint16 else pixels).astype(np.float64)
    if pixels.ndim == 2:
        bits = np.repeat(bits[:, :, None], 3, axis=2)
    if bits.shape[2] == 4:
        opacity = bits[:, :, 3:] / 255
        bits = bits[:, :, :3] * opacity + 255 * (1 - opacity)
    return np.floor(bits + 0.5).astype(np.uint8)


def picture(kind: str) -> NDArray[np.generic]:
    """8 or 16 bits; grey, rgb or rgba."""
    pixels = RGBA if kind.endswith("8") else DEEP
    return {"grey": pixels[:, :, 0], "rgb": pixels[:, :, :3], "rgba": pixels}[kind.rstrip("0123456789")]


@pytest.mark.parametrize(
    ("suffix", "kinds", "options"),
    [
        (".png", "grey8 rgb8 rgba8 grey16 rgb16 rgba16", ()),
        (".tiff", "grey8 rgb8 grey16 rgb16 rgba16", ()),
        (".tiff", "grey8 rgb8 grey16 rgb16", (cv2.IMWRITE_TIFF_COMPRESSION, 1)),
        (".pgm", "grey8 grey16", ()),
        (".ppm", "rgb8 rgb16", ()),
        (".ppm", "rgb8", (cv2.IMWRITE_PXM_BINARY, 0)),
        (".bmp", "grey8 rgb8", ()),
        (".webp", "rgb8 rgba8", LOSSLESS_WEBP),
        (".jp2", "grey8 rgb8 rgba8 grey16 rgb16", LOSSLESS_JP2),
    ],
)
def test_every_depth_and_number_of_channels_becomes_8_bit_rgb(
    tmp_path: Path, suffix: str, kinds: str, options: tuple[int, ...]
) -> None:
    for kind in kinds.split():
        pixels = picture(kind)
        image = read(tmp_path, encode(suffix, pixels, *options))
        assert (image.dtype, image.shape, image.flags.c_contiguous) == (np.uint8, (40, 48, 3), True)
        # What OpenCV itself makes of 16 bits of JPEG 2000 is rounded, not cut.
        np.testing.assert_allclose(
            image.astype(int), expected(pixels), atol=suffix == ".jp2" and "16" in kind, err_msg=kind
        )


@pytest.mark.parametrize("suffix", [".jpg", ".avif"])
@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3)])
def test_lossy_formats_are_near(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    if suffix == ".avif" and not cv2.haveImageWriter(".avif"):
        for data in pictures.claims(64, 64)[suffix], b"\0\0\0\x0cftypavif":
            with pytest.raises(ImageError):
                read(tmp_path, data)
        return
    smooth = np.broadcast_to(np.linspace(0, 255, 64)[:, None], (64, 64)).astype(np.uint8)
    pixels = smooth if len(shape) == 2 else np.stack([smooth, smooth.T, 255 - smooth], axis=2)
    np.testing.assert_allclose(read(tmp_path, encode(suffix, pixels)).astype(int), expected(pixels), atol=12)


def test_ten_and_twelve_bits_of_avif_are_scaled(tmp_path: Path) -> None:
    for depth in (10, 12) if cv2.haveImageWriter(".avif") else ():
        white = np.full((32, 32, 3), 2**depth - 1, np.uint16)
        data = encode(".avif", white, cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100)
        assert read(tmp_path, data).min() >= 254


def test_numbers_without_a_white_are_refused(tmp_path: Path) -> None:
    kinds = ((GREY, "f4"), (GREY, "f8"), (RGB, "f4"))
    files = [encode(".tiff", (pixels / 255).astype(dtype)) for pixels, dtype in kinds]
    for data in (*files, pictures.tiff_picture(GREY.astype(np.uint32) << 24, 1)):
        with pytest.raises(ImageError, match=r"picture\.png") as caught:
            read(tmp_path, data)
        assert caught.value.hint
        assert "values, and which of them is white" in caught.value.message or data not in files


@pytest.mark.parametrize("white", [1, 100, 254, 256, 1023, 65534])
@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
def test_a_netpbm_of_another_white_is_refused_rather_than_read_dark(tmp_path: Path, kind: bytes, white: int) -> None:
    with pytest.raises(ImageError, match="another white"):
        read(tmp_path, b"%s 1 1 %d\n1 1 1 1 1 1" % (kind, white))


def test_one_bit_is_black_or_white(tmp_path: Path) -> None:
    packed = np.packbits(BITS, axis=1)
    inverted = np.packbits(~BITS, axis=1)  # in a PBM 1 is black
    padded = np.pad(packed, ((0, 0), (0, 2)))[::-1]
    two = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    files = {
        "png": pictures.png(48, 40, 1, 0, pictures.png_rows(packed)),
        "bmp": pictures.bmp(48, 40, 1, padded.tobytes(), two),
        "bmp from the top": pictures.bmp(48, -40, 1, padded[::-1].tobytes(), two),
        "pbm": b"P4\n48 40\n" + inverted.tobytes(),
        "pbm in words": b"P1\n48 40\n" + b" ".join(b"%d" % bit for bit in ~BITS.ravel()) + b"\n",
        "tiff": encode(".tiff", (BITS * 255).astype(np.uint8)),
    }
    for name, data in files.items():
        np.testing.assert_array_equal(read(tmp_path, data), expected((BITS * 255).astype(np.uint8)), err_msg=name)


def test_palettes_become_their_colours(tmp_path: Path) -> None:
    indices, few = GREY >> 1, GREY >> 4
    nibbles = (few[:, 0::2] << 4 | few[:, 1::2])[::-1]
    np.testing.assert_array_equal(
        read(tmp_path, pictures.png(48, 40, 8, 3, pictures.png_rows(indices), chunk(b"PLTE", PALETTE.tobytes()))),
        PALETTE[indices],
    )
    np.testing.assert_array_equal(
        read(tmp_path, pictures.bmp(48, 40, 8, indices[::-1].tobytes(), PALETTE)), PALETTE[indices]
    )
    np.testing.assert_array_equal(
        read(tmp_path, pictures.bmp(48, 40, 4, nibbles.tobytes(), PALETTE[:16])), PALETTE[few]
    )
    if NEWER:
        np.testing.assert_array_equal(read(tmp_path, pictures.gif([indices], PALETTE)), PALETTE[indices])


def test_black_ink_on_a_transparent_ground_is_black_on_white(tmp_path: Path) -> None:
    ink = np.zeros((40, 48, 4), np.uint8)
    ink[:, 8:, 3] = GREY[:, 8:]
    wanted = np.repeat(255 - ink[:, :, 3:], 3, axis=2)
    grey_alpha = pictures.png(48, 40, 8, 4, pictures.png_rows(ink[:, :, [0, 3]]))
    for data in (encode(".png", ink), encode(".webp", ink, *LOSSLESS_WEBP), grey_alpha):
        np.testing.assert_array_equal(read(tmp_path, data), wanted)


def test_the_transparent_index_of_a_palette_is_white(tmp_path: Path) -> None:
    indices, wanted = GREY >> 1, PALETTE.copy()
    wanted[5] = 255
    alpha = bytearray(b"\xff" * 128)
    alpha[5] = 0
    parts = chunk(b"PLTE", PALETTE.tobytes()), chunk(b"tRNS", bytes(alpha))
    np.testing.assert_array_equal(
        read(tmp_path, pictures.png(48, 40, 8, 3, pictures.png_rows(indices), *parts)), wanted[indices]
    )
    if NEWER:
        np.testing.assert_array_equal(read(tmp_path, pictures.gif([indices], PALETTE, 5)), wanted[indices])


def upright(stored: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """By the table of EXIF 2.32: which corner of the picture the stored first pixel is."""
    turned = {
        1: stored,
        2: np.fliplr(stored),
        3: np.rot90(stored, 2),
        4: np.flipud(stored),
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: np.rot90(stored.swapaxes(0, 1), 2),
        8: np.rot90(stored, 1),
    }
    return turned.get(orientation, stored)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(10))
def test_every_format_is_turned_upright_by_its_exif(tmp_path: Path, orientation: int, order: str) -> None:
    block = exif(orientation, order)
    png, webp, jpeg = encode(".png", RGBA), encode(".webp", RGBA, *LOSSLESS_WEBP), encode(".jpg", RGB)
    wanted = upright(expected(RGBA), orientation)
    for data in (
        png[:33] + chunk(b"eXIf", block) + png[33:],
        png[:-12] + chunk(b"eXIf", block) + png[-12:],
        pictures.webp_with_exif(webp, 48, 40, block),
        pictures.webp_with_exif(webp, 48, 40, b"Exif\0\0" + block),
    ):
        np.testing.assert_array_equal(read(tmp_path, data), wanted)
    stored = read(tmp_path, jpeg)
    turned = read(tmp_path, pictures.jpeg_with_exif(jpeg, block))
    np.testing.assert_array_equal(turned, upright(stored, orientation))
    for grey in (GREY, DEEP[:, :, 0]):
        data = pictures.tiff_picture(grey, orientation, order)
        np.testing.assert_array_equal(read(tmp_path, data), upright(expected(grey), orientation))


@pytest.mark.parametrize("block", [b"", b"MM", exif(6)[:11], exif(6)[:17], b"MM\0*\xff\xff\xff\xff", b"junk" * 9])
def test_damaged_exif_turns_nothing(tmp_path: Path, block: bytes) -> None:
    jpeg, webp = encode(".jpg", RGB), encode(".webp", RGBA, *LOSSLESS_WEBP)
    stored = read(tmp_path, jpeg)
    np.testing.assert_array_equal(read(tmp_path, pictures.jpeg_with_exif(jpeg, block)), stored)
    np.testing.assert_array_equal(read(tmp_path, pictures.webp_with_exif(webp, 48, 40, block)), expected(RGBA))


def test_a_cmyk_jpeg_has_the_colours_of_print() -> None:
    image = read_image(DATA / "cmyk.jpg")  # 16x8: magenta and yellow, then cyan and yellow
    assert image.shape == (8, 16, 3)
    np.testing.assert_allclose(image[:, :6].reshape(-1, 3).astype(int), [(255, 0, 0)] * 48, atol=8)
    np.testing.assert_allclose(image[:, 10:].reshape(-1, 3).astype(int), [(0, 255, 0)] * 48, atol=8)


def test_of_an_animation_the_first_picture_counts(tmp_path: Path) -> None:
    first, second = RGB, 255 - RGB
    np.testing.assert_array_equal(read(tmp_path, animated_png(first, second)), first)
    others = {
        "gif": (pictures.gif([GREY >> 1, GREY >> 2], PALETTE), PALETTE[GREY >> 1]),
        "webp": (pictures.webp_animation([first, second]), first),
    }
    for data, wanted in others.values():
        if NEWER:
            np.testing.assert_array_equal(read(tmp_path, data), wanted)
        else:
            with pytest.raises(ImageError, match=f"OpenCV {cv2.__version__} does not read") as caught:
                read(tmp_path, data)
            assert "PNG" in caught.value.hint


def animated_png(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bytes:
    height, width = first.shape[:2]
    sizes = b"".join(number.to_bytes(4, "big") for number in (width, height, 0, 0)) + b"\0\1\0\x0a\0\0"
    single = pictures.png(width, height, 8, 2, pictures.png_rows(second))
    pixels = single[41:-16]
    control = chunk(b"acTL", b"\0\0\0\2\0\0\0\0"), chunk(b"fcTL", b"\0\0\0\0" + sizes)
    more = chunk(b"fcTL", b"\0\0\0\1" + sizes) + chunk(b"fdAT", b"\0\0\0\2" + pixels)
    return pictures.png(width, height, 8, 2, pictures.png_rows(first), *control, after=more)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 2), (3, 1), (1, 5000), (5000, 1), (1, 65535), (65535, 1)])
@pytest.mark.parametrize("suffix", [".png", ".pgm", ".bmp", ".tiff"])
def test_a_line_of_pixels_goes_through_lenets_steps_or_is_refused(
    tmp_path: Path, suffix: str, height: int, width: int
) -> None:
    lenet = Preprocess(
        "gray", (Polarity("auto"), PadToSquare(0), Resize(28, 28, "exact", "area"), Pad(2, 2, 2, 2, 0)), (0,), (1,)
    )
    pixels = np.zeros((height, width), np.uint8)
    pixels[-1, -1] = 255
    image = read(tmp_path, encode(suffix, pixels))
    np.testing.assert_array_equal(image, expected(pixels))
    if max(height, width) > 10_000:
        with pytest.raises(ImageError, match=f"{height}x{width} would become 65535x65535") as caught:
            apply(lenet, image)
        assert "square" in caught.value.hint
    else:
        assert apply(lenet, image).shape == (32, 32, 1)


@pytest.mark.parametrize("mode", ["exact", "shorter"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "area", "bicubic"])
def test_the_longest_lines_are_resized_or_refused(mode: str, interpolation: str) -> None:
    for shape in ((1, 65535), (65535, 1), (2, 100_000)):
        step = Resize(28, 28, mode, interpolation)  # type: ignore[arg-type]
        try:
            size = apply(Preprocess("gray", (step,), (0,), (1,)), np.zeros(shape, np.uint8)).shape
        except ImageError as error:
            assert error.hint and mode == "shorter"
        else:
            assert size[:2] == (28, 28) or mode == "shorter"
