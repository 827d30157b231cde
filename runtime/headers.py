"""What an image file says of itself before it is decoded: its size, how it is turned, and whether it is all there.

The decoder allocates what the header asks for, so each of these reads a size exactly as OpenCV does, or refuses: a file
that shows a small size to one reader and a large one to another is no image here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import unpack_from

UPRIGHT = 1
GAP = rb"(?:\s|#[^\r\n]*[\r\n])*"
NETPBM = re.compile(rb"P([1-6])\s" + GAP + rb"(\d{1,9})\s" + GAP + rb"(\d{1,9})\s(?:" + GAP + rb"(\d{1,9})\s)?")
JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")  # not those that stand alone, without a length
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
MAX_SEGMENTS = 65_536  # of a JPEG; a camera writes a dozen
MAX_TILE = 1 << 24  # pixels of a TIFF's tile: OpenCV 4 makes room for one, however small the picture is
TIFF_INTEGERS = {3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True)
class Header:
    """What a file says.

    Attributes:
        kind: the format.
        width: in pixels, before it is turned.
        height: in pixels, before it is turned.
        orientation: as EXIF counts, 1 to 8; 1 is upright. Of a TIFF always 1: OpenCV itself turns those.
        flaw: why it must not be decoded; empty for a good file.
    """

    kind: str
    width: int
    height: int
    orientation: int = UPRIGHT
    flaw: str = ""


def read_header(data: bytes) -> Header | None:
    """Read a whole file's header; None where it is of no known format or damaged."""
    for magic, reader in READERS:
        if magic.match(data):
            try:
                return reader(data)
            except (struct.error, ValueError):
                return None
    return None


def kind_not_read(data: bytes) -> str:
    """What a file is, where it is of a known kind that OpenCV does not read as a picture; else empty."""
    return next((what for magic, what in NOT_READ if magic.match(data)), "")


def png(data: bytes) -> Header:
    """https://www.w3.org/TR/png-3/."""
    width, height = unpack_from(">II", data, 16)
    exif, at = b"", 8
    while at < len(data) - 8:
        length, name = unpack_from(">I4s", data, at)
        if name == b"eXIf":
            exif = data[at + 8 : at + 8 + length]
        if name == b"IHDR" and at != 8:
            raise ValueError("a second header")
        at += length + 12
    return Header("png", width, height, orientation(exif))


def jpeg(data: bytes) -> Header:
    """https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B. OpenCV 4 fills up with grey what a short file lacks."""
    sizes, exif, at, whole = [], b"", 2, False
    for _ in range(MAX_SEGMENTS):
        found = JPEG_MARKER.search(data, at)
        whole = found is not None and found[1] == b"\xd9"
        if found is None or whole:
            break
        marker, at = found[1][0], found.end()
        (length,) = unpack_from(">H", data, at)
        if marker in JPEG_SIZES:
            sizes.append(unpack_from(">HH", data, at + 3))
        elif marker == 0xE1 and data.startswith(b"Exif\0\0", at + 2):
            exif = exif or data[at + 8 : at + length]
        at += length
    ((height, width),) = sizes
    return Header("jpeg", width, height, orientation(exif), "" if whole else "is cut off: it has no end marker")


def gif(data: bytes) -> Header:
    """https://www.w3.org/Graphics/GIF/spec-gif89a.txt."""
    return Header("gif", *unpack_from("<HH", data, 6))


def bmp(data: bytes) -> Header:
    """https://learn.microsoft.com/windows/win32/gdi/bitmap-header-types; a negative height means from top to bottom."""
    (size,) = unpack_from("<I", data, 14)
    width, height = unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return Header("bmp", width, abs(height))


def webp(data: bytes) -> Header:
    """RFC 9649."""
    size, exif, at = None, b"", 12
    while at < len(data) - 8:
        name, length = unpack_from("<4sI", data, at)
        at += 8
        if name == b"VP8X":
            width, height = (int.from_bytes(data[at + start : at + start + 3], "little") + 1 for start in (4, 7))
            size = size or (width, height)
        elif name == b"VP8 ":
            width, height = unpack_from("<HH", data, at + 6)
            size = size or (width & 0x3FFF, height & 0x3FFF)
        elif name == b"VP8L":
            (bits,) = unpack_from("<I", data, at + 1)
            size = size or ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        elif name == b"EXIF":
            exif = data[at : at + length].removeprefix(b"Exif\0\0")
        at += length + length % 2
    if size is None:
        raise ValueError("no image in it")
    return Header("webp", *size, orientation(exif))


def tiff(data: bytes) -> Header:
    """https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf, and BigTIFF."""
    sizes: dict[int, list[int]] = {256: [], 257: [], 322: [], 323: []}
    for tag, value in tiff_entries(data):
        if tag in sizes:
            sizes[tag].append(value)
    (width,), (height,), tile_widths, tile_heights = sizes.values()
    tile = max(tile_widths, default=0) * max(tile_heights, default=0)
    return Header("tiff", width, height, flaw="has huge tiles" if tile > max(MAX_TILE, width * height) else "")


def jp2(data: bytes) -> Header:
    """ITU-T T.800: the size of the code stream counts, whatever the box before it says."""
    sizes = [unpack_from(">IIII", data, found.end() + 4) for found in re.finditer(rb"\xff\x4f\xff\x51", data)]
    width, height = max(((x1 - x0, y1 - y0) for x1, y1, x0, y0 in sizes), key=lambda size: size[0] * size[1])
    return Header("jp2", width, height)


def avif(data: bytes) -> Header:
    """ISO/IEC 23008-12: the largest picture in it."""
    sizes = [unpack_from(">II", data, found.end()) for found in re.finditer(rb"\0\0\0\x14ispe\0{4}", data)]
    return Header("avif", *max(sizes, key=lambda size: size[0] * size[1]))


def netpbm(data: bytes) -> Header:
    """https://netpbm.sourceforge.net/doc/. OpenCV leaves other ranges than these as they are, which is nearly black."""
    found = NETPBM.match(data, 0, 4096)
    if found is None or (found[4] is None and found[1] not in b"14"):
        raise ValueError("cut off")
    known = found[1] in b"14" or int(found[4]) in (255, 65535)
    return Header("netpbm", int(found[2]), int(found[3]), flaw="" if known else "has another white than 255 or 65535")


def orientation(exif: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none."""
    try:
        value = next((value for tag, value in tiff_entries(exif) if tag == 0x0112), UPRIGHT)
    except struct.error:
        return UPRIGHT
    return value if 1 <= value <= 8 else UPRIGHT


def tiff_entries(data: bytes) -> Iterator[tuple[int, int]]:
    """(tag, value) of a TIFF's first folder; -1 for what is no integer."""
    order = "<" if data[:2] == b"II" else ">"
    big = unpack_from(order + "H", data, 2) == (43,)
    offset, count, entry, value_at = ("Q", "Q", 20, 12) if big else ("I", "H", 12, 8)
    (start,) = unpack_from(order + offset, data, 8 if big else 4)
    (entries,) = unpack_from(order + count, data, start)
    start += struct.calcsize(order + count)
    for at in range(start, start + entry * entries, entry):
        tag, kind = unpack_from(order + "HH", data, at)
        known = TIFF_INTEGERS.get(kind)
        yield tag, unpack_from(order + known, data, at + value_at)[0] if known else -1


READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Header]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n....IHDR", re.DOTALL), png),
    (re.compile(rb"\xff\xd8\xff"), jpeg),
    (re.compile(rb"GIF8[79]a"), gif),
    (re.compile(rb"BM"), bmp),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), webp),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), tiff),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n"), jp2),
    (re.compile(rb"....ftyp", re.DOTALL), avif),
    (re.compile(rb"P[1-6]\s"), netpbm),
)

#: The brands of an ISO file stand in its first box. What has one of AVIF's is AVIF.
NOT_READ = tuple(
    (re.compile(magic, re.DOTALL), what)
    for magic, what in (
        (rb"....ftyp(?!.{0,56}avi[fs]).{0,56}?he[iv][cmsx]", "a HEIC picture"),
        (rb"....ftyp(?:isom|iso\d|mp4\d|avc1|M4V |qt  |3gp|dash|MSNV)|RIFF....AVI |\x1aE\xdf\xa3", "a video"),
        (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (rb"8BPS", "a picture of Photoshop"),
        (rb"v/1\x01", "an OpenEXR picture"),
        (rb"\0\0\x01\0.\0", "an icon"),
        (rb"%PDF-", "a PDF"),
        (rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,500}?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg\b", "an SVG drawing"),
    )
)
