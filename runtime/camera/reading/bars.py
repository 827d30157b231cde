"""Tells a 1 from the edges, legs and rules that look like one: nothing but ground is round a 1.

The edge of a sheet or of a shadow is dark on one side; the leg of a letter and the side of a frame go on at an end.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.light import reduce
from runtime.preprocess import as_image

SLENDER = 0.1  # the smaller over the larger variance along the axes of a shape: more is no bar
MARGIN = 0.07  # of its length that a bar is away from what is round it
AS_INK = 0.5  # of its contrast, from which something round it is ink
MOST_INK = 0.33  # of each side, and of what is beyond each end
STEPS = np.linspace(-0.5, 0.5, 9)


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
    gray = as_image(cv2.blur(gray, (3, 3)))
    mass = cv2.moments(image)
    scale = max(box[2], box[3]) / 20 / math.sqrt(mass["m00"])
    across, along = mass["mu20"] - mass["mu02"], 2 * mass["mu11"]
    angle = 0.5 * math.atan2(along, across)
    spread = math.hypot(across, along)
    thickness = scale * math.sqrt(max(6 * (mass["mu20"] + mass["mu02"] - spread), 0))
    length = scale * math.sqrt(6 * (mass["mu20"] + mass["mu02"] + spread))
    axis, normal = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    x, y, width, height = cv2.boundingRect(image)
    middle = np.array(
        [
            box[0] - left + (mass["m10"] / mass["m00"] + 0.5 - x) / width * box[2],
            box[1] - top + (mass["m01"] / mass["m00"] + 0.5 - y) / height * box[3],
        ]
    )
    margin = max(2.0, MARGIN * length)
    along_it = [middle + step * length * axis for step in STEPS]
    aside = (thickness / 2 + margin) * normal
    ink, one, other = (look(gray, [place + side * aside for place in along_it]) for side in (0, -1, 1))
    sign = 1 if np.median(np.maximum(one, other)) > np.median(ink) else -1
    ink, one, other = sign * ink, sign * one, sign * other
    ground = np.maximum(one, other)  # at each step, so that the edge of a shadow may cross the bar
    depth = np.maximum(ground - ink, 1)
    parts = [(side - ink) / depth for side in (one, other)]
    for end in (0, -1):
        tip = along_it[end] + np.sign(STEPS[end]) * margin * axis
        beyond = sign * look(gray, [tip + step * 2 * aside for step in STEPS[::2]])
        parts.append((beyond - ink[end]) / depth[end])
    return all((part < 1 - AS_INK).mean() <= MOST_INK for part in parts)


def look(gray: Picture, places: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Grey levels at places (x, y), those outside at the border."""
    x, y = np.rint(np.array(places)).astype(int).T
    return np.asarray(gray[np.clip(y, 0, gray.shape[0] - 1), np.clip(x, 0, gray.shape[1] - 1)], np.float64)
