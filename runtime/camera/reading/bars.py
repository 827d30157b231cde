"""Tells a 1 from the edges, legs and rules that look like one: nothing but ground is round a 1.

The edge of a sheet or of a shadow is dark on one side; the leg of a letter and the side of a frame go on at an end.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.light import reduce
from runtime.camera.reading.normalize import BOX

SLENDER = 0.1  # the smaller over the larger variance along the axes of a shape: more is no bar
MARGIN = 0.07  # of its length that a bar is away from what is round it
AS_INK = 0.5  # of its contrast, from which something round it is ink
MOST_INK = 0.33  # of each side, and of what is beyond each end
ROWS, MORE = 9, 3  # steps along a bar, and beyond each end
ASIDE = 2  # columns from its middle to what is beside it


def is_bar(image: Picture) -> bool:
    """Whether a shape, uint8 (28, 28), light on dark, is one straight stroke."""
    mass = cv2.moments(image)
    if not mass["m00"]:
        return False
    total, spread = mass["mu20"] + mass["mu02"], math.hypot(mass["mu20"] - mass["mu02"], 2 * mass["mu11"])
    return total - spread < SLENDER * (total + spread)


def stands_alone(frame: Picture, box: Box, image: Picture) -> bool:
    """Whether a bar has ground round it, on all sides.

    Args:
        frame: uint8 (H, W, 3) BGR, or (H, W).
        box: of the bar, in pixels of the frame.
        image: the bar as the model sees it, uint8 (28, 28).
    """
    room = max(box[2], box[3]) // 4 + 3
    left, top = max(0, box[0] - room), max(0, box[1] - room)
    gray = reduce(frame[top : box[1] + box[3] + room, left : box[0] + box[2] + room], 1)
    mass = cv2.moments(image)
    total, across, along = mass["mu20"] + mass["mu02"], mass["mu20"] - mass["mu02"], 2 * mass["mu11"]
    spread = math.hypot(across, along)
    scale = max(box[2], box[3]) / BOX / math.sqrt(mass["m00"])
    thickness, length = scale * math.sqrt(max(6 * (total - spread), 0)), scale * math.sqrt(6 * (total + spread))
    x, y, width, height = cv2.boundingRect(image)
    middle_x = box[0] - left + (mass["m10"] / mass["m00"] + 0.5 - x) / width * box[2]
    middle_y = box[1] - top + (mass["m01"] / mass["m00"] + 0.5 - y) / height * box[3]

    # The bar upright and small, with as much round it: a row for each step along it, a column for each margin across.
    margin = max(2.0, MARGIN * length)
    wide, high = (thickness / 2 + margin) / ASIDE, length / ROWS
    angle = 0.5 * math.atan2(along, across)
    cos, sin = math.cos(angle), math.sin(angle)
    beyond = margin / high
    middle_row = ROWS / 2 + MORE - 0.5
    matrix = np.array(
        [
            [-sin * wide, cos * high, middle_x - 0.5 + sin * wide * ASIDE * 2 - cos * high * middle_row],
            [cos * wide, sin * high, middle_y - 0.5 - cos * wide * ASIDE * 2 - sin * high * middle_row],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (4 * ASIDE + 1, ROWS + 2 * MORE)
    upright = cv2.warpAffine(gray, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE).astype(np.float64)
    ink, one, other = (upright[MORE:-MORE, 2 * ASIDE + side] for side in (0, -ASIDE, ASIDE))
    if one.sum() + other.sum() < 2 * ink.sum():
        upright, ink, one, other = -upright, -ink, -one, -other
    ground = np.maximum(one, other)  # at each step, so that the edge of a shadow may cross the bar
    depth = np.maximum(ground - ink, 1)
    parts = [(side - ink) / depth for side in (one, other)]
    for row, tip in ((MORE - 1 - round(beyond), 0), (ROWS + MORE + round(beyond), -1)):
        parts.append((upright[min(max(row, 0), len(upright) - 1)] - ink[tip]) / depth[tip])
    return all(np.count_nonzero(part < 1 - AS_INK) <= MOST_INK * len(part) for part in parts)
