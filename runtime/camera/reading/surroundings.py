"""Looks at what is round a shape: ink has one ground on all sides, which an edge or a gap between fingers has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.reading.cut import Candidate
from runtime.camera.reading.light import HAZE
from runtime.camera.reading.normalize import PLACES, ROUND, Floats, in_column

INK = 110  # of 255, from which a pixel is ink
LEAST_INK = 6  # pixels of ink without its rim, with which that is looked at instead of all of it
NEAR = np.ones((3, 3), np.uint8)  # what is as near to the ink may be its soft edge
FAR = np.ones((9, 9), np.uint8)  # what is as near to that is the ink's ground
SHALLOWEST = 0.03  # of the logarithm of light, the depth of ink
LOG = np.log(np.maximum(np.arange(256, dtype=np.float32), HAZE))


@dataclass(frozen=True)
class Surroundings:
    """Of N shapes. Lightness is 0 as the shape's ink has it, and 1 as its ground.

    Attributes:
        uneven: standard deviation of the ground's lightness, float32 (N,).
        like_ink: share of the ground that is nearer to the ink, float32 (N,).
        color: a and b of the ink in CIE L*a*b*, float32 (N, 2).
        stroke: how thick its strokes are, in pixels of the frame, (N,).
    """

    uneven: Floats
    like_ink: Floats
    color: Floats
    stroke: NDArray[np.float64]


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
    whole = in_column((inks > limit[:, None, None]).view(np.uint8))
    core = np.asarray(cv2.erode(whole, ROUND)).reshape(count, -1)
    inner, area = np.count_nonzero(core, 1), np.count_nonzero(whole.reshape(count, -1), 1)
    thin = inner < LEAST_INK
    near = cv2.dilate(whole, NEAR)
    masks = np.empty((count, 2, core.shape[1]), np.float32)  # of the ground and the ink
    masks[:, 0] = cv2.subtract(cv2.dilate(near, FAR), near).reshape(count, -1)
    core[thin] = whole.reshape(count, -1)[thin]
    masks[:, 1] = core
    pixels = np.maximum(masks.sum(2), 1)

    light = np.asarray(cv2.LUT(in_column(grays), LOG), np.float32).reshape(count, -1)
    light *= np.array([-1 if candidate.light_ink else 1 for candidate in candidates], np.float32)[:, None]
    ground, ink = ((masks @ light[:, :, None])[:, :, 0] / pixels).T
    depth = np.maximum(ground - ink, SHALLOWEST)
    from_ground = (light - ground[:, None]) * masks[:, 0]
    nearer_ink = light < (ink + depth / 2)[:, None]
    return Surroundings(
        uneven=np.sqrt(np.einsum("np,np->n", from_ground, from_ground) / pixels[:, 0]) / depth,
        like_ink=np.einsum("np,np->n", masks[:, 0], nearer_ink) / pixels[:, 0],
        color=colors(frame, candidates, core.view(bool)),
        stroke=2 * area / np.maximum(area - inner, 1) * [candidate.square.step for candidate in candidates],
    )


def colors(frame: Picture, candidates: Sequence[Candidate], core: NDArray[np.bool_]) -> Floats:
    """Of the ink, as in `Surroundings`.

    Args:
        frame: uint8 (H, W, 3) BGR, or (H, W).
        candidates: N on it.
        core: where their ink is, (N, pixels); at least one pixel of each.
    """
    count = len(candidates)
    if frame.ndim == 2:
        return np.full((count, 2), 128, np.float32)
    rows, columns = frame.shape[:2]
    squares = np.array([(c.square.left, c.square.top, c.square.step) for c in candidates])[:, :, None]
    places = np.rint(squares[:, :2] + (PLACES + 0.5) * squares[:, 2:] - 0.5).astype(int)  # along x and y
    x, y = places[:, 0].clip(0, columns - 1), places[:, 1].clip(0, rows - 1)
    seen = frame.reshape(-1, 3).take((y[:, :, None] * columns + x[:, None]).reshape(count, -1)[core], 0)
    pixels = np.count_nonzero(core, 1)
    first = np.cumsum(pixels) - pixels
    total = np.add.reduceat(seen, first, 0, np.float32)
    color = total / np.maximum(pixels, 1)[:, None]
    lab = cv2.cvtColor(np.rint(color).astype(np.uint8)[:, None], cv2.COLOR_BGR2LAB)[:, 0, 1:]
    return np.asarray(lab, np.float32)
