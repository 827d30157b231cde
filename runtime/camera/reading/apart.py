"""Every way in which a shape might be several digits: the shapes within it, and cuts through a wide one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import cv2
import numpy as np

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.cut import SMALLEST, Candidate, cut
from runtime.camera.reading.find import Shape
from runtime.camera.reading.normalize import RASTER, Floats, all_to_mnist, bounds_of

LOST = 0.65  # of the box of a shape, that its strongest ink has at least
SMALLEST_PART = 0.05  # of the box of a shape, that a part has to be no mere scrap of its stroke
SPLIT_FROM = 0.9  # width over height: what is as wide may be two digits
NARROWEST_PART, WIDEST_PART = 0.35, 1.2  # width over height of the whole, of each of them
LOWEST_PART = 0.5  # of the height of the whole
LEAST_COLUMNS = 6  # of what is cut
REACH = 0.25  # of a part's width, how far from an even cut a better one is sought
MOST_CUT = 0.22  # of the height, the ink that a cut may meet
SLANTS = np.array([0.0, 0.3, -0.3, 0.6], np.float32)  # of cuts, to the right for each pixel upwards


class Cutter:
    """Cuts shapes out of frames, each of them once, and as many as possible in one go."""

    def __init__(self) -> None:
        self.known: dict[Shape, Candidate | None] = {}

    def cut_out(self, groups: Sequence[Sequence[Shape]]) -> list[list[Candidate]]:
        """The candidates that shapes of each group make; where one makes none, those that lie within it."""
        shapes = [shape for group in groups for shape in group]
        self.learn([*shapes, *(part for shape in shapes if shape.joined for part in shape.within)])
        self.learn(all_within(shape for shape in shapes if self.is_none(shape)))
        return [self.candidates(group) for group in groups]

    def take_apart(self, wholes: Sequence[Candidate]) -> None:
        """Find the parts of candidates, and theirs."""
        self.learn(all_within(whole.shape for whole in wholes if whole.shape is not None))
        everything = [candidate for whole in wholes for candidate in self.with_parts(whole)]
        split([candidate for candidate in everything if not candidate.joined])

    def with_parts(self, whole: Candidate) -> Iterator[Candidate]:
        """A candidate, and those within it, which are attached to it."""
        yield whole
        found = self.candidates(whole.shape.within) if whole.shape is not None else []
        within = [part for part in found if stands_alone(part, whole) or not is_scrap(part.box, whole.box)]
        if within:
            whole.parts.append(within)
        for part in within:
            yield from self.with_parts(part)

    def learn(self, shapes: Iterable[Shape]) -> None:
        """Cut those that are not known."""
        new = [shape for shape in shapes if shape not in self.known]
        found = cut(new)
        self.known.update((shape, found.get(shape)) for shape in new)

    def candidates(self, shapes: Sequence[Shape]) -> list[Candidate]:
        """That shapes make, or what lies within them."""
        result: list[Candidate] = []
        for shape in shapes:
            candidate = self.known[shape]
            inner = self.candidates(shape.within) if self.is_none(shape) else []
            result += inner or ([candidate] if candidate is not None else [])
        return result

    def is_none(self, shape: Shape) -> bool:
        """Whether what lies within a shape, if anything, takes its place."""
        candidate = self.known[shape]
        return candidate is None or lost_some(candidate.box, shape)


def all_within(shapes: Iterable[Shape]) -> Iterator[Shape]:
    """The shapes within shapes, and those within them."""
    for shape in shapes:
        yield from shape.within
        yield from all_within(shape.within)


def stands_alone(part: Candidate, whole: Candidate) -> bool:
    """Whether all of a part's ink is one piece, which closing or a rule joins to others."""
    one, other = part.shape, whole.shape
    return whole.joined and one is not None and other is not None and one.threshold == other.threshold


def is_scrap(part: Box, whole: Box) -> bool:
    """Whether a part of a shape is no more than a scrap of its stroke: a 1 is as narrow, but as high as the others."""
    small = part[2] * part[3] <= SMALLEST_PART * whole[2] * whole[3]
    return small and part[3] < LOWEST_PART * whole[3]


def lost_some(box: Box, shape: Shape) -> bool:
    """Whether the strongest ink of a shape, with that box in pixels of the frame, is but a part of it."""
    _, _, width, height = shape.box
    soft = 2 * shape.level.reduction  # a pixel of the level on both sides, which a thin stroke has little else than
    return (box[2] + soft) * (box[3] + soft) < LOST * width * height * shape.level.reduction**2


def split(wholes: Sequence[Candidate]) -> None:
    """Find the ways to cut those that are wide into two or three digits beside each other."""
    ways = [(whole, cuts) for whole in wholes for cuts in cuts_of(whole)]
    if not ways:
        return
    inks = np.concatenate([pieces_of(whole, cuts) for whole, cuts in ways])
    bounds = bounds_of(inks)
    pieces = zip(inks, all_to_mnist(inks, bounds), bounds.tolist(), strict=True)
    for whole, cuts in ways:
        way = [
            Candidate(whole.square.box(about), image, whole.strength, whole.light_ink, whole.square, ink, about)
            for ink, image, about in islice(pieces, len(cuts) - 1)
        ]
        lowest = min(piece.box[3] for piece in way)
        if lowest >= max(SMALLEST, LOWEST_PART * whole.box[3]):
            whole.parts.append(way)


def cuts_of(whole: Candidate) -> list[Floats]:
    """Where a shape that is wide may be cut, into two or three: where the cuts meet least ink.

    Returns:
        Of each way the first column of each piece in every row, and the end of the last one, float32 (pieces + 1, H).
    """
    left, top, width, height = whole.bounds
    counts = [count for count in (2, 3) if NARROWEST_PART < width / count / height < WIDEST_PART]
    if not counts or width <= SPLIT_FROM * height or width < LEAST_COLUMNS:
        return []
    leans = SLANTS[:, None] * (height / 2 - np.arange(height, dtype=np.float32))
    met = ink_along(whole.ink[top : top + height, left : left + width], leans)
    ways = []
    for count in counts:
        share = width / count
        around = [
            (max(1, round((number - REACH) * share)), round((number + REACH) * share) + 1) for number in range(1, count)
        ]
        worst = np.max([met[:, first:last].min(1) for first, last in around], axis=0)
        best = int(worst.argmin())
        if worst[best] <= 255 * MOST_CUT * height:
            cuts = [first + int(met[best, first:last].argmin()) for first, last in around]
            ways.append(np.array([-RASTER, *cuts, 2 * RASTER], np.float32)[:, None] + leans[best])
    return ways


def ink_along(ink: Picture, leans: Floats) -> Floats:
    """What lines through each column meet: float32 (slants, W).

    Args:
        ink: uint8 (H, W).
        leans: of the lines, pixels to the right in each row, (slants, H).
    """
    height, width = ink.shape
    x, y = np.empty((2, len(leans), height, width), np.float32)
    x[:] = np.arange(width) + leans[:, :, None]
    y[:] = np.arange(height)[:, None]
    found = cv2.remap(ink, x.reshape(-1, width), y.reshape(-1, width), cv2.INTER_LINEAR)
    result: Floats = np.asarray(found).reshape(x.shape).sum(1, dtype=np.float32)
    return result


def pieces_of(whole: Candidate, cuts: Floats) -> Picture:
    """The ink of the pieces that cuts, as in `cuts_of`, make of a shape: uint8 (pieces, RASTER, RASTER)."""
    left, top, width, height = whole.bounds
    columns = np.arange(width)
    inside = (cuts[:-1, :, None] <= columns) & (columns < cuts[1:, :, None])
    inks = np.zeros((len(inside), RASTER, RASTER), np.uint8)
    inks[:, top : top + height, left : left + width] = whole.ink[top : top + height, left : left + width] * inside
    return inks
