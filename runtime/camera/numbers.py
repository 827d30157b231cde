"""Digits that stand beside each other are one number."""

from __future__ import annotations

import math
from collections.abc import Sequence

from runtime.camera.frame import Box, Number, Tracked
from runtime.camera.reading.boxes import around, touching

WIDEST_GAP = 0.7  # between neighbours, in heights of a digit
DEEPEST_OVERLAP = 0.35  # of slanted neighbours, in heights
LEVEL = 0.45  # of the lower digit's height that its neighbour shares
SMALLEST = 0.5  # height of a digit against its neighbour's


def read_numbers(digits: Sequence[Tracked]) -> tuple[Number, ...]:
    """The numbers on a frame, each digit in one of them; a digit without neighbours is a number, too.

    Args:
        digits: in any order.

    Returns:
        Left to right, by their first digits.
    """
    after: dict[int, Tracked] = {}
    boxes = [digit.box for digit in digits]
    for digit, near in zip(digits, touching([around_neighbours(box) for box in boxes], boxes), strict=True):
        right = [digits[place] for place in near if are_neighbours(digit.box, boxes[place])]
        if right:
            nearest = min(right, key=lambda other: other.box[0] + other.box[2] / 2)
            rival = after.get(nearest.track)
            if rival is None or rival.box[0] + rival.box[2] < digit.box[0] + digit.box[2]:
                after[nearest.track] = digit
    following = {before.track: track for track, before in after.items()}
    by_track = {digit.track: digit for digit in digits}
    numbers = []
    for digit in sorted(digits, key=lambda digit: digit.box[0]):
        if digit.track in after:
            continue
        chain = [digit]
        while chain[-1].track in following:
            chain.append(by_track[following[chain[-1].track]])
        numbers.append(
            Number(
                "".join(link.label for link in chain),
                around([link.box for link in chain]),
                tuple(link.track for link in chain),
            )
        )
    return tuple(numbers)


def are_neighbours(left: Box, right: Box) -> bool:
    """Whether a digit stands right of another, on its line, near it and of its size."""
    low, high = sorted((left[3], right[3]))
    if low < SMALLEST * high or right[0] + right[2] / 2 <= left[0] + left[2] / 2:
        return False
    gap = right[0] - left[0] - left[2]
    shared = min(left[1] + left[3], right[1] + right[3]) - max(left[1], right[1])
    return -DEEPEST_OVERLAP * high <= gap <= WIDEST_GAP * high and shared >= LEVEL * low


def around_neighbours(box: Box) -> Box:
    """Where a digit may stand that makes a number with another: that one's height and more to all sides."""
    height = math.ceil(box[3] / SMALLEST)
    return box[0] - height, box[1] - height, box[2] + 2 * height, box[3] + 2 * height
