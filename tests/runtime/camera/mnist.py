"""MNIST's digits that ship, and one cut out along its bounds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import runtime
from runtime.camera.frame import Picture
from runtime.datasets import open_dataset

DIGITS = open_dataset(Path(runtime.__file__).parent / "data" / "mnist", "train")


def cut(image: Picture) -> Picture:
    x, y, width, height = cv2.boundingRect((image > 0).astype(np.uint8))
    return image[y : y + height, x : x + width]
