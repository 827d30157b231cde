"""Image files to uint8 arrays, the same with every OpenCV. The header is read before anything is decoded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError, ImageError
from runtime.headers import Header, kind_not_read, read_header
from runtime.lfs import refuse_pointer
from runtime.preprocess import as_image

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp", ".avif"}
)
MAX_MEGAPIXELS = 100.0
BYTES_PER_PIXEL = 8  # no file needs more: 16 bits, four channels, not compressed
BYTES_BESIDE = 64_000_000  # profiles, previews, the rest of an animation
# OpenCV 5 moved it; OpenCV 4.8, which comes with JetPack 6, has only the old name.
set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel


class Quiet:
    """Keeps OpenCV from printing as long as any thread is in it: its level is one for all of them."""

    def __init__(self) -> None:
        self.lock, self.inside, self.level = Lock(), 0, 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.level = set_log_level(0)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                set_log_level(self.level)


QUIET = Quiet()
CONVERT = {
    "a HEIC picture": "convert it: heif-convert FILE.heic FILE.jpg (apt install libheif-examples), or save it as JPEG",
    "a video": "toolkit camera reads videos; for classify take pictures out of it: ffmpeg -i FILE NAME-%05d.png",
}
VIEWER_HINT = "open it in an image viewer; save it as PNG or JPEG"


def read_image(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> NDArray[np.uint8]:
    """Read an image file, turned upright by its EXIF orientation.

    Of 16 bits the upper eight count. What is transparent becomes white, as on paper; of JPEG 2000 and AVIF with more
    than eight bits, and of a grey TIFF, transparency is dropped. Of an animation the first picture is taken.

    Args:
        path: any format in `SUFFIXES`, whatever its suffix is. GIF, AVIF and animated WebP need OpenCV 4.11 or newer.
        max_megapixels: a larger image is refused before it is decoded.

    Returns:
        uint8 RGB (H, W, 3) in 0..255.

    Raises:
        ImageError: not a file, empty, of no known format, too large, cut off, or damaged.
    """
    return decode_image(read_file(Path(path), max_megapixels), str(path), max_megapixels)


def decode_image(data: bytes, name: str, max_megapixels: float = MAX_MEGAPIXELS) -> NDArray[np.uint8]:
    """Decode the bytes of an image file, as `read_image` does.

    Args:
        data: the whole file.
        name: what to call it in an error.
        max_megapixels: a larger image is refused before it is decoded.

    Returns:
        uint8 RGB (H, W, 3) in 0..255.

    Raises:
        ImageError: of no format that is read, too large, cut off, or damaged.
    """
    header = check_image(data, name, max_megapixels)
    pixels = decode(data, header)
    if pixels is None:
        raise ImageError(f"{name} is damaged, or of a kind that OpenCV {cv2.__version__} does not read", VIEWER_HINT)
    if pixels.dtype != np.uint8:
        raise ImageError(
            f"{name} holds {pixels.dtype} values, and which of them is white nobody knows", "save it with 8 or 16 bits"
        )
    return turn(to_rgb(as_image(pixels)), header.orientation)


def check_image(data: bytes, name: str, max_megapixels: float = MAX_MEGAPIXELS) -> Header:
    """What can be told of an image without decoding it: its header, and whether it is cut off.

    Raises:
        ImageError: of no format that is read, too large, or cut off.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)", "it may have been cut off while it was copied: copy it again")
    refuse_pointer(data, name, ImageError)
    if kind := kind_not_read(data):
        raise ImageError(f"{name} is {kind}, which OpenCV does not read", CONVERT.get(kind, "save it as PNG or JPEG"))
    header = read_header(data)
    if header is None or header.width <= 0 or header.height <= 0:
        raise ImageError(f"{name} is damaged, or not an image", VIEWER_HINT)
    if header.width * header.height > max_megapixels * 1e6:
        raise ImageError(
            f"{name} is {header.width}x{header.height} pixels, over the limit of {max_megapixels:g} megapixels",
            "scale it down, or raise the limit",
        )
    if header.flaw:
        raise ImageError(f"{name} {header.flaw}", VIEWER_HINT)
    return header


def read_file(path: Path, max_megapixels: float = MAX_MEGAPIXELS, name: str = "") -> bytes:
    """The bytes of a file. Pipes and devices are refused: they may never end.

    Args:
        path: of the file.
        max_megapixels: as in `decode_image`.
        name: what to call it in an error, if not by its path.

    Raises:
        ImageError: no such file, larger than an image of `max_megapixels` can be, or not to be read.
    """
    name = name or str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{name} is a directory", "give the path of an image file")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name} is a pipe or a device, not a file", "save the image in a file")
        if status.st_size > most_bytes(max_megapixels):
            raise ImageError(
                f"{name} has {status.st_size / 1e6:,.0f} MB, too many for the limit of megapixels",
                "scale it down, or raise the limit",
            )
        data = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        hint = "give the path of an image file" if missing else "see who may read it, and whether its disk is sound"
        raise ImageError(f"cannot read {name}: {error.strerror}", hint) from error
    except ValueError as error:  # a path with a NUL
        raise ImageError(f"cannot read {name}: {error}", "give the path of an image file") from error
    return data


def most_bytes(max_megapixels: float) -> int:
    """What a file of an image may have."""
    return int(BYTES_PER_PIXEL * 1e6 * max_megapixels + BYTES_BESIDE)


def decode(data: bytes, header: Header) -> NDArray[np.generic] | None:
    """Pixels as they are stored, not turned, except those of a TIFF.

    Returns:
        (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA; uint8, or what else a TIFF holds. None for a damaged file.
    """
    pixels = imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None or (pixels.dtype == np.uint16 and header.kind in ("jp2", "avif")):
        # Only so does OpenCV scale 10 or 12 bits to 8, and read grey JPEG 2000 with transparency.
        pixels = imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or sorted(pixels.shape[:2]) != sorted((header.height, header.width)):
        return None
    return np.right_shift(pixels, 8, dtype=np.uint16).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def imdecode(data: bytes, flags: int) -> NDArray[np.generic] | None:
    """`cv2.imdecode`, quietly: what OpenCV prints of a damaged file, our error says better."""
    with QUIET:
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            return None


def to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey (H, W), BGR or BGRA (H, W, 3 or 4) to RGB (H, W, 3), on white."""
    if pixels.ndim == 2:
        return as_image(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB))
    if pixels.shape[2] == 3:
        return as_image(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    alpha = pixels[:, :, 3:].astype(np.uint16)
    return as_image((pixels[:, :, 2::-1] * alpha + 255 * (255 - alpha) + 127) // 255)


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn (H, W, 3) upright from an EXIF orientation, 1 to 8."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def find_images(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders, by name; see `walk_images`."""
    return sorted(walk_images(folder))


def walk_images(folder: Path) -> Iterator[Path]:
    """The image files in a folder and its subfolders, those of a folder first, by name; hidden ones are left out.

    Links to folders are not followed. A link that leads nowhere is among them: reading it says so.

    Raises:
        DataError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot list {error.filename}: {error.strerror}", "make it readable, or leave it out")

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = (name for name in sorted(files) if not name.startswith("."))
        yield from (path for path in map(Path(place).joinpath, names) if path.suffix.lower() in SUFFIXES)
