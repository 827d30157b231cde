"""Observers: what is kept of a tensor while images stream by. Constant memory, whatever the number of images."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError

BINS = 2048
LEVELS = 128  # magnitudes that INT8 tells apart


class Range:
    """The smallest and the largest value of a tensor.

    Attributes:
        minimum, maximum: so far; infinity and its negative at the start.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.minimum, self.maximum = math.inf, -math.inf

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in one batch of the tensor, of any shape.

        Raises:
            DataError: it holds NaN or infinity.
        """
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise DataError(
                f"the tensor {self.name} holds NaN or infinity on the calibration images",
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
    powers of two, this is exact: neither the order of the images nor how they are batched changes anything. Zeros are
    left out: every scale represents them.

    Attributes:
        counts: int64 (BINS,).
        exponent: the range ends at 2 ** exponent; None before the first value that is not 0.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.counts = np.zeros(BINS, np.int64)
        self.exponent: int | None = None

    def update(self, values: NDArray[np.float32]) -> None:
        super().update(values)
        magnitudes = np.abs(values[values != 0])
        if not magnitudes.size:
            return
        needed = math.frexp(self.largest)[1]  # largest < 2 ** needed
        if self.exponent is None:
            self.exponent = needed
        elif needed > self.exponent:
            merged = min(2 ** (needed - self.exponent), BINS)
            sums = self.counts.reshape(-1, merged).sum(axis=1)
            self.counts = np.concatenate([sums, np.zeros(BINS - len(sums), np.int64)])
            self.exponent = needed
        indices = np.ldexp(magnitudes, int(math.log2(BINS)) - self.exponent).astype(np.int32)
        self.counts += np.bincount(indices, minlength=BINS)

    @property
    def width(self) -> float:
        """Of one bin."""
        return 2.0 ** (self.exponent or 0) / BINS


def minmax(histogram: Histogram) -> float:
    """The largest magnitude: nothing is clipped. Of a tensor that is always 0, 1: any scale represents it."""
    return histogram.largest or 1.0


def entropy(histogram: Histogram) -> float:
    """The threshold at which 128 levels tell most: the smallest Kullback-Leibler divergence from the histogram.

    Source: S. Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017. What lies beyond a threshold is
    counted in the last bin below it that is not empty; a level spreads its sum evenly over those of its bins that are
    not empty.
    """
    filled = np.flatnonzero(histogram.counts)
    used = int(filled[-1]) + 1 if len(filled) else 0
    if used <= LEVELS:
        return minmax(histogram)
    counts = histogram.counts.astype(np.float64)
    outliers = counts.sum() - np.cumsum(counts)  # beyond each bin
    divergences = [divergence(counts[:stop], float(outliers[stop - 1])) for stop in range(LEVELS, used + 1)]
    stop = LEVELS + int(np.argmin(divergences))
    return minmax(histogram) if stop == used else stop * histogram.width


def divergence(counts: NDArray[np.float64], outliers: float) -> float:
    """Between a clipped histogram (n,) and what 128 levels make of it; infinite where there is nothing but outliers."""
    edges = np.arange(LEVELS) * len(counts) // LEVELS
    filled = counts > 0
    if not filled.any():
        return math.inf
    sums = np.add.reduceat(counts, edges)
    means = sums / np.maximum(np.add.reduceat(filled.astype(np.float64), edges), 1)
    quantized = np.repeat(means, np.diff(edges, append=len(counts)))
    p, q = counts[filled], quantized[filled]
    p[-1] += outliers
    clipped = counts.sum() + outliers
    return float((p * np.log(p / q)).sum() / clipped + math.log(q.sum() / clipped))


METHODS: dict[str, Callable[[Histogram], float]] = {"minmax": minmax, "entropy": entropy}
