"""Bars of shadow, as a blind or a window's frame casts them, and of light between them.

Where they are narrower than the square that takes ink away, they are taken for ink, in one piece with what is written
across them. No stroke of a digit that is looked for at the same size is as thick, as long and as straight.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.preprocess import as_image

# One after the other, they are as good as a disc of seven pixels: what is thinner is ink.
DISC = (np.ones((5, 5), np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
STRENGTH = 0.8  # of the faintest ink: over a whole disc, noise has less
LONG = 45  # of two pixels of a level each
LONGER = 1.5  # than the highest digit, corner to corner: it may have a straight stroke, too
DIRECTIONS = 12
EDGE = np.ones((5, 5), np.uint8)  # pixels of a level: a bar's soft edge is part of it


def find_bars(contrast: Picture, faintest: float, highest: float) -> NDArray[np.bool_] | None:
    """Where bars are: (H, W); None where none is found.

    Args:
        contrast: of ink, or of bars, uint8 (H, W).
        faintest: from which ink stands out of noise.
        highest: pixels, of digits that are looked for.
    """
    rows, columns = contrast.shape
    core = as_image(cv2.threshold(erode(contrast), STRENGTH * faintest, 255, cv2.THRESH_BINARY)[1])
    if cv2.countNonZero(core) < LONG:  # as in most frames
        return None
    size = (max(1, columns // 2), max(1, rows // 2))
    half = cv2.resize(dilate(core), size, interpolation=cv2.INTER_AREA)
    thick = cv2.threshold(half, 127, 255, cv2.THRESH_BINARY)[1]
    outlines = cv2.findContours(thick, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    least = max(LONG, LONGER * highest / 2)
    large = [outline for outline in outlines if math.hypot(*cv2.boundingRect(outline)[2:]) >= least]
    if not large:  # as in most others
        return None
    pieces = as_image(cv2.drawContours(np.zeros_like(thick), large, -1, 255, cv2.FILLED))
    x, y, width, height = cv2.boundingRect(pieces)
    about = (slice(max(0, y - LONG), y + height + LONG), slice(max(0, x - LONG), x + width + LONG))
    seen = cv2.bitwise_and(thick, pieces)[about]
    bars = np.zeros_like(pieces)
    found = bars[about]
    for line in LINES:
        middles = cv2.erode(seen, line, borderType=cv2.BORDER_REPLICATE)
        if cv2.countNonZero(middles):
            cv2.bitwise_or(found, cv2.dilate(middles, line, borderType=cv2.BORDER_REPLICATE), found)
    if not found.any():
        return None
    whole = cv2.resize(bars, (columns, rows), interpolation=cv2.INTER_NEAREST)
    return cv2.dilate(whole, EDGE) > 0


def ground_of(gray: Picture, light_ink: bool) -> Picture:
    """A picture without ink, which is darker or lighter than its ground, and thinner than bars."""
    return dilate(erode(gray)) if light_ink else erode(dilate(gray))


def erode(picture: Picture) -> Picture:
    """By a disc."""
    for part in DISC:
        picture = as_image(cv2.erode(picture, part))
    return picture


def dilate(picture: Picture) -> Picture:
    """By a disc."""
    for part in DISC:
        picture = as_image(cv2.dilate(picture, part))
    return picture


def line_of(angle: float) -> Picture:
    """A line of `LONG` pixels through the middle, 1 on 0, uint8, without empty rows and columns."""
    middle = LONG // 2
    across, down = round(middle * math.cos(angle)), round(middle * math.sin(angle))
    picture = np.zeros((LONG, LONG), np.uint8)
    cv2.line(picture, (middle - across, middle - down), (middle + across, middle + down), 1)
    x, y, width, height = cv2.boundingRect(picture)
    return as_image(picture[y : y + height, x : x + width])


LINES = [line_of(math.pi * number / DIRECTIONS) for number in range(DIRECTIONS)]
