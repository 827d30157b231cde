"""Where there is room for things, on a coarse map of the canvas."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.synthetic.noise import pick

CELL = 4  # pixels of the canvas per cell of the map


def grown(corners: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """A rectangle with its sides moved outwards by a margin in pixels."""
    middle = corners.mean(axis=0)
    right, down = corners[1] - corners[0], corners[3] - corners[0]
    wide, tall = float(np.hypot(*right)), float(np.hypot(*down))
    right, down = right / wide * max(wide / 2 + margin, 1), down / tall * max(tall / 2 + margin, 1)
    return np.array((middle - right - down, middle + right - down, middle + right + down, middle - right + down))


def place(rng: np.random.Generator, cells: NDArray[np.bool_], boxes: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """A place at which boxes lie on free cells alone.

    Args:
        rng: what is drawn by chance.
        cells: which ones are free.
        boxes: (N, 4) left, top, right, bottom in pixels, about the place that is looked for.

    Returns:
        (2,) x and y, or None where there is none.
    """
    free = cells.astype(np.uint8)
    fits = np.ones(cells.shape, np.uint8)
    rows, columns = cells.shape
    for left, top, right, bottom in np.round(boxes / CELL).astype(int):
        wide, tall = int(right - left + 1), int(bottom - top + 1)
        if wide > columns or tall > rows:
            return None
        # A cell stays if the box that begins there is free; then the map moves so that the place itself is meant.
        starts = cv2.erode(
            free, np.ones((tall, wide), np.uint8), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        y, x = int(top), int(left)
        moved = np.zeros_like(fits)
        to_rows, to_columns = slice(max(0, -y), rows - max(0, y)), slice(max(0, -x), columns - max(0, x))
        from_rows, from_columns = slice(max(0, y), rows - max(0, -y)), slice(max(0, x), columns - max(0, -x))
        if abs(y) < rows and abs(x) < columns:
            moved[to_rows, to_columns] = starts[from_rows, from_columns]
        fits &= moved
    spots = np.flatnonzero(fits)
    if not len(spots):
        return None
    row, column = divmod(int(spots[int(rng.integers(len(spots)))]), columns)
    return np.array((column * CELL + pick(rng, 0, 1), row * CELL + pick(rng, 0, 1)))
