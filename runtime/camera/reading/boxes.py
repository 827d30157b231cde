"""How boxes lie to each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.camera.frame import Box

SAME = 0.4  # intersection over union of two that are one
WITHIN = 0.7  # share of a box within another, from which it is that or a part of it


def same_place(one: Box, other: Box) -> bool:
    """Whether two boxes are about the same, or one lies within the other."""
    common = common_area(one, other)
    return common > WITHIN * min(one[2] * one[3], other[2] * other[3]) or overlap(one, other) > SAME


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    common = common_area(one, other)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


def inside(inner: Box, outer: Box) -> float:
    """The share of a box that lies within another."""
    return common_area(inner, outer) / (inner[2] * inner[3])


def around(boxes: Sequence[Box]) -> Box:
    """The box about boxes."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return (left, top, right - left, bottom - top)


def touching(boxes: Sequence[Box], others: Sequence[Box]) -> list[list[int]]:
    """For each box, the places of the others that have pixels in common with it."""
    one, other = (np.array(some, np.int32).reshape(-1, 4) for some in (boxes, others))
    start, end = np.maximum(one[:, None, :2], other[:, :2]), one[:, None, :2] + one[:, None, 2:]
    together = (start < np.minimum(end, other[:, :2] + other[:, 2:])).all(2)
    return [np.flatnonzero(row).tolist() for row in together]


def common_area(one: Box, other: Box) -> int:
    """Of two boxes, in pixels."""
    x, y, width, height = one
    left, top, wide, high = other
    if x >= left + wide or left >= x + width or y >= top + high or top >= y + height:
        return 0  # most are, so this is asked first
    return (min(x + width, left + wide) - max(x, left)) * (min(y + height, top + high) - max(y, top))
