"""Image files made by hand, byte by byte: what no encoder here writes, and what no honest one would."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def encode(suffix: str, pixels: NDArray[np.generic], *options: int) -> bytes:
    """What OpenCV writes of grey, RGB or RGBA."""
    if pixels.ndim == 3:
        pixels = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    done, data = cv2.imencode(suffix, np.ascontiguousarray(pixels), options)
    assert done
    return data.tobytes()


def exif(orientation: int, order: str = ">") -> bytes:
    """An EXIF block that holds an orientation alone."""
    start = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "I", 8)
    return start + struct.pack(order + "HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def jpeg_with_exif(data: bytes, block: bytes) -> bytes:
    return data[:2] + segment(0xE1, b"Exif\0\0" + block) + data[2:]


def segment(marker: int, payload: bytes) -> bytes:
    """A segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, color: int, rows: bytes, *before: bytes, after: bytes = b"") -> bytes:
    """A PNG of these rows, each with its filter byte; `before` and `after` the pixels come other chunks."""
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows)) + after
    return b"\x89PNG\r\n\x1a\n" + size + b"".join(before) + pixels + chunk(b"IEND", b"")


def png_rows(pixels: NDArray[np.generic]) -> bytes:
    """Rows without a filter, big end first."""
    big = pixels.astype(pixels.dtype.newbyteorder(">"))
    return b"".join(b"\0" + row.tobytes() for row in big)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP."""
    body = b"WEBP" + b"".join(map(riff_chunk, chunks))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunk(part: tuple[bytes, bytes]) -> bytes:
    name, data = part
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def vp8x(width: int, height: int, flags: int) -> tuple[bytes, bytes]:
    return b"VP8X", bytes((flags, 0, 0, 0)) + three(width - 1) + three(height - 1)


def webp_with_exif(data: bytes, width: int, height: int, block: bytes) -> bytes:
    return riff(vp8x(width, height, 0x18), (data[12:16], data[20:]), (b"EXIF", block))


def webp_animation(frames: Sequence[Pixels]) -> bytes:
    """Lossless frames (H, W, 3) RGB."""
    height, width = frames[0].shape[:2]
    parts = []
    for frame in frames:
        data = encode(".webp", frame, cv2.IMWRITE_WEBP_QUALITY, 101)
        place = three(0) * 2 + three(width - 1) + three(height - 1) + three(100) + b"\2"
        parts.append((b"ANMF", place + data[12:]))
    return riff(vp8x(width, height, 0x02), (b"ANIM", bytes(6)), *parts)


def gif(frames: Sequence[Pixels], palette: Pixels, transparent: int | None = None) -> bytes:
    """Frames of indices below 128 (H, W) into a palette (128, 3), not compressed."""
    height, width = frames[0].shape
    out = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + palette.tobytes()
    for frame in frames:
        known, index = (0, 0) if transparent is None else (1, transparent)
        out += b"\x21\xf9\4" + struct.pack("<BHB", known, 10, index) + b"\0"
        out += b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\7"
        pixels = frame.tobytes()
        codes = b"".join(b"\x80" + pixels[at : at + 100] for at in range(0, len(pixels), 100)) + b"\x81"
        out += b"".join(bytes((len(part),)) + part for part in (codes[i : i + 255] for i in range(0, len(codes), 255)))
        out += b"\0"
    return out + b";"


def bmp(width: int, height: int, depth: int, rows: bytes, palette: Pixels | None = None) -> bytes:
    """Rows from the bottom to the top, each of a multiple of four bytes; a palette (n, 3) RGB."""
    colors = b"" if palette is None else b"".join(bytes((b, g, r, 0)) for r, g, b in palette.tolist())
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, 0, len(rows), 0, 0, len(colors) // 4, 0)
    start = 14 + len(info) + len(colors)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + colors + rows


def tiff(entries: Sequence[tuple[int, int, int]], data: bytes = b"", order: str = "<") -> bytes:
    """A TIFF of integer entries (tag, type, value) as they are given, and `data` behind them."""
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    table = struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        packed = struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
        table += struct.pack(order + "HHI", tag, kind, 1) + packed
    return start + table + bytes(4) + data


def tiff_picture(pixels: NDArray[np.generic], orientation: int, order: str = "<") -> bytes:
    """Grey (H, W), uint8 or uint16, not compressed."""
    height, width = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    entries = [(256, 3, width), (257, 3, height), (258, 3, 8 * pixels.itemsize), (259, 3, 1), (262, 3, 1)]
    entries += [
        (273, 4, 8 + 2 + 12 * 10 + 4),
        (274, 3, orientation),
        (277, 3, 1),
        (278, 3, height),
        (279, 4, len(data)),
    ]
    return tiff(entries, data, order)


def jp2(width: int, height: int, claimed: tuple[int, int] | None = None) -> bytes:
    """A JPEG 2000 without pixels, whose box claims one size and whose code stream has another."""
    box_width, box_height = claimed or (width, height)
    ihdr = struct.pack(">I4sIIHBBBB", 22, b"ihdr", box_height, box_width, 1, 7, 7, 0, 0)
    colr = struct.pack(">I4sBBBI", 15, b"colr", 1, 0, 0, 17)
    start = b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s4sI4s", 20, b"ftyp", b"jp2 ", 0, b"jp2 ")
    size = struct.pack(">HHHIIIIIIIIHBBB", 0xFF51, 41, 0, width, height, 0, 0, width, height, 0, 0, 1, 7, 1, 1)
    stream = b"\xff\x4f" + size + b"\xff\xd9"
    header = struct.pack(">I4s", 8 + len(ihdr) + len(colr), b"jp2h") + ihdr + colr
    return start + header + struct.pack(">I4s", 8 + len(stream), b"jp2c") + stream


def claims(width: int, height: int) -> dict[str, bytes]:
    """Files of each format that say they are so large, and hold next to nothing."""
    frame = struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)
    ispe = struct.pack(">I4sIII", 20, b"ispe", 0, width, height)
    return {
        ".png": png(width, height, 8, 0, bytes(1 << 20)),
        ".bmp": bmp(width, height, 24, bytes(100)),
        ".jpg": b"\xff\xd8" + segment(0xC0, frame) + segment(0xDA, bytes(8)) + bytes(100) + b"\xff\xd9",
        ".tif": tiff(
            [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 9)]
        ),
        ".gif": b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";",
        ".webp": riff(vp8x(width, height, 0), (b"VP8L", bytes(20))),
        ".pgm": b"P5\n%d %d\n255\n" % (width, height) + bytes(100),
        ".pbm": b"P4 # a comment\n# 1 1\n%d\n%d\n" % (width, height) + bytes(100),
        ".jp2": jp2(width, height),
        ".avif": struct.pack(">I4s4sI4s", 20, b"ftyp", b"avif", 0, b"avif") + ispe,
    }
