"""Looks at what is round a shape: ink has one ground on all sides, which an edge or a gap between fingers has not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.light import HAZE
from runtime.camera.reading.normalize import BOX
from runtime.preprocess import as_image

Floats = NDArray[np.float32]

SIDE = BOX + 8  # pixels of what is looked at, in which the shape has the size that the model sees
INK = 110  # of 255, from which a pixel is ink
LEAST_INK = 6  # pixels of ink without its rim, with which that is looked at instead of all of it
NEAR, FAR = 1, 4  # pixels from the ink between which its ground lies
SHALLOWEST = 0.03  # of the logarithm of light, the depth of ink
ROUND = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
LOG = np.log(np.arange(256, dtype=np.float32) + HAZE)


@dataclass(frozen=True)
class Surroundings:
    """Of N shapes. Lightness is 0 as the shape's ink has it, and 1 as its ground.

    Attributes:
        uneven: standard deviation of the ground's lightness, float32 (N,).
        like_ink: share of the ground that is nearer to the ink, float32 (N,).
        rim: lightness of the outermost pixels of the ink, float32 (N,).
        color: a and b of the ink in CIE L*a*b*, float32 (N, 2).
    """

    uneven: Floats
    like_ink: Floats
    rim: Floats
    color: Floats


def look_around(
    frame: Picture, boxes: Sequence[Box], images: Sequence[Picture], light_ink: Sequence[bool]
) -> Surroundings:
    """Measure what is round shapes.

    Args:
        frame: uint8 (H, W, 3) BGR, or (H, W).
        boxes: of N shapes, in pixels of the frame.
        images: of each as the model sees it, uint8 (28, 28).
        light_ink: of each, whether it is lighter than its ground.
    """
    count = len(boxes)
    pictures = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    inks = np.zeros((count, SIDE, SIDE), np.uint8)
    for picture, ink, box, image in zip(pictures, inks, boxes, images, strict=True):
        picture[:] = cut_about(frame, box)
        x, y, width, height = cv2.boundingRect(image)
        left, top = (SIDE - width) // 2, (SIDE - height) // 2
        ink[top : top + height, left : left + width] = image[y : y + height, x : x + width]
    # All in one column, so that each step is one call: what is looked at of one does not reach the next.
    column = (count * SIDE, SIDE)
    limit = np.minimum(INK, inks.max((1, 2)) // 2)
    mask = (inks > limit[:, None, None]).astype(np.uint8).reshape(column)
    inner, near = cv2.erode(mask, ROUND), cv2.dilate(mask, ROUND, iterations=NEAR)
    ground = weights(cv2.dilate(near, ROUND, iterations=FAR - NEAR) - near, count)
    whole, core = weights(mask, count), weights(inner, count)
    rim = whole - core
    thin = core.sum(1) < LEAST_INK
    core[thin] = whole[thin]

    gray = cv2.cvtColor(pictures.reshape(*column, 3), cv2.COLOR_BGR2GRAY)
    light = np.asarray(cv2.LUT(gray, LOG), np.float32).reshape(count, -1)
    light *= np.where(np.asarray(light_ink, bool), -1, 1).astype(np.float32)[:, None]
    of_ink = mean(light, core)
    depth = np.maximum(mean(light, ground) - of_ink, SHALLOWEST)
    light = (light - of_ink[:, None]) / depth[:, None]
    spread = mean(light * light, ground) - mean(light, ground) ** 2
    color = (core[:, None] @ pictures.reshape(count, -1, 3).astype(np.float32))[:, 0] / core.sum(1, keepdims=True)
    lab = cv2.cvtColor(np.rint(color).astype(np.uint8)[:, None], cv2.COLOR_BGR2LAB)[:, 0, 1:].astype(np.float32)
    return Surroundings(
        uneven=np.sqrt(np.maximum(spread, 0)),
        like_ink=mean((light < 0.5).astype(np.float32), ground),
        rim=mean(light, rim),
        color=lab,
    )


def weights(column: cv2.typing.MatLike, count: int) -> Floats:
    """Pixels of N shapes in a column, 0 or 1: float32 (N, pixels)."""
    return np.asarray(column).reshape(count, -1).astype(np.float32)


def mean(values: Floats, weights: Floats) -> Floats:
    """Of each shape's pixels, (N, pixels): float32 (N,)."""
    result: Floats = np.einsum("np,np->n", values, weights) / np.maximum(weights.sum(1), 1)
    return result


def cut_about(frame: Picture, box: Box) -> Picture:
    """A box and what is round it, uint8 (`SIDE`, `SIDE`, 3): the last pixels are repeated where the frame ends."""
    x, y, width, height = box
    step = max(width, height) / BOX  # pixels of the frame
    left, top = x + width / 2 - SIDE / 2 * step, y + height / 2 - SIDE / 2 * step
    times = max(1, int(step))
    columns, rows = (
        slice(start, start + max(1, min(math.ceil((SIDE + 1) * step), length - start) // times) * times)
        for start, length in ((max(0, math.floor(left)), frame.shape[1]), (max(0, math.floor(top)), frame.shape[0]))
    )
    part = frame[rows, columns]
    if times > 1:
        part = as_image(
            cv2.resize(part, (part.shape[1] // times, part.shape[0] // times), interpolation=cv2.INTER_AREA)
        )
    matrix = np.array(
        [
            [step / times, 0, (left - columns.start + step / 2) / times - 0.5],
            [0, step / times, (top - rows.start + step / 2) / times - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    small = cv2.warpAffine(part, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return as_image(small if small.ndim == 3 else cv2.cvtColor(small, cv2.COLOR_GRAY2BGR))
