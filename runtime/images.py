"""Image files to uint8 arrays. The size is read from the header before anything is decoded."""

from __future__ import annotations

from pathlib import Path

import cv2
import imagesize
import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp", ".avif"}
)
MAX_MEGAPIXELS = 100.0


def read_image(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> NDArray[np.uint8]:
    """Read an image file, turned upright by its EXIF orientation.

    Args:
        path: any format that OpenCV reads and whose header tells its size.
        max_megapixels: a larger image is refused before it is decoded.

    Returns:
        uint8 RGB (H, W, 3) in 0..255.

    Raises:
        ImageError: not a file, empty, of no known format, too large, or damaged.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}", "give the path of an image file") from error
    if not data:
        raise ImageError(f"{path} is empty (0 bytes)", "it may have been cut off while it was copied: copy it again")
    width, height = header_size(path)
    if width * height > max_megapixels * 1e6:
        raise ImageError(
            f"{path} is {width}x{height} pixels, over the limit of {max_megapixels:g} megapixels",
            "scale it down, or raise the limit",
        )
    pixels = None
    if width > 0 and height > 0:
        level = cv2.utils.logging.setLogLevel(0)  # what OpenCV prints of a damaged file, our error says better
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            pixels = None
        finally:
            cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise ImageError(f"{path} is damaged, or not an image", "open it in an image viewer; save it as PNG or JPEG")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def header_size(path: Path) -> tuple[int, int]:
    """(width, height) by the file's header; (-1, -1) where the format is unknown or the header is damaged."""
    try:
        width, height = imagesize.get(str(path))
        return int(width), int(height)
    except (ValueError, OverflowError, OSError, IndexError):
        return -1, -1


def find_images(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders, by name; hidden files and folders are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
