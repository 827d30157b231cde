"""MNIST's own normalisation: 20 pixels for the longer side, grey levels kept, the mass in the middle of 28."""

from __future__ import annotations

import cv2
import numpy as np

from runtime.camera.frame import Picture
from runtime.preprocess import as_image

SIDE = 28
BOX = 20
CENTER = 14  # the pixel, counted from 0, on which MNIST has the centre of mass: half a pixel off the middle


def to_mnist(ink: Picture) -> Picture:
    """A light shape on dark, cut out along its bounds, as MNIST has its digits.

    Args:
        ink: uint8 (H, W), not empty.

    Returns:
        uint8 (28, 28).
    """
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
