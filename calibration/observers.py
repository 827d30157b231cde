"""Observers: what is kept of a tensor while images stream by. Constant memory, whatever the number of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError


class Observer(Protocol):
    """One tensor's statistics."""

    minimum: float
    maximum: float

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in one batch of the tensor, of any shape."""
        ...

    def threshold(self) -> float:
        """The largest magnitude that INT8 shall represent, > 0."""
        ...


class MinMaxObserver:
    """Keeps the smallest and the largest value: nothing is clipped. The order of the images does not matter."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.minimum, self.maximum = float("inf"), float("-inf")

    def update(self, values: NDArray[np.float32]) -> None:
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DataError(
                f"the tensor {self.name} holds NaN or infinity on the calibration images",
                "check the weights, and that the images are what the model was trained on",
            )
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)

    def threshold(self) -> float:
        # A tensor that is always 0 is represented exactly by any scale.
        return max(abs(self.minimum), abs(self.maximum)) or 1.0


METHODS: dict[str, Callable[[str], Observer]] = {"minmax": MinMaxObserver}
