"""Random textures, cut out of a few large tiles that are made once: making them anew for each scene takes too long."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.float32]
TILE = 1024
#: Standard deviations of the blur in pixels, along x and y, of each kind of texture.
BLURS = {
    "white": (0.0, 0.0),
    "fine": (0.6, 0.6),
    "tooth": (1.1, 1.1),
    "grain": (2.2, 2.2),
    "blotch": (7.0, 7.0),
    "fibre": (4.0, 0.8),
    "streak": (40.0, 1.0),
    "smear": (30.0, 9.0),
    "cloud": (45.0, 45.0),
}


@lru_cache(maxsize=len(BLURS))
def tile(kind: str) -> Field:
    """Noise of mean 0 and standard deviation 1, float32 (TILE, TILE), smooth over the seams; not to be written to."""
    white: Field = np.random.default_rng(sorted(BLURS).index(kind)).standard_normal((TILE, TILE), np.float32)
    blur_x, blur_y = BLURS[kind]
    if blur_x:
        frequencies = np.fft.fftfreq(TILE) * 2 * np.pi
        window = np.exp(-((frequencies * blur_y) ** 2) / 2)[:, None] * np.exp(-((frequencies * blur_x) ** 2) / 2)
        white = np.fft.ifft2(np.fft.fft2(white) * window).real.astype(np.float32)
    white = floats((white - white.mean()) / white.std())
    white.setflags(write=False)
    return white


def texture(rng: np.random.Generator, kind: str, height: int, width: int) -> Field:
    """A piece of a tile at a random place, float32 (height, width), mirrored where it is larger than the tile."""
    source = tile(kind)[:: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))]
    if kind not in ("fibre", "streak", "smear") and rng.random() < 0.5:
        source = source.T
    if height > TILE or width > TILE:
        tall, wide = max(height - TILE, 0), max(width - TILE, 0)
        source = np.pad(source, ((0, tall), (0, wide)), "wrap")
    top = int(rng.integers(0, source.shape[0] - height + 1))
    left = int(rng.integers(0, source.shape[1] - width + 1))
    return source[top : top + height, left : left + width]


def smooth(rng: np.random.Generator, height: int, width: int, cells: float) -> Field:
    """A field of few hills, about `cells` of them along the longer side; float32 (height, width), about -2..2."""
    cells = max(cells, 1.0)
    rows, columns = (max(2, round(cells * side / max(height, width)) + 1) for side in (height, width))
    coarse = rng.standard_normal((rows + 2, columns + 2)).astype(np.float32)
    return floats(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def floats(field: object) -> Field:
    """An array as float32; copied only where it is of another type."""
    return np.asarray(field, np.float32)


def pick(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between the two."""
    return float(rng.uniform(low, high))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Whether something happens."""
    return bool(rng.random() < probability)
