"""Words about digits and numbers, where they cover neither digits nor each other if there is such a place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2

from runtime.camera.frame import Box, Number, Picture, Tracked
from runtime.camera.outputs.pen import BLUE, DARK, WHITE, Pen, Words, chip, color_of, percent, width_of
from runtime.camera.outputs.seen import Seen


@dataclass(frozen=True)
class Chip:
    """Words, the box that they fill, and what they are written with."""

    box: Box
    words: list[Words]
    pen: Pen


def draw_words(image: Picture, seen: Seen, top: int, pen: Pen) -> None:
    """The label of each digit, and each number with a line under its digits.

    Args:
        image: to draw on.
        seen: what is on it.
        top: the first row that words may stand on.
        pen: sizes.
    """
    for number in seen.numbers:
        if len(number.tracks) > 1:
            underline(image, number, pen)
    for words in arranged(seen, (image.shape[1], image.shape[0]), top, pen):
        chip(image, words.box[:2], words.words, words.pen)


def arranged(seen: Seen, size: tuple[int, int], top: int, pen: Pen) -> list[Chip]:
    """Labels alone come first, then numbers; the labels' probabilities get what room is left.

    Args:
        seen: digits and numbers.
        size: width and height of the picture.
        top: the first row that words may stand on.
        pen: sizes.
    """
    taken = [grown(digit.box, pen.pad) for digit in seen.digits]
    spots = [places_of_label(digit, pen) for digit in seen.digits]
    blocked = [covered(within(each[0], size, top).box, taken, pen.pad) > 0 for each in spots]
    chips: list[Chip] = []
    order = sorted(range(len(spots)), key=blocked.__getitem__)  # those that must give way give way to all
    for place in order:
        chips.append(best(spots[place], taken, size, top))
        taken.append(chips[-1].box)
    for number in seen.numbers:
        if len(number.tracks) > 1:
            chips.append(best(places_of_number(number, seen.sureness(number), pen), taken, size, top))
            taken.append(chips[-1].box)
    for index, place in enumerate(order):
        digit, own = seen.digits[place], len(order) + index
        words = [(digit.label, WHITE), (percent(digit.probability), color_of(digit.probability))]
        full = within(Chip((*chips[index].box[:2], *extent(words, pen)), words, pen), size, top)
        if not covered(full.box, taken[:own] + taken[own + 1 :]):
            taken[own], chips[index] = full.box, full
    return chips


def places_of_label(digit: Tracked, pen: Pen) -> list[Chip]:
    """Where the label of a digit may stand, the best place first: above it, below it, beside it."""
    words = [(digit.label, color_of(digit.probability))]
    x, y, width, height = grown(digit.box, 2 * pen.pad)
    wide, tall = extent(words, pen)
    spots = ((x + pen.pad, y - tall), (x + pen.pad, y + height), (x + width, y), (x - wide, y))
    return [Chip((*spot, wide, tall), words, pen) for spot in spots]


def places_of_number(number: Number, probability: float, pen: Pen) -> Iterator[Chip]:
    """Where the text of a number may stand, the best place first: large, smaller, then without the probability."""
    x, y, width, height = grown(number.box, 2 * pen.pad)
    line = pen.row + 2 * pen.pad  # of labels
    whole = [(number.text, WHITE), (percent(probability), color_of(probability))]
    large, small = (whole, larger(pen)), (whole, pen)
    least = ([(number.text, color_of(probability))], pen)
    plans = [(spot, form) for spot in ("below", "right", "left") for form in (large, small)]
    plans += [(spot, least) for spot in ("below", "right", "left")]
    plans += [(spot, form) for spot in ("beneath", "above") for form in (large, small, least)]
    for spot, (words, size) in plans:
        wide, tall = extent(words, size)
        left, up = x + (width - wide) // 2, y + (height - tall) // 2
        places = {
            "below": (left, y + height + 2 * pen.pad),
            "right": (x + width, up),
            "left": (x - wide, up),
            "beneath": (left, y + height + 2 * pen.pad + line),
            "above": (left, y - line - tall),
        }
        yield Chip((*places[spot], wide, tall), words, size)


def best(chips: Iterable[Chip], taken: Sequence[Box], size: tuple[int, int], top: int) -> Chip:
    """The first that covers nothing; else the one that covers least."""
    found: Chip | None = None
    least = 0
    for each in chips:
        moved = within(each, size, top)
        area = covered(moved.box, taken, each.pen.pad)
        if not area:
            return moved
        if found is None or area < least:
            found, least = moved, area
    assert found
    return found


def covered(box: Box, taken: Iterable[Box], pad: int = 0) -> int:
    """Pixels of others that a box covers, but for what is no more than `pad` pixels at a side: the room about words."""
    left, top, right, bottom = box[0] + pad, box[1] + pad, box[0] + box[2], box[1] + box[3]
    area = 0
    for x, y, width, height in taken:
        if x + width > left and x < right - pad and y + height > top and y < bottom - pad:
            wide, tall = min(right, x + width) - max(left - pad, x), min(bottom, y + height) - max(top - pad, y)
            area += wide * tall
    return area


def within(words: Chip, size: tuple[int, int], top: int) -> Chip:
    """Moved to where all of it is on the picture."""
    x, y, wide, tall = words.box
    return Chip((max(0, min(x, size[0] - wide)), max(top, min(y, size[1] - tall)), wide, tall), words.words, words.pen)


def underline(image: Picture, number: Number, pen: Pen) -> None:
    """A line under the digits of a number."""
    x, y, width, height = number.box
    under = y + height + 3 * pen.pad
    cv2.line(image, (x, under), (x + width - 1, under), DARK, pen.line + 3, cv2.LINE_AA)
    cv2.line(image, (x, under), (x + width - 1, under), BLUE, pen.line + 1, cv2.LINE_AA)


def grown(box: Box, by: int) -> Box:
    """A box that is larger on each side."""
    x, y, width, height = box
    return x - by, y - by, width + 2 * by, height + 2 * by


def extent(words: list[Words], pen: Pen) -> tuple[int, int]:
    """Width and height of a chip with these words."""
    return width_of(words, pen), pen.row + 2 * pen.pad


def larger(pen: Pen) -> Pen:
    """Of numbers."""
    return Pen(pen.line, 1.5 * pen.text, round(1.5 * pen.row), pen.pad)
