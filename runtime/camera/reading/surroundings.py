"""Looks at what is round a shape: ink has one ground on all sides, which an edge or a gap between fingers has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from runtime.camera.frame import Picture
from runtime.camera.reading.cut import Candidate
from runtime.camera.reading.light import HAZE
from runtime.camera.reading.normalize import RASTER, Floats, in_column

INK = 110  # of 255, from which a pixel is ink
LEAST_INK = 6  # pixels of ink without its rim, with which that is looked at instead of all of it
NEAR = np.ones((3, 3), np.uint8)  # what is as near to the ink may be its soft edge
FAR = np.ones((9, 9), np.uint8)  # what is as near to that is the ink's ground
SHALLOWEST = 0.03  # of the logarithm of light, the depth of ink
ROUND = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
LOG = np.log(np.maximum(np.arange(256, dtype=np.float32), HAZE))


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


def look_around(frame: Picture, candidates: Sequence[Candidate]) -> Surroundings:
    """Measure what is round candidates.

    Args:
        frame: that they were cut out of, uint8 (H, W, 3) BGR, or (H, W).
        candidates: N of them.
    """
    count = len(candidates)
    # All in one column, so that each step is one call: what is looked at of one does not reach the next.
    inks = np.stack([candidate.ink for candidate in candidates])
    grays = np.stack([candidate.square.gray for candidate in candidates])
    limit = np.minimum(INK, inks.max((1, 2)) // 2)
    mask = in_column((inks > limit[:, None, None]).astype(np.uint8))
    inner, near = cv2.erode(mask, ROUND), cv2.dilate(mask, NEAR)
    ground = weights(cv2.dilate(near, FAR) - near, count)
    whole, core = weights(mask, count), weights(inner, count)
    rim = whole - core
    thin = core.sum(1) < LEAST_INK
    core[thin] = whole[thin]

    light = np.asarray(cv2.LUT(in_column(grays), LOG), np.float32).reshape(count, -1)
    light *= np.array([-1 if candidate.light_ink else 1 for candidate in candidates], np.float32)[:, None]
    of_ink = mean(light, core)
    depth = np.maximum(mean(light, ground) - of_ink, SHALLOWEST)
    light -= of_ink[:, None]
    light /= depth[:, None]
    lit = light * ground
    spread = np.einsum("np,np->n", lit, light) / np.maximum(ground.sum(1), 1) - mean(light, ground) ** 2
    return Surroundings(
        uneven=np.sqrt(np.maximum(spread, 0)),
        like_ink=mean((light < 0.5).astype(np.float32), ground),
        rim=mean(light, rim),
        color=colors(frame, candidates, core),
    )


def colors(frame: Picture, candidates: Sequence[Candidate], core: Floats) -> Floats:
    """Of the ink, as in `Surroundings`.

    Args:
        frame: uint8 (H, W, 3) BGR, or (H, W).
        candidates: N on it.
        core: 1 where their ink is, float32 (N, pixels).
    """
    count = len(candidates)
    if frame.ndim == 2:
        return np.full((count, 2), 128, np.float32)
    number, place = np.nonzero(core)
    square = np.array([(c.square.left, c.square.top, c.square.step) for c in candidates])[number]
    row, column = np.divmod(place, RASTER)
    x = np.rint(square[:, 0] + (column + 0.5) * square[:, 2] - 0.5).astype(int).clip(0, frame.shape[1] - 1)
    y = np.rint(square[:, 1] + (row + 0.5) * square[:, 2] - 0.5).astype(int).clip(0, frame.shape[0] - 1)
    pixels = np.bincount(number, minlength=count)
    seen = frame[y, x].astype(np.float32)
    total = np.stack([np.bincount(number, channel, count) for channel in seen.T], 1)
    color = total / np.maximum(pixels, 1)[:, None]
    lab = cv2.cvtColor(np.rint(color).astype(np.uint8)[:, None], cv2.COLOR_BGR2LAB)[:, 0, 1:]
    return np.asarray(lab, np.float32)


def weights(column: cv2.typing.MatLike, count: int) -> Floats:
    """Pixels of N shapes in a column, 0 or 1: float32 (N, pixels)."""
    return np.asarray(column).reshape(count, -1).astype(np.float32)


def mean(values: Floats, weights: Floats) -> Floats:
    """Of each shape's pixels, (N, pixels): float32 (N,)."""
    result: Floats = np.einsum("np,np->n", values, weights) / np.maximum(weights.sum(1), 1)
    return result
