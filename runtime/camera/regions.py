"""The part of a frame that is read."""

from __future__ import annotations

from dataclasses import replace

from runtime.camera.frame import Box, Picture, Reading
from runtime.errors import InputError


def within(region: Box, image: Picture) -> Box | None:
    """What of a region lies within a picture; None where nothing does."""
    height, width = image.shape[0], image.shape[1]
    left, top = max(0, region[0]), max(0, region[1])
    right, bottom = min(width, region[0] + region[2]), min(height, region[1] + region[3])
    return (left, top, right - left, bottom - top) if left < right and top < bottom else None


def outside(region: Box, image: Picture) -> InputError:
    """The error that nothing of it does."""
    height, width = image.shape[0], image.shape[1]
    return InputError(
        f"the region {','.join(map(str, region))} lies outside of the frame, which is {width}x{height}",
        "give X,Y,WIDTH,HEIGHT in pixels of the frame",
    )


def crop(image: Picture, region: Box | None) -> Picture:
    """That part of a picture, not copied."""
    if region is None:
        return image
    x, y, width, height = region
    return image[y : y + height, x : x + width]


def shifted(reading: Reading, region: Box | None) -> Reading:
    """A reading of a region, in pixels of the whole frame."""
    if region is None:
        return reading
    left, top = region[:2]
    return Reading(
        tuple(replace(digit, box=moved(digit.box, left, top)) for digit in reading.digits),
        tuple(moved(box, left, top) for box in reading.refused),
        reading.recalled,
    )


def moved(box: Box, right: int, down: int) -> Box:
    """A box so many pixels further right and down."""
    return box[0] + right, box[1] + down, box[2], box[3]
