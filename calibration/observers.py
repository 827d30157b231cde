"""Observers: what is kept of a tensor while images stream by. Constant memory, whatever the number of images."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError

BINS = 2048


class Range:
    """The smallest and the largest value of a tensor.

    Attributes:
        minimum, maximum: so far; infinity and its negative at the start.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.minimum, self.maximum = math.inf, -math.inf

    def update(self, values: NDArray[np.float32], image_name: Callable[[int], str] | None = None) -> None:
        """Take in one batch of the tensor, of any shape.

        Args:
            values: of the tensor; the first axis counts the images.
            image_name: what to call an image of the batch, for an error.

        Raises:
            DataError: it holds NaN or infinity.
        """
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            bad = int(np.argwhere(~np.isfinite(values))[0][0]) if values.ndim else 0
            where = f"for {image_name(bad)}" if image_name else "on the calibration images"
            raise DataError(
                f"the tensor {self.name} holds NaN or infinity {where}",
                "check the weights, and that the images are what the model was trained on",
            )
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(abs(self.minimum), abs(self.maximum))


class Histogram(Range):
    """The magnitudes of a tensor as well, in equal bins from 0 to a power of two.

    When a larger value comes, the range doubles until it holds that, and neighbouring bins are merged. All bounds being
    powers of two, this is exact: neither the order of the images nor how they are batched, or shared out between
    histograms that are merged in the end, changes anything. Zeros are counted apart: every scale represents them.

    Attributes:
        counts: int64 (BINS,).
        zeros: how many values were 0.
        exponent: the range ends at 2 ** exponent; None before the first value that is not 0.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.counts = np.zeros(BINS, np.int64)
        self.zeros = 0
        self.exponent: int | None = None

    def update(self, values: NDArray[np.float32], image_name: Callable[[int], str] | None = None) -> None:
        super().update(values, image_name)
        if self.largest:
            self.widen(math.frexp(self.largest)[1])  # largest < 2 ** exponent
            assert self.exponent is not None
            indices = np.ldexp(np.abs(values.ravel()), int(math.log2(BINS)) - self.exponent).astype(np.int32)
            self.counts += np.bincount(indices, minlength=BINS)
        zeros = values.size - int(np.count_nonzero(values))
        self.counts[0] -= zeros if self.largest else 0
        self.zeros += zeros

    def merge(self, other: Histogram) -> None:
        """Take in all that another histogram of the same tensor has seen."""
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        self.zeros += other.zeros
        if other.exponent is not None:
            self.widen(other.exponent)
            assert self.exponent is not None
            self.counts += merged(other.counts, self.exponent - other.exponent)

    def widen(self, exponent: int) -> None:
        """Let the range end at 2 ** exponent at least."""
        if self.exponent is None:
            self.exponent = exponent
        elif exponent > self.exponent:
            self.counts = merged(self.counts, exponent - self.exponent)
            self.exponent = exponent

    @property
    def width(self) -> float:
        """Of one bin."""
        return 2.0 ** (self.exponent or 0) / BINS


def merged(counts: NDArray[np.int64], doublings: int) -> NDArray[np.int64]:
    """The counts of bins that are 2 ** doublings times as wide, in as many bins."""
    sums = counts.reshape(-1, min(2**doublings, BINS)).sum(axis=1)
    return np.concatenate([sums, np.zeros(BINS - len(sums), np.int64)])
