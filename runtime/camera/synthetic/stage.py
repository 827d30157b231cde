"""The canvas while a scene is put together: what is drawn so far, and where there is room."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ink import Pen, write
from runtime.camera.synthetic.layout import CELL, grown, place
from runtime.camera.synthetic.sheets import Surface
from runtime.camera.synthetic.strokes import Mark


@dataclass(frozen=True)
class Thing:
    """An object of the scene.

    Attributes:
        outline: float32 (N, 2), the convex hull of what is seen of it, on the canvas.
        label: of a digit.
        kind: of object.
        number: that a digit belongs to.
    """

    outline: NDArray[np.float32]
    label: int | None
    kind: str
    number: int | None = None


class Stage:
    """A canvas with its objects.

    Args:
        canvas: uint8 (H, W, 3), drawn on.
        surfaces: that can be written on, lower ones first.
        seen: float64 (4, 2) corners, in turn, of the part where things are to be.
    """

    def __init__(self, canvas: Picture, surfaces: list[Surface], seen: NDArray[np.float64]) -> None:
        self.canvas, self.surfaces = canvas, surfaces
        self.things: list[Thing] = []
        self.shape = (canvas.shape[0] // CELL + 1, canvas.shape[1] // CELL + 1)
        self.open = self.filled(seen)  # cells of the map that are seen, and not taken
        self.parts = [self.part(number) for number in range(len(surfaces))]

    def part(self, number: int) -> NDArray[np.bool_]:
        """The cells of a surface that are not close to its sides, nor below another one."""
        surface = self.surfaces[number]
        cells = np.ones(self.shape, np.bool_) if surface.whole else self.filled(grown(surface.corners, -8))
        for other in self.surfaces[number + 1 :]:
            cells &= ~self.filled(grown(other.corners, 8))
        return cells

    def filled(self, corners: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.bool_]:
        """The cells inside a convex polygon."""
        mask = np.zeros(self.shape, np.uint8)
        cv2.fillConvexPoly(mask, np.round(corners / CELL).astype(np.int32), 1)
        return mask > 0

    def surface(self, rng: np.random.Generator) -> int:
        """One of the surfaces: the more room it has, the likelier."""
        areas = np.array([float((part & self.open).sum()) + 1 for part in self.parts])
        return int(rng.choice(len(areas), p=areas / areas.sum()))

    def find(
        self, rng: np.random.Generator, boxes: NDArray[np.float64], surface: int | None
    ) -> NDArray[np.float64] | None:
        """A place for boxes, (N, 4), on a surface, or on anything; None where there is no room."""
        cells = self.open if surface is None else self.open & self.parts[surface]
        return place(rng, cells, boxes)

    def take(self, outline: NDArray[np.float32], margin: float) -> None:
        """Keep others away from a convex outline, by a margin in pixels."""
        reach = 2 * max(1, round(margin / CELL)) + 1
        mask = self.filled(outline).astype(np.uint8)
        self.open &= cv2.dilate(mask, np.ones((reach, reach), np.uint8)) == 0

    def add(self, outline: NDArray[np.float32], kind: str, margin: float = 4.0, *, taken: bool = True) -> None:
        """Remember what is no digit."""
        if len(outline) >= 3:
            self.things.append(Thing(outline, None, kind))
            if taken:
                self.take(outline, margin)

    def try_mark(self, rng: np.random.Generator, mark: Mark, pen: Pen, kind: str) -> None:
        """Write what is no digit, if nothing is there yet."""
        outline = mark.outline()
        if len(outline) >= 3 and not (self.filled(outline) & ~self.open).any():
            write(rng, self.canvas, mark, pen)
            self.add(outline, kind)

    def ground_at(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        """The colour, 0..1, round a place."""
        x, y = (int(v) for v in at)
        part = self.canvas[max(0, y - 12) : y + 12, max(0, x - 12) : x + 12]
        return np.asarray(np.median(part.reshape(-1, 3), axis=0) / 255) if part.size else np.ones(3)
