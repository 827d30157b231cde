"""Shapes that may be digits, at several strengths of ink: what is faint, and what stands out of it.

On a ruled sheet the weakest threshold gives digits and rules in one piece, a stronger one the digits alone; the stroke
of a pencil, or of a pen that runs dry, is whole at the weakest and broken at a stronger one. All are shapes, one
within the other, and the model says later which of them is a digit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.light import Level, in_cells, may_hold
from runtime.camera.reading.rules import NO_LINES, RULED, find_rules, thickness_of, without_rules
from runtime.preprocess import as_image

STRONG = 64  # of contrast, above what the bare ground has
MIDDLE = 32  # between that and the faintest, where there may be rules
FAINT = 20  # up to which the faintest is far below that
SAME = 0.7  # of a shape's box, that one within it has when it is the same shape
MOST_PIECES = 300  # of ink; more are noise, or the grain of something
LEAST_CORNERS = 4  # of a piece that is no speck
TEXTURE = 120  # the most contrast that may be; among stronger ink, faint ink would not stand out
USUAL = (17, 17)  # cells over which contrast is taken for texture
FLAT = 1.5  # times the lowest digit: what is as wide may be a stroke of one, however low
SOFT = 0.8  # of the strongest ink of a shape: where less reaches the border, it ends there
BRIDGE = np.ones((5, 5), np.uint8)  # pixels of a level


@dataclass(eq=False)
class Outline:
    """Of a piece of ink.

    Attributes:
        contour: int32 (N, 1, 2), pixels of the level.
        box: about it.
        holes: boxes of its holes.
    """

    contour: NDArray[np.int32]
    box: Box
    holes: list[Box] = field(default_factory=list)

    @property
    def long(self) -> bool:
        """Whether it may be a rule of a sheet, or several."""
        return max(self.box[2:]) > RULED


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
        part_of: box and threshold of the shape that it is a part of, or None.
    """

    level: Level
    contours: list[NDArray[np.int32]]
    box: Box
    threshold: float
    holes: list[Box]
    within: list[Shape] = field(default_factory=list)
    part_of: tuple[Box, float] | None = None

    @property
    def joined(self) -> bool:
        """Whether it is of several pieces at the same strength: they lie near to each other, or a rule joins them."""
        return len(self.contours) > 1 or sum(part.threshold == self.threshold for part in self.within) > 1

    @property
    def flat(self) -> bool:
        """Whether it is too low for a digit of its level, and may be a stroke of one."""
        return self.box[3] < self.level.heights[0]


def find_shapes(level: Level) -> list[Shape]:
    """The shapes of a level that are no part of another one."""
    roots: list[Shape] = []
    known: list[Shape] = []
    contrast, lines, faintest = above_texture(level.contrast), NO_LINES, level.faintest
    outlines, pieces = outlines_of(above(contrast, faintest))
    if pieces > MOST_PIECES:
        contrast = as_image(cv2.blur(contrast, (3, 3)))
        outlines, _ = outlines_of(above(contrast, faintest))
    ruled = faintest <= FAINT and any(outline.long for outline in outlines)
    for threshold in (faintest, MIDDLE, STRONG) if ruled else (faintest, STRONG):
        ink = above(contrast, threshold)
        if threshold > faintest:
            outlines, _ = outlines_of(ink)
        else:  # what is stronger has been joined already
            nest(shapes_of(level, outlines_of(closed(ink))[0], threshold), known, roots)
        nest(shapes_of(level, outlines, threshold), known, roots)
        long = any(outline.long for outline in outlines)
        if long and not len(lines):
            lines = find_rules(ink)
        if long and len(lines):
            thickness = thickness_of(ink, lines)
            ink = without_rules(ink, lines, thickness)
            for picture in (closed(ink), ink):
                nest(shapes_of(level, outlines_of(picture)[0], threshold), known, roots)
    return roots


def above_texture(contrast: Picture) -> Picture:
    """How far contrast stands out of what is usual about it: grain, cloth and noise in the dark are full of it."""
    rows, columns = contrast.shape
    texture = as_image(cv2.threshold(contrast, TEXTURE, 0, cv2.THRESH_TRUNC)[1])
    usual = cv2.blur(in_cells(texture), USUAL)
    return as_image(cv2.subtract(contrast, cv2.resize(usual, (columns, rows))))


def above(contrast: Picture, threshold: float) -> Picture:
    """Where it is more, 255 on 0, uint8."""
    return as_image(cv2.threshold(contrast, threshold, 255, cv2.THRESH_BINARY)[1])


def closed(ink: Picture) -> Picture:
    """What lies near to each other in one piece: the stroke at the top of a 5 often stands apart."""
    return as_image(cv2.morphologyEx(ink, cv2.MORPH_CLOSE, BRIDGE))


def nest(shapes: list[Shape], known: list[Shape], roots: list[Shape]) -> None:
    """Put new shapes into the smallest of those that are known, or among the roots.

    One that is nearly all of another is the same, and left out; but where closing joined it to others of these, it is a
    part of that as they are.
    """
    parents: dict[Shape, Shape | None] = {}
    twins: dict[Shape, Shape] = {}
    for shape in shapes:
        parent = smallest_about(shape, known)
        if parent is not None and shape.box[2] * shape.box[3] > SAME * parent.box[2] * parent.box[3]:
            if parent.threshold == shape.threshold:
                twins[parent] = shape
            continue
        if may_hold(shape.level, shape.box) and not (parent is not None and shape.flat):
            parents[shape] = parent
    joined = {parent for shape, parent in parents.items() if parent and parent.threshold == shape.threshold}
    parents.update((twin, parent) for parent, twin in twins.items() if parent in joined)
    for shape, parent in parents.items():
        if parent is None:
            roots.append(shape)
        else:
            shape.part_of = parent.box, parent.threshold
            parent.within.append(shape)
    known += parents


def outlines_of(ink: Picture) -> tuple[list[Outline], int]:
    """Of the pieces in a binary picture, but for specks; and how many pieces there are, with those."""
    contours, tree = cv2.findContours(ink, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outlines: dict[int, Outline] = {}
    owners = tree[0, :, 3].tolist() if contours else []
    for number, (contour, owner) in enumerate(zip(contours, owners, strict=True)):
        if owner < 0 and len(contour) >= LEAST_CORNERS:
            outlines[number] = Outline(np.asarray(contour, np.int32), box_of(contour))
    for contour, owner in zip(contours, owners, strict=True):
        if owner in outlines and len(contour) >= LEAST_CORNERS:
            outlines[owner].holes.append(box_of(contour))
    return list(outlines.values()), sum(owner < 0 for owner in owners)


def shapes_of(level: Level, outlines: list[Outline], threshold: float) -> list[Shape]:
    """Those whose size may be that of digits or more, and that the border does not cut."""
    rows, columns = level.contrast.shape
    lowest, highest = level.heights
    shapes = []
    for outline in outlines:
        x, y, width, height = outline.box
        if height < lowest and width < FLAT * lowest:
            continue
        at_border = x <= 0 or y <= 0 or x + width >= columns or y + height >= rows
        if at_border and (height > highest or is_cut_off(level, outline.contour, outline.box)):
            continue
        shapes.append(Shape(level, [outline.contour], outline.box, threshold, outline.holes))
    return shapes


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
