"""Geometry on uint8 images, as `Preprocess.steps` describes it. Arithmetic is in the graph, not here."""

from __future__ import annotations

from functools import singledispatch
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, InputError
from runtime.spec import CenterCrop, ModelSpec, Pad, PadToSquare, Polarity, Preprocess, Resize, Step

Image: TypeAlias = NDArray[np.uint8]

MAX_PIXELS = 100_000_000  # of what one step makes
INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "bicubic": cv2.INTER_CUBIC,
}


def apply(preprocess: Preprocess, image: Image) -> Image:
    """Bring an image to the model's size.

    Args:
        preprocess: the description.
        image: uint8, (H, W) grey or (H, W, 3) RGB, in 0..255.

    Returns:
        uint8, (H', W', C), a fresh array or a view of `image`, C contiguous.

    Raises:
        InputError: the image is no array, or has another dtype or shape.
        ImageError: the image is too small for a crop, or so narrow that a step would make it huge.
    """
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or (image.ndim == 3 and image.shape[2] != 3)
        or not image.size
    ):
        raise InputError(
            f"an image must be uint8, (H, W) or (H, W, 3), not empty; got {describe(image)}",
            "convert it: uint8 in 0..255, grey or RGB; read_image reads a file",
        )
    pixels = to_color(image, preprocess.color)
    for step in preprocess.steps:
        pixels = run_step(step, pixels)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.ascontiguousarray(pixels)


def describe(value: object) -> str:
    """An array by its dtype and shape, anything else by its type."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def image_for(spec: ModelSpec, image: Image) -> Image:
    """`apply`, checked against the size that the model takes.

    Returns:
        uint8, `spec.image_shape`.
    """
    pixels = apply(spec.preprocess, image)
    if pixels.shape != spec.image_shape:
        raise InputError(
            f"preprocessing gives {pixels.shape} from an image of {image.shape}, "
            f"but {spec.name} takes {spec.image_shape}",
            "end the steps with a resize or a crop to the model's size",
        )
    return pixels


def to_color(image: Image, color: str) -> Image:
    """Grey (H, W) or RGB (H, W, 3) in; grey (H, W), RGB or BGR (H, W, 3) out."""
    if color == "gray":
        return image if image.ndim == 2 else as_image(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    if image.ndim == 2:
        return as_image(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB))
    return image if color == "rgb" else as_image(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


@singledispatch
def run_step(step: Step, pixels: Image) -> Image:
    """One step on (H, W) or (H, W, 3)."""
    raise TypeError(f"no such step: {step}")


@run_step.register
def _(step: Resize, pixels: Image) -> Image:
    height, width = pixels.shape[:2]
    new_height, new_width = step.height, step.width
    if step.mode == "shorter":
        scale = max(step.height / height, step.width / width)
        new_height, new_width = max(step.height, round(height * scale)), max(step.width, round(width * scale))
    if (new_height, new_width) == (height, width):
        return pixels
    require_room(pixels, new_height, new_width)
    interpolation = INTERPOLATION[step.interpolation]
    if step.interpolation == "area" and (new_height > height or new_width > width):
        interpolation = cv2.INTER_LINEAR  # OpenCV's area enlarges in blocks
    return as_image(cv2.resize(pixels, (new_width, new_height), interpolation=interpolation))


@run_step.register
def _(step: CenterCrop, pixels: Image) -> Image:
    height, width = pixels.shape[:2]
    if height < step.height or width < step.width:
        raise ImageError(
            f"an image of {height}x{width} is too small for a crop of {step.height}x{step.width}",
            "put a resize before the crop",
        )
    top, left = (height - step.height) // 2, (width - step.width) // 2
    return pixels[top : top + step.height, left : left + step.width]


@run_step.register
def _(step: Pad, pixels: Image) -> Image:
    return pad(pixels, step.top, step.bottom, step.left, step.right, step.fill)


@run_step.register
def _(step: PadToSquare, pixels: Image) -> Image:
    height, width = pixels.shape[:2]
    if height == width:
        return pixels
    require_room(pixels, max(height, width), max(height, width))
    tall, wide = max(0, width - height), max(0, height - width)
    return pad(pixels, tall // 2, tall - tall // 2, wide // 2, wide - wide // 2, step.fill)


@run_step.register
def _(step: Polarity, pixels: Image) -> Image:
    if step.mode == "keep":
        return pixels
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]], axis=None)
    border.sort()
    background = int(border[len(border) // 2])
    if 2 * background > int(pixels.min()) + int(pixels.max()):
        pixels, background = 255 - pixels, 255 - background
    return pixels if background == 0 else stretch(pixels, background)


def require_room(pixels: Image, height: int, width: int) -> None:
    """Refuse to blow up a line: a file of some bytes with 1x60000 pixels, made a square, takes gigabytes."""
    if height * width > max(MAX_PIXELS, 4 * pixels.shape[0] * pixels.shape[1]):
        raise ImageError(
            f"an image of {pixels.shape[0]}x{pixels.shape[1]} would become {height}x{width}, which is too large",
            "crop it to a shape nearer to a square",
        )


def stretch(pixels: Image, background: int) -> Image:
    """Map background..255 to 0..255; what is darker becomes 0."""
    levels = np.clip((np.arange(256) - background) * 255 / max(255 - background, 1), 0, 255)
    return np.asarray(np.rint(levels).astype(np.uint8)[pixels])


def pad(pixels: Image, top: int, bottom: int, left: int, right: int, fill: int) -> Image:
    """A margin of `fill` round (H, W) or (H, W, 3)."""
    out = np.full((pixels.shape[0] + top + bottom, pixels.shape[1] + left + right, *pixels.shape[2:]), fill, np.uint8)
    out[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return out


def as_image(pixels: np.ndarray) -> Image:
    """OpenCV keeps uint8 as uint8; its annotations do not say so."""
    return np.asarray(pixels, np.uint8)
