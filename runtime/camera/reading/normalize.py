"""MNIST's own normalisation: 20 pixels for the longer side, grey levels kept, the mass in the middle of 28."""

from __future__ import annotations

import math

import cv2
import numpy as np

from runtime.camera.frame import Picture
from runtime.preprocess import as_image

SIDE = 28
BOX = 20
THINNEST, THICKEST = 2.2, 4.2  # of those 20 pixels, a stroke: nine of ten digits of MNIST are between
ROUND = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
INK = 100  # of 255, from which a pixel counts as ink
CENTER = 14  # the pixel, counted from 0, on which MNIST has the centre of mass: half a pixel off the middle


def to_mnist(ink: Picture) -> Picture:
    """A light shape on dark, cut out along its bounds, as MNIST has its digits.

    Args:
        ink: uint8 (H, W), not empty.

    Returns:
        uint8 (28, 28).
    """
    ink = even_strokes(ink)
    height, width = ink.shape
    scale = BOX / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = as_image(cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
    result = np.zeros((SIDE, SIDE), np.uint8)
    mass = cv2.moments(small)
    if mass["m00"] == 0:
        return result
    # The centre of mass may lie near an edge of the box, but nothing may be pushed out of the image.
    x = min(max(round(CENTER - mass["m10"] / mass["m00"]), 0), SIDE - size[0])
    y = min(max(round(CENTER - mass["m01"] / mass["m00"]), 0), SIDE - size[1])
    result[y : y + size[1], x : x + size[0]] = small
    return result


def even_strokes(ink: Picture) -> Picture:
    """Make strokes that are thinner or thicker than the model knows as thin or thick as the outermost of those.

    Args:
        ink: uint8 (H, W), cut out along its bounds.

    Returns:
        The same, cut out again.
    """
    mask = cv2.threshold(ink, INK, 255, cv2.THRESH_BINARY)[1]
    area = cv2.countNonZero(mask)
    edge = area - cv2.countNonZero(cv2.erode(mask, ROUND, borderType=cv2.BORDER_CONSTANT, borderValue=0))
    unit = max(ink.shape) / BOX
    thickness = 2 * area / max(edge, 1)  # a stroke has an edge on both sides
    missing = min(max(thickness, THINNEST * unit), THICKEST * unit) - thickness
    if not missing or not area:
        return ink
    room = math.ceil(abs(missing) / 2)
    change, grown = (cv2.dilate, room) if missing > 0 else (cv2.erode, -int(-missing / 2))
    height, width = ink.shape
    ink = as_image(cv2.copyMakeBorder(ink, room, room, room, room, cv2.BORDER_CONSTANT))
    for number in range(room):  # each changes a stroke by two pixels, the last one by a share of that
        share = min(abs(missing) / 2 - number, 1.0)
        ink = as_image(cv2.addWeighted(ink, 1 - share, change(ink, ROUND), share, 0))
    return ink[room - grown : room + height + grown, room - grown : room + width + grown]
