"""Cuts shapes out of the frame, as the model wants to see them, with every way in which one might be several digits."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.find import Shape
from runtime.camera.reading.light import HAZE, contrast_of, reduce
from runtime.camera.reading.normalize import to_mnist
from runtime.preprocess import as_image

SMALLEST = 13  # pixels of the frame, the height of a digit
NARROWEST, WIDEST = 0.04, 2.6  # width over height
SPLIT_FROM = 0.9  # width over height: what is as wide may be two digits
SMALLEST_PART = 0.05  # of the box of a shape, that a part has to be no mere scrap of its stroke
NARROWEST_PART, WIDEST_PART = 0.35, 1.2  # width over height of the whole, of each of them
LOWEST_PART = 0.5  # of the height of the whole
REACH = 0.25  # of a part's width, how far from an even cut a better one is sought
MOST_CUT = 0.22  # of the height, the ink that a cut may meet
ENOUGH = 26  # pixels along the longer side, with which a level shows a digit as well as the frame itself
FAINTEST = 30  # contrast of ink
LOST = 0.65  # of the box of a shape, that its strongest ink has at least
ABOUT = np.ones((3, 3), np.uint8)  # its soft edge is part of the ink
INK = 100  # of 255, the strongest ink, from which a pixel counts when a shape is measured


@dataclass(eq=False)
class Candidate:
    """What may be a digit.

    Attributes:
        box: about its ink, in pixels of the frame.
        image: uint8 (28, 28), as MNIST has its digits.
        strength: contrast of its ink, 0..255.
        light_ink: whether that is lighter than its ground.
        shape: that it was cut out of; None where it was cut off from others that it touches.
        ink: uint8 (H, W), of that shape.
        parts: ways to see several digits in it instead, once it was taken apart.
    """

    box: Box
    image: Picture
    strength: float
    light_ink: bool
    shape: Shape | None = None
    ink: Picture | None = None
    parts: list[list[Candidate]] = field(default_factory=list)

    @property
    def joined(self) -> bool:
        """Whether it was put together of pieces."""
        return self.shape is not None and self.shape.joined

    @property
    def severed(self) -> bool:
        """Whether it was cut off from others that it touches."""
        return self.shape is None


def cut_out(frame: Picture, shape: Shape) -> list[Candidate]:
    """The candidate that a shape makes; or, where it is none, those that lie within it."""
    _, _, width, height = shape.box
    cut = None
    if height <= shape.level.heights[1] and NARROWEST < width / height < WIDEST:
        cut = ink_of(frame, shape)
    if cut is None or lost_some(cut[1], shape):
        within = [candidate for part in shape.within for candidate in cut_out(frame, part)]
        if cut is None or within:
            return within
    ink, box, strength = cut
    return [Candidate(box, to_mnist(ink), strength, shape.level.light_ink, shape, ink)]


def lost_some(box: Box, shape: Shape) -> bool:
    """Whether the strongest ink of a shape, with that box in pixels of the frame, is but a part of it."""
    _, _, width, height = shape.box
    return box[2] * box[3] < LOST * width * height * shape.level.reduction**2


def take_apart(frame: Picture, whole: Candidate) -> None:
    """Find the parts of a candidate, and theirs."""
    if whole.shape is None or whole.ink is None:
        return
    least = SMALLEST_PART * whole.box[2] * whole.box[3]
    within = [candidate for part in whole.shape.within for candidate in cut_out(frame, part)]
    within = [part for part in within if part.box[2] * part.box[3] > least]
    for part in within:
        take_apart(frame, part)
    if within:
        whole.parts.append(within)
    if whole.box[2] > SPLIT_FROM * whole.box[3]:
        whole.parts += splits(whole, whole.ink)


def ink_of(frame: Picture, shape: Shape) -> tuple[Picture, Box, float] | None:
    """The ink of a shape, uint8 (H, W), 255 where it is strongest; its box, in pixels of the frame; its contrast."""
    level, (x, y, width, height) = shape.level, shape.box
    left, top = max(0, x - 2), max(0, y - 2)
    right, bottom = min(level.ground.shape[1], x + width + 2), min(level.ground.shape[0], y + height + 2)
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.drawContours(mask, shape.contours, -1, 255, cv2.FILLED, offset=(-left, -top))
    mask = as_image(cv2.dilate(mask, ABOUT))
    contrast, times = level.contrast[top:bottom, left:right], 1
    if max(width, height) < ENOUGH and level.reduction > 1:
        times = level.reduction
        part = frame[top * times : bottom * times, left * times : right * times]
        size = (part.shape[1], part.shape[0])
        gray = as_image(cv2.convertScaleAbs(reduce(part, 1), beta=HAZE))
        ground = as_image(cv2.resize(level.ground[top:bottom, left:right], size, interpolation=cv2.INTER_LINEAR))
        contrast = contrast_of(gray, ground, level.light_ink)
        mask = as_image(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    ink = cv2.bitwise_and(contrast, mask)
    mean, deviation = cv2.meanStdDev(ink, mask=cv2.threshold(ink, FAINTEST, 255, cv2.THRESH_BINARY)[1])
    strongest = float(mean[0, 0] + deviation[0, 0])
    if strongest < FAINTEST or strongest < shape.threshold:
        return None
    floor = max(0.25 * strongest, 0.7 * shape.threshold)
    scale = 255 / (strongest - floor)
    ink = as_image(cv2.addWeighted(ink, scale, ink, 0, -floor * scale))
    x, y, width, height = cv2.boundingRect(cv2.threshold(ink, INK, 255, cv2.THRESH_BINARY)[1])
    scale = level.reduction // times
    if height * scale < SMALLEST:
        return None
    box = ((left * times + x) * scale, (top * times + y) * scale, width * scale, height * scale)
    return ink[y : y + height, x : x + width], box, strongest


def splits(whole: Candidate, ink: Picture) -> list[list[Candidate]]:
    """Ways to cut a wide shape into two or three digits beside each other, where a cut meets least ink.

    Args:
        whole: the shape.
        ink: of it, uint8 (H, W), cut out along its bounds.
    """
    box = whole.box
    height, width = ink.shape
    scale = box[3] // height
    columns = cv2.reduce(ink, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)[0]
    ways = []
    for count in (2, 3):
        share = width / count
        if not NARROWEST_PART < share / height < WIDEST_PART:
            continue
        cuts = [0]
        for number in range(1, count):
            first, last = max(1, round((number - REACH) * share)), round((number + REACH) * share)
            cuts.append(first + int(columns[first : last + 1].argmin()))
        if max(columns[cut] for cut in cuts[1:]) > 255 * MOST_CUT * height:
            continue
        way = []
        for left, right in pairwise((*cuts, width)):
            piece = ink[:, left:right]
            x, y, wide, high = cv2.boundingRect(cv2.threshold(piece, INK, 255, cv2.THRESH_BINARY)[1])
            if high * scale < SMALLEST or high < LOWEST_PART * height:
                break
            place = (box[0] + (left + x) * scale, box[1] + y * scale, wide * scale, high * scale)
            image = to_mnist(piece[y : y + high, x : x + wide])
            way.append(Candidate(place, image, whole.strength, whole.light_ink))
        else:
            ways.append(way)
    return ways
