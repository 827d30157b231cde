"""Thresholds: how much of a tensor's range 127 steps are spread over, four methods from the same histogram."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from calibration.observers import Histogram

LEVELS = 128  # magnitudes that INT8 tells apart
PERCENTILE = 99.99
MOST_CLIPPED = 0.05  # of the values that are not 0, by `entropy`
TOGETHER = 256  # thresholds that are tried at once: what is computed of them fits a processor's cache


def minmax(histogram: Histogram) -> float:
    """The largest magnitude: nothing is clipped. Of a tensor that is always 0, 1: any scale represents it."""
    return histogram.largest or 1.0


def percentile(histogram: Histogram) -> float:
    """What 99.99 % of all magnitudes do not exceed, zeros included; a magnitude is as large as its bin's end."""
    seen = histogram.zeros + np.cumsum(histogram.counts)
    stop = int(np.searchsorted(seen, seen[-1] * (PERCENTILE / 100))) + 1
    return min(stop * histogram.width, minmax(histogram)) if seen[0] < seen[-1] else minmax(histogram)


def entropy(histogram: Histogram) -> float:
    """The threshold at which 128 levels tell most: the smallest Kullback-Leibler divergence from the histogram.

    Source: S. Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017. What lies beyond a threshold is
    counted in the last bin below it that is not empty; a level spreads its sum evenly over those of its bins that are
    not empty. A divergence knows nothing of how far a clipped value is moved: where most values are alike, as in what a
    layer makes of a black background, they may all be clipped to one that is too. So no more than a tail is clipped.
    """
    return best(histogram, divergences, MOST_CLIPPED)


def divergences(counts: NDArray[np.float64], stops: NDArray[np.int64]) -> NDArray[np.float64]:
    """Between a histogram that is clipped at each threshold and what 128 levels make of it.

    With p the clipped counts and q what a level spreads, sum p log(p / q) needs for each level its sum and how many of
    its bins are not empty, and the last such bin once more: all are differences of sums from the first bin on.

    Args:
        counts: float64 (n,).
        stops: how many bins are kept, int64 (m,), each `LEVELS` or more.

    Returns:
        float64 (m,); infinite where there is nothing but outliers.
    """
    filled = counts > 0
    until, bins_until = (np.append(0, np.cumsum(values)) for values in (counts, filled))
    entropy_until = np.append(0, np.cumsum(times_log(counts)))
    edges = np.arange(LEVELS + 1) * stops[:, None] // LEVELS
    sums, bins = (np.diff(total[edges]) for total in (until, bins_until))
    logs = np.log(np.maximum(np.arange(len(counts) + 1), 1))
    spread = times_log(sums) - sums * logs[bins]  # sum of counts times log of the mean, by level
    last = np.maximum.accumulate(np.where(filled, np.arange(len(counts)), -1))[stops - 1]  # outliers are counted in it
    rows, levels = np.arange(len(stops)), (LEVELS * (last + 1) - 1) // stops  # the last level that begins by there
    kept, clipped = until[stops], until[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        outliers = clipped - kept
        crowded = times_log(counts[last] + outliers) - times_log(counts[last])
        means = sums[rows, levels] / bins[rows, levels]
        total = (
            entropy_until[stops] + crowded - spread.sum(axis=1) - np.where(outliers > 0, outliers * np.log(means), 0)
        )
        found = total / clipped + np.log(kept / clipped)
    return np.where(last < 0, np.inf, found)


def times_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """X log x, 0 where x is 0."""
    return values * np.log(np.where(values > 0, values, 1))


def mse(histogram: Histogram) -> float:
    """The threshold with the smallest mean squared error, of rounding below it and of clipping beyond it."""
    return best(histogram, squared_errors)


def squared_errors(counts: NDArray[np.float64], stops: NDArray[np.int64]) -> NDArray[np.float64]:
    """What 127 steps up to each threshold lose of a histogram, whose values are spread evenly within their bins.

    Values nearest to a level x cost sum (v - x)^2 = sum v^2 - 2 x sum v + x^2 n; the three sums between two values are
    differences of sums from 0 on, which are polynomials within a bin.

    Args:
        counts: float64 (n,), bins of width 1.
        stops: thresholds, int64 (m,), each 1 or more.

    Returns:
        The sums of squared errors, float64 (m,), in units of bins.
    """
    edges = np.arange(len(counts) + 1.0)
    levels = np.arange(LEVELS) * (stops[:, None] / (LEVELS - 1))
    borders = np.empty((len(stops), LEVELS + 1))
    borders[:, 0], borders[:, -1] = 0, len(counts)
    np.minimum((levels[:, :-1] + levels[:, 1:]) / 2, len(counts), out=borders[:, 1:-1])
    bins = np.minimum(borders.astype(np.int64), len(counts) - 1)
    density, raised, sums = counts[bins], np.ones_like(borders), []
    for power in (1, 2, 3):
        raised *= borders
        until = np.append(0, np.cumsum(counts * np.diff(edges**power)))[:-1] - counts * edges[:-1] ** power
        sums.append(np.diff(until[bins] + density * raised) / power)
    return np.asarray((sums[2] - levels * (2 * sums[1] - levels * sums[0])).sum(axis=1))


def best(
    histogram: Histogram,
    losses: Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]],
    most_clipped: float = 1.0,
) -> float:
    """The end of the bin at which clipping loses least, the first 128 bins at least being kept.

    Args:
        histogram: of the tensor.
        losses: from the counts, float64 (n,), and how many bins are kept, int64 (m,), to float64 (m,).
        most_clipped: the largest share of the values that are not 0 which may lie beyond.
    """
    filled = np.flatnonzero(histogram.counts)
    used = int(filled[-1]) + 1 if len(filled) else 0
    if used <= LEVELS:
        return minmax(histogram)
    counts = histogram.counts[:used].astype(np.float64)
    until = np.cumsum(counts)
    fewest = int(np.searchsorted(until, (1 - most_clipped) * until[-1])) + 1
    stops = np.arange(max(LEVELS, fewest), used + 1)
    parts = np.split(stops, range(TOGETHER, len(stops), TOGETHER))
    found = np.concatenate([losses(counts, part) for part in parts])
    stop = int(stops[np.argmin(found)])
    return minmax(histogram) if stop == used else stop * histogram.width


METHODS: dict[str, Callable[[Histogram], float]] = {
    "minmax": minmax,
    "percentile": percentile,
    "entropy": entropy,
    "mse": mse,
}
