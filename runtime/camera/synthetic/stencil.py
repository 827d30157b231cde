"""Cutting things out: their outline, shading and shadow."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.synthetic.ink import Colour, put, shaded
from runtime.camera.synthetic.noise import Field, floats, pick
from runtime.camera.synthetic.strokes import hull_of

Point = NDArray[np.float64]


class Stencil:
    """A shape to be cut out near a place of the canvas; empty at first. What would lie outside is left out.

    Args:
        canvas: uint8 (H, W, 3), painted on.
        middle: (2,) x and y.
        radius: pixels round the place that it may reach.
    """

    def __init__(self, canvas: Picture, middle: Point, radius: float) -> None:
        self.canvas = canvas
        height, width = canvas.shape[:2]
        left, top = np.clip(middle - radius - 12, 0, (width - 1, height - 1)).astype(int)
        right, bottom = np.clip(middle + radius + 12, (left + 1, top + 1), (width, height)).astype(int)
        self.left, self.top = int(left), int(top)
        self.origin = np.array((left, top), np.float64)
        self.mask = np.zeros((int(bottom - top), int(right - left)), np.uint8)

    def fixed(self, point: Point) -> tuple[int, int]:
        """A place of the canvas, in sixteenths of a pixel of the patch."""
        x, y = np.round((point - self.origin) * 16)
        return int(x), int(y)

    def bar(self, first: Point, last: Point, width: float) -> None:
        """A line with round ends."""
        cv2.line(self.mask, self.fixed(first), self.fixed(last), 255, max(1, round(width)), cv2.LINE_AA, 4)

    def disc(self, middle: Point, wide: float, tall: float, angle: float = 0.0) -> None:
        """An ellipse; `angle` in radians."""
        axes = (int(wide * 16), int(tall * 16))
        cv2.ellipse(self.mask, self.fixed(middle), axes, float(np.degrees(angle)), 0, 360, 255, -1, cv2.LINE_AA, 4)

    def area(self, *corners: Point) -> None:
        """A polygon."""
        points = np.round((np.array(corners) - self.origin) * 16).astype(np.int32)
        cv2.fillPoly(self.mask, [points], 255, cv2.LINE_AA, 4)

    def cover(self) -> Field:
        """What is cut out so far, 0..1."""
        return floats(self.mask) / np.float32(255)

    def roundness(self, rim: float) -> Field:
        """0 on the outline, 1 from `rim` pixels inside on, as a field to shade by."""
        distance = floats(cv2.distanceTransform((self.mask > 127).astype(np.uint8), cv2.DIST_L2, 5))
        return floats(np.sqrt(1 - (1 - np.clip(distance / np.float32(rim), 0, 1)) ** 2))

    def paint(self, colour: Colour, shade: Field | float = 1.0) -> None:
        """Put what is cut out onto the canvas, in a colour times `shade`; what is above white becomes white."""
        height, width = self.mask.shape
        ground = self.canvas[self.top : self.top + height, self.left : self.left + width]
        weight = self.cover()
        for channel, tone in enumerate(colour):
            level = np.minimum(shade * np.float32(tone * 255), 255)
            below = ground[..., channel].astype(np.float32)
            ground[..., channel] = (below + (level - below) * weight + 0.5).astype(np.uint8)

    def glaze(self, colour: Colour, strength: float) -> None:
        """Let a colour shine over what is cut out."""
        put(self.canvas, self.left, self.top, self.cover() * np.float32(strength), colour, True)

    def drop(self, rng: np.random.Generator, height: float) -> None:
        """The shadow of a thing `height` pixels high."""
        angle = pick(rng, 0, 2 * np.pi)
        soft = max(0.8, height * pick(rng, 0.3, 0.8))
        shadow = floats(cv2.GaussianBlur(self.cover(), (0, 0), min(soft, 12.0)))
        x, y = self.left + int(height * np.cos(angle)), self.top + int(height * np.sin(angle))
        shaded(self.canvas, x, y, shadow, pick(rng, 0.25, 0.6))

    def outline(self) -> NDArray[np.float32]:
        """(N, 2) corners of the convex hull, on the canvas."""
        return hull_of(self.mask > 127) + self.origin.astype(np.float32)


def unit(angle: float) -> Point:
    """The direction of an angle."""
    return np.array((np.cos(angle), np.sin(angle)))
