"""Copies of pictures with the answer written on them."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.classification import Classified, ImageInput, pixels_of
from runtime.errors import ImageError
from runtime.folder import write_atomically
from toolkit.console import printable

WRITTEN = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})  # others become PNG
SMALLEST_SIDE = 160  # a smaller picture is enlarged, so that there is room for words
FONT = cv2.FONT_HERSHEY_SIMPLEX
DARK, LIGHT, RED = (30, 30, 30), (255, 255, 255), (90, 90, 255)  # BGR


def save_annotated(image: ImageInput, result: Classified, folder: Path, max_megapixels: float) -> Path:
    """Write a copy of a picture, upright, with a bar under it that says what it is.

    Args:
        image: what was answered; it is decoded again.
        result: the answer.
        folder: gets the copy at the path that the picture was given by, without `..` and a root.
        max_megapixels: as for reading.

    Raises:
        ImageError: it cannot be read any more, or not be written as an image.
        OSError: it cannot be written.
    """
    path = place_in(folder, result.image)
    pixels = annotate(pixels_of(image, result.image, max_megapixels), result)
    done, data = cv2.imencode(path.suffix, np.ascontiguousarray(pixels))
    if not done:
        raise ImageError(f"{result.image} cannot be written as {path.suffix}", "leave --save out")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data.tobytes())
    return path


def place_in(folder: Path, image: str) -> Path:
    """A path in a folder, whatever an image is called."""
    parts = [part.replace("\0", "") for part in PurePath(os.path.normpath("/" + image)).parts[1:]] or ["image"]
    path = folder.joinpath(*parts)
    return path if path.suffix.lower() in WRITTEN else path.with_name(f"{path.name}.png")


def annotate(image: NDArray[np.uint8], result: Classified) -> NDArray[np.uint8]:
    """A picture, RGB or grey, with its answers in a bar beneath: BGR (H', W', 3)."""
    pixels = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR))
    factor = -(-SMALLEST_SIDE // min(pixels.shape[:2]))
    if factor > 1:
        pixels = np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST))
    height, width = pixels.shape[:2]
    lines = [f"{ascii_text(answer.label)} {100 * answer.probability:.1f} %" for answer in result.top]
    lines += ["refused"] if result.refused else []
    tall = max(14, round(min(height, width) / 16))
    bar = np.full((tall * len(lines) + tall // 2, width, 3), DARK, np.uint8)
    for number, line in enumerate(lines):
        scale = tall / 32
        (wide, _), _ = cv2.getTextSize(line, FONT, scale, 1)
        scale *= min(1.0, (width - tall) / max(wide, 1))
        place = (tall // 2, tall * (number + 1))
        color = RED if result.refused else LIGHT
        cv2.putText(bar, line, place, FONT, scale, color, max(1, round(scale * 1.5)), cv2.LINE_AA)
    return np.concatenate([pixels, bar])


def ascii_text(text: str) -> str:
    """Text that OpenCV's fonts can write; they have no other letters than ASCII's."""
    return printable(text).encode("ascii", "replace").decode()
