"""A task that lenet learns in a second: ten classes, a bright bar in one of ten places each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.progress import SilentProgress
from toolkit.recipe import Augment, Recipe
from toolkit.training import TrainResult, train
from toolkit.zoo import ZOO

RECIPE = Recipe(epochs=1, held_out=100)
# Everything that a checkpoint has to carry, and all that is drawn anew in each epoch.
FULL = Recipe(epochs=4, held_out=100, ema=0.9, label_smoothing=0.1, augment=Augment(shift=0.06, rotate=5, elastic=0.5))


def bars(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (count, 28, 28), the places further apart than an image is shifted, and labels (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count).astype(np.uint8)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = 3 + 5 * (label % 5), 4 + 12 * (label // 5)
        image[row : row + 2, column : column + 8] = rng.integers(180, 256)
    return images, labels


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    header = bytes((0, 0, 8, array.ndim)) + b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.tobytes())


def write_bars(folder: Path, training: int = 900, test: int = 200) -> Path:
    """A folder of IDX files."""
    folder.mkdir(exist_ok=True)
    for seed, (prefix, count) in enumerate((("train", training), ("t10k", test))):
        images, labels = bars(count, seed)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


def write_pictures(folder: Path, count: int) -> Path:
    """A folder of PNG files, a subfolder per class."""
    for index, (image, label) in enumerate(zip(*bars(count), strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / str(label) / f"{index:04}.png"), image)
    return folder


def run(folder: Path, recipe: Recipe = RECIPE, seed: int = 0, model: Any = None, **more: Any) -> TrainResult:
    """Train lenet, or what has a zoo model's name, spec and make."""
    return train(model or ZOO["lenet"], folder, recipe, **{"seed": seed, "progress": SilentProgress(), **more})


def same_weights(one: TrainResult, other: TrainResult) -> bool:
    """Bit for bit."""
    pairs = zip(one.module.state_dict().values(), other.module.state_dict().values(), strict=True)
    return all(bool((a == b).all()) for a, b in pairs)
