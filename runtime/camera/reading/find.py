"""Shapes that may be digits, at two strengths of ink: what is faint, and what stands out of it.

On a ruled sheet the weakest threshold gives digits and rules in one piece, a stronger one the digits alone; a pencil's
stroke is whole at the weakest and broken at a stronger one. All of them are shapes, one within the other, and the model
says later which of them is a digit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.light import CELL, Level, may_hold
from runtime.camera.reading.rules import RULED, draw, find_rules, thickness_of, without_rules
from runtime.preprocess import as_image

WEAKEST = (11, 28)
STRONG = 64  # of contrast, above what the bare ground has
SAME = 0.7  # of a shape's box, that one within it has when it is the same shape
MOST_SPECKS = 250
USUAL = (17, 17)  # cells over which contrast is taken for texture
TEXTURE = 1.0  # times that is left out
FLAT = 1.5  # times the lowest digit: what is as wide may be a stroke of one, however low
SOFT = 0.5  # of the strongest ink of a shape: less is its soft edge
NO_LINES = np.zeros((0, 4), np.int32)
REST = 0.9  # of the corners of a shape that lie on a rule, when it is part of that
SHORT = 0.6  # width over height of a rule from one to the next
TOUCHED = 0.4  # of the ends of one, that lies on those
BRIDGE = np.ones((5, 5), np.uint8)  # pixels of a level


@dataclass(eq=False)
class Shape:
    """A piece of ink.

    Attributes:
        level: on which it was found.
        contours: int32 (N, 1, 2), pixels of the level; more than one where pieces were put together.
        box: about it, in pixels of the level.
        threshold: the contrast from which its pixels count.
        holes: boxes of its holes: what lies in one is no part of it.
        within: shapes that stronger thresholds make of it.
    """

    level: Level
    contours: list[NDArray[np.int32]]
    box: Box
    threshold: float
    holes: list[Box]
    within: list[Shape] = field(default_factory=list)

    @property
    def joined(self) -> bool:
        """Whether it is of several pieces."""
        return len(self.contours) > 1

    @property
    def flat(self) -> bool:
        """Whether it is too low for a digit of its level, and may be a stroke of one."""
        return self.box[3] < self.level.heights[0]


def find_shapes(level: Level) -> list[Shape]:
    """The shapes of a level that are no part of another one."""
    roots: list[Shape] = []
    known: list[Shape] = []
    contrast, lines = above_texture(level.contrast), NO_LINES
    if is_noisy(contrast):
        contrast = as_image(cv2.blur(contrast, (3, 3)))
    for threshold in (weakest(level.contrast), STRONG):
        ink = as_image(cv2.threshold(contrast, threshold, 255, cv2.THRESH_BINARY)[1])
        shapes, long = shapes_of(level, ink, threshold)
        if threshold < STRONG:  # what is stronger has been joined already
            nest(shapes_of(level, closed(ink), threshold)[0], known, roots)
        nest(shapes, known, roots)
        if long and not len(lines):
            lines = find_rules(ink)
        if long and len(lines):
            thickness = thickness_of(ink, lines)
            rules = draw(lines, ink.shape, thickness + 2)
            ink = without_rules(ink, lines, thickness)
            for shapes in (shapes_of(level, closed(ink), threshold)[0], shapes_of(level, ink, threshold)[0]):
                nest([shape for shape in shapes if not belongs_to(rules, shape)], known, roots)
    return roots


def above_texture(contrast: Picture) -> Picture:
    """How far contrast stands out of what is usual about it: grain, cloth and noise in the dark are full of it."""
    rows, columns = contrast.shape
    size = (max(1, columns // CELL), max(1, rows // CELL))
    usual = cv2.blur(cv2.resize(contrast, size, interpolation=cv2.INTER_AREA), USUAL)
    return as_image(cv2.addWeighted(contrast, 1, cv2.resize(usual, (columns, rows)), -TEXTURE, 0))


def weakest(contrast: Picture) -> float:
    """The threshold that finds the faintest ink, above the noise of the ground."""
    return float(np.clip(2 * np.median(contrast[::8, ::4]) + 6, *WEAKEST))


def is_noisy(contrast: Picture) -> bool:
    """Whether there are more specks than anyone writes."""
    ink = cv2.threshold(contrast, WEAKEST[1], 255, cv2.THRESH_BINARY)[1]
    return len(cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]) > MOST_SPECKS


def belongs_to(rules: Picture, shape: Shape) -> bool:
    """Whether a shape is what was left of a rule, or a short rule from one to the next."""
    points = shape.contours[0][:, 0]
    if cv2.mean(rules[points[:, 1], points[:, 0]])[0] > 255 * REST:
        return True
    x, y, width, height = shape.box
    above, below = rules[max(0, y - 3) : y + 1, x : x + width], rules[y + height - 1 : y + height + 3, x : x + width]
    return width < SHORT * height and all(cv2.mean(end)[0] > 255 * TOUCHED for end in (above, below))


def closed(ink: Picture) -> Picture:
    """What lies near to each other in one piece: the stroke at the top of a 5 often stands apart."""
    return as_image(cv2.morphologyEx(ink, cv2.MORPH_CLOSE, BRIDGE))


def nest(shapes: list[Shape], known: list[Shape], roots: list[Shape]) -> None:
    """Put new shapes into the smallest of those that are known, unless they are the same, or among the roots."""
    kept = []
    for shape in shapes:
        parent = smallest_about(shape, known)
        if parent is not None and shape.box[2] * shape.box[3] > SAME * parent.box[2] * parent.box[3]:
            continue
        if not may_hold(shape.level, shape.box) or (parent is not None and shape.flat):
            continue
        (roots if parent is None else parent.within).append(shape)
        kept.append(shape)
    known += kept


def shapes_of(level: Level, ink: Picture, threshold: float) -> tuple[list[Shape], bool]:
    """Shapes in a binary picture whose size may be that of digits or more, on the level's kind of ground.

    Returns:
        The shapes, and whether something is so long that it may be the rules of a sheet.
    """
    contours, tree = cv2.findContours(ink, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return [], False
    rows, columns = ink.shape
    lowest = level.heights[0]
    shapes, long = [], False
    holes: dict[int, list[Box]] = {}
    outer = tree[0, :, 3].tolist()
    for contour, above in zip(contours, outer, strict=True):
        if above >= 0 and len(contour) >= 4:
            holes.setdefault(above, []).append(box_of(contour))
    for number, (contour, above) in enumerate(zip(contours, outer, strict=True)):
        if above >= 0 or len(contour) < 4:
            continue  # the border of a hole; a speck
        x, y, width, height = box = box_of(contour)
        long = long or width > RULED or height > RULED
        if height < lowest and width < FLAT * lowest:
            continue
        at_border = x <= 0 or y <= 0 or x + width >= columns or y + height >= rows
        if at_border and (height > level.heights[1] or is_cut_off(level, contour, box)):
            continue
        shapes.append(Shape(level, [np.asarray(contour, np.int32)], box, threshold, holes.get(number, [])))
    return shapes, long


def is_cut_off(level: Level, contour: cv2.typing.MatLike, box: Box) -> bool:
    """Whether it is the ink of a shape that reaches the border of the frame, and not only its soft edge."""
    x, y, width, height = box
    rows, columns = level.contrast.shape
    mask = np.zeros((height, width), np.uint8)
    cv2.drawContours(mask, [contour], -1, 255, cv2.FILLED, offset=(-x, -y))
    ink = cv2.bitwise_and(level.contrast[y : y + height, x : x + width], mask)
    ends = (ink[:, 0], ink[0], ink[:, -1], ink[-1])
    touched = (x <= 0, y <= 0, x + width >= columns, y + height >= rows)
    return max(int(end.max()) for end, touches in zip(ends, touched, strict=True) if touches) > SOFT * int(ink.max())


def box_of(contour: cv2.typing.MatLike) -> Box:
    """About a contour."""
    x, y, width, height = cv2.boundingRect(contour)
    return (x, y, width, height)


def smallest_about(shape: Shape, known: list[Shape]) -> Shape | None:
    """The shape found last that this one may be a part of: its box is about it, and that of none of its holes is."""
    left, top, width, height = shape.box
    right, bottom = left + width, top + height
    for other in reversed(known):
        x, y, wide, high = other.box
        inside = x <= left and y <= top and x + wide >= right and y + high >= bottom
        if inside and not any(
            x <= left and y <= top and x + wide >= right and y + high >= bottom for x, y, wide, high in other.holes
        ):
            return other
    return None
