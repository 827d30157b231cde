"""Shapes of strokes: MNIST digits at any size and thickness, and lines drawn by hand; as masks of coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.synthetic.noise import Field, floats

ZOOM = 3  # fields of distances are this much finer than MNIST's pixels
BLOT = 2.8  # pixels of MNIST: what is farther from the middle of the strokes is no stroke
INK = 0.4  # coverage from which on a pixel counts as ink


@dataclass(frozen=True)
class Mark:
    """A shape on the canvas.

    Attributes:
        alpha: float32 (H, W), coverage 0..1.
        x: of its left column, in pixels of the canvas.
        y: of its top row.
    """

    alpha: Field
    x: int
    y: int

    def outline(self) -> NDArray[np.float32]:
        """(N, 2) corners of the convex hull round the ink, in pixels of the canvas; empty without ink."""
        return hull_of(self.alpha > INK) + np.array((self.x, self.y), np.float32)


def hull_of(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N, 2) corners, x and y, of the convex hull round the pixels that are set; outer sides of pixels count."""
    if not mask.any():
        return np.zeros((0, 2), np.float32)
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask[rows].argmax(axis=1)
    right = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    ends = [np.stack((x + dx, rows + dy), 1) for x, dx in ((left, -0.5), (right, 0.5)) for dy in (-0.5, 0.5)]
    return np.asarray(cv2.convexHull(np.concatenate(ends).astype(np.float32)), np.float32).reshape(-1, 2)


def ink_points(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 2) places, x and y, of a digit's inked pixels."""
    rows, columns = np.nonzero(image > 100)
    if not len(rows):
        rows, columns = np.nonzero(image == image.max())
    return np.stack((columns, rows), 1).astype(np.float32)


def grey_mark(image: NDArray[np.uint8], matrix: NDArray[np.float64], contrast: float, threshold: float) -> Mark:
    """A digit as its grey values have it, laid onto the canvas by a 2x3 matrix from its pixels.

    Args:
        image: uint8 (28, 28), light on dark.
        matrix: from pixels of the image to the canvas.
        contrast: 1 leaves the soft edge; above, it becomes harder.
        threshold: of the grey value, 0..1, that is half covered once the contrast is raised.
    """
    grey, x, y = laid(floats(image) / np.float32(255), matrix, cv2.INTER_CUBIC, 0.0)
    return Mark(np.clip((grey - threshold) * contrast + threshold, 0, 1), x, y)


def solid_mark(image: NDArray[np.uint8], matrix: NDArray[np.float64], grow: float, soft: float) -> Mark:
    """A digit with an even, sharp edge, grown by `grow` pixels of MNIST (negative: thinner), on an edge of `soft`."""
    fine = cv2.resize(image, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    inside = (cv2.GaussianBlur(fine, (0, 0), 1.2) > 110).astype(np.uint8)
    signed = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    if grow < 0:  # no thinner than the strokes bear
        ridge = signed[(signed > 0) & (signed >= cv2.dilate(signed, np.ones((3, 3))) - 0.01)]
        grow = max(grow, -0.6 * float(np.percentile(ridge, 20)) / ZOOM if len(ridge) else 0.0)
    else:  # no thicker than its holes bear
        grow = min(grow, 0.4 * hole_radius(inside) / ZOOM)
    return distance_mark(cv2.GaussianBlur(signed, (0, 0), 0.9) + grow * ZOOM, matrix, soft)


def hole_radius(mask: NDArray[np.uint8]) -> float:
    """Of the smallest hole in a mask of 0 and 1, in pixels; large where there is none."""
    shapes, family = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    distance = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    radius = 99.0
    for number, shape in enumerate(shapes):
        if family[0, number, 3] >= 0:  # it has a shape round it: a hole
            hole = cv2.drawContours(np.zeros_like(mask), [shape], -1, 1, cv2.FILLED)
            radius = min(radius, float(distance[hole > 0].max()))
    return radius


def line_mark(image: NDArray[np.uint8], matrix: NDArray[np.float64], width: float, soft: float) -> Mark | None:
    """A digit redrawn along its middle line with an even pen, `width` pixels of MNIST wide.

    None where that would leave out a part of it: the middle of a blot is no stroke.
    """
    fine = cv2.resize(image, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    inside = (cv2.GaussianBlur(fine, (0, 0), 1.5) > 105).astype(np.uint8)
    middle = thinned(inside)
    distance = cv2.GaussianBlur(cv2.distanceTransform(1 - middle, cv2.DIST_L2, 5), (0, 0), 1.0)
    signed = width * ZOOM / 2 + 0.5 - distance
    if distance[inside > 0].max() > BLOT * ZOOM:
        return None
    return distance_mark(signed, matrix, soft)


def distance_mark(signed: Field, matrix: NDArray[np.float64], soft: float) -> Mark:
    """A mark from distances in pixels of the finer grid, positive inside."""
    finer = matrix.copy()
    finer[:, :2] /= ZOOM
    finer[:, 2] += matrix[:, :2] @ np.full(2, (1 - ZOOM) / (2 * ZOOM))  # centres of pixels, not their corners
    distance, x, y = laid(signed.astype(np.float32), finer, cv2.INTER_LINEAR, -20.0)
    scale = float(np.sqrt(abs(np.linalg.det(finer[:, :2]))))
    return Mark(np.clip(distance * np.float32(scale / soft) + np.float32(0.5), 0, 1), x, y)


def laid(field: Field, matrix: NDArray[np.float64], method: int, outside: float) -> tuple[Field, int, int]:
    """A field brought onto the canvas by a matrix, with the place of its first pixel."""
    height, width = field.shape
    corners = np.array(((-1, -1), (width, -1), (-1, height), (width, height))) @ matrix[:, :2].T + matrix[:, 2]
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    moved = matrix.astype(np.float64).copy()
    moved[:, 2] -= (left, top)
    size = (int(right - left + 1), int(bottom - top + 1))
    warped = cv2.warpAffine(
        field, moved, size, flags=method, borderMode=cv2.BORDER_CONSTANT, borderValue=(outside,) * 4
    )
    return floats(warped), int(left), int(top)


@lru_cache(maxsize=1)
def thinning_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """For each pattern of eight neighbours whether the pixel stays, in either half step.

    Zhang, Suen: "A fast parallel algorithm for thinning digital patterns", CACM 27 (1984).
    """
    tables = np.ones((2, 256), np.uint8)
    for code in range(256):
        ring = [code >> bit & 1 for bit in range(8)]  # from north, clockwise
        changes = sum(not ring[i] and ring[(i + 1) % 8] for i in range(8))
        if changes == 1 and 2 <= sum(ring) <= 6:
            n, e, s, w = ring[0::2]
            tables[0, code] = bool(n and e and s) or bool(e and s and w)
            tables[1, code] = bool(n and e and w) or bool(n and s and w)
    return tables[0], tables[1]


def thinned(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle line, one pixel wide, of a mask of 0 and 1."""
    weights = np.array(((128, 1, 2), (64, 0, 4), (32, 16, 8)), np.float32)
    tables = thinning_tables()
    for _ in range(max(mask.shape)):
        before = mask
        for table in tables:
            codes = cv2.filter2D(mask, cv2.CV_8U, weights, borderType=cv2.BORDER_CONSTANT)
            mask = mask & np.asarray(cv2.LUT(codes, table), np.uint8)
        if np.array_equal(before, mask):
            break
    return mask


def drawn_mark(lines: Sequence[NDArray[np.float64]], width: float) -> Mark:
    """Lines of a pen, each (N, 2) places on the canvas, `width` pixels wide."""
    points = np.concatenate(lines)
    pad = int(np.ceil(width / 2 + 2))
    left, top = np.floor(points.min(axis=0)).astype(int) - pad
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + pad
    mask = np.zeros((int(bottom - top + 1), int(right - left + 1)), np.uint8)
    thickness = max(1, round(width))
    for line in lines:
        fixed = np.round((line - (left, top)) * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(mask, [fixed], False, 255, thickness, cv2.LINE_AA, 4)
    alpha = mask.astype(np.float32) / 255
    if width < 1.5:
        alpha *= max(width, 0.7) / 1.5
        alpha = np.minimum(alpha * 1.5, 1)
    return Mark(floats(alpha), int(left), int(top))
