"""What samples say, and how surely: percentiles, intervals by a bootstrap over rounds, histograms.

Neighbouring calls are alike, since a machine drifts; rounds, in which the engines take turns, are what repeats. So
whole rounds are drawn again, not calls, and for a ratio the same rounds of both engines, which drifted together.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.measure.result import Histogram, Interval, Ratio, Times

#: Nanoseconds of calls, round by round.
Rounds: TypeAlias = Sequence[NDArray[np.int64]]

CONFIDENCE = 0.95
MIN_ROUNDS = 10  # for an interval
MIN_ABOVE = 10  # samples, for a percentile
DRAWS = 1000
MOST_STEPS = 2048  # of a distribution, for a bootstrap: finer than any percentile that gets an interval
SEED = 20
BINS = 60


def summarise(rounds: Rounds) -> Times:
    """How the time of a call is distributed.

    Args:
        rounds: none of them empty.
    """
    samples = np.concatenate(rounds) / 1e6
    p50, p90, p95, p99, p999 = (percentile(samples, share) for share in (0.5, 0.9, 0.95, 0.99, 0.999))
    mean = float(samples.mean())
    intervals = bootstrap(rounds, (0.5, 0.99))
    return Times(
        p50=milliseconds(float(np.median(samples))) if p50 is None else p50,
        p90=p90,
        p95=p95,
        p99=p99,
        p999=p999,
        max=milliseconds(float(samples.max())),
        mean=milliseconds(mean),
        p50_interval=intervals[0],
        p99_interval=None if p99 is None else intervals[1],
        jitter=milliseconds(jitter(rounds)),
        variation_percent=round(100 * float(samples.std()) / mean, 3) if mean else 0.0,
        samples=len(samples),
        seconds=round(float(samples.sum()) / 1e3, 6),
    )


def percentile(samples: NDArray[np.float64], share: float) -> float | None:
    """In the unit of the samples; None where fewer than ten of them lie above it."""
    if len(samples) * (1 - share) < MIN_ABOVE - 1e-9:
        return None
    return milliseconds(float(np.percentile(samples, 100 * share)))


def jitter(rounds: Rounds) -> float:
    """The mean difference between a call and the one before in its round, in milliseconds; 0 without any."""
    steps = np.concatenate([np.abs(np.diff(samples)) for samples in rounds])
    return float(steps.mean()) / 1e6 if len(steps) else 0.0


def ratio(rounds: Rounds, reference: Rounds) -> Ratio:
    """The median of a call over that of another engine, measured in the same rounds.

    Args:
        rounds: of the one.
        reference: of the other; as many.
    """
    value = float(np.median(np.concatenate(rounds)) / max(np.median(np.concatenate(reference)), 1.0))
    if len(rounds) < MIN_ROUNDS:
        return Ratio(value, None, within_noise=True)  # nothing says that they differ
    weights = draw(len(rounds))
    ratios = quantiles(rounds, weights, (0.5,))[0] / np.maximum(quantiles(reference, weights, (0.5,))[0], 1.0)
    interval = between(ratios, value, len(rounds))
    return Ratio(value, interval, within_noise=interval.low <= 1 <= interval.high)


def bootstrap(rounds: Rounds, shares: Sequence[float]) -> list[Interval | None]:
    """An interval for each of some quantiles, in milliseconds; None where there are too few rounds."""
    if len(rounds) < MIN_ROUNDS:
        return [None] * len(shares)
    samples = np.concatenate(rounds)
    drawn = quantiles(rounds, draw(len(rounds)), shares)
    return [
        between(values / 1e6, float(np.quantile(samples, share)) / 1e6, len(rounds))
        for values, share in zip(drawn, shares, strict=True)
    ]


def draw(rounds: int) -> NDArray[np.float64]:
    """How often each round comes up in each of `DRAWS` draws with replacement: the same for every engine of a run."""
    return np.random.default_rng(SEED).multinomial(rounds, [1 / rounds] * rounds, DRAWS).astype(np.float64)


def quantiles(rounds: Rounds, weights: NDArray[np.float64], shares: Sequence[float]) -> list[NDArray[np.float64]]:
    """Quantiles of what each draw holds: for each share, one of each draw.

    The distribution of every round is counted at steps that are common to all. A draw is then a sum of those counts,
    and all draws are one product of matrices.
    """
    steps = np.sort(np.concatenate(rounds))
    if len(steps) > MOST_STEPS:
        steps = steps[np.linspace(0, len(steps) - 1, MOST_STEPS).round().astype(np.int64)]
    steps = np.unique(steps)
    below = np.stack([np.searchsorted(np.sort(samples), steps, side="right") for samples in rounds]).astype(np.float64)
    drawn = weights @ below
    return [steps[np.argmax(drawn >= share * drawn[:, -1:], axis=1)].astype(np.float64) for share in shares]


def between(values: NDArray[np.float64], value: float, rounds: int) -> Interval:
    """Where the middle of the draws lies, about what was measured.

    Draws from few rounds spread too little: the percentiles are taken further out, as Student's t is wider than the
    normal distribution (the expanded percentile interval: T. Hesterberg, "What Teachers Should Know About the
    Bootstrap", 2015).
    """
    t = student((1 + CONFIDENCE) / 2, rounds - 1)
    tail = NormalDist().cdf(-t * (rounds / (rounds - 1)) ** 0.5)
    low, high = np.quantile(values, (tail, 1 - tail))
    return Interval(milliseconds(min(float(low), value)), milliseconds(max(float(high), value)))


def student(share: float, freedom: int) -> float:
    """A quantile of Student's t, by Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5)."""
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, 1)))


def histogram(rounds: Rounds) -> Histogram:
    """Counts over evenly spaced logarithms, from the fastest call to the slowest."""
    samples = np.maximum(np.concatenate(rounds), 1) / 1e6
    low, high = float(samples.min()), float(samples.max())
    edges = np.geomspace(low, max(high, low * 1.001), BINS + 1)
    counts, _ = np.histogram(samples, [0, *edges[1:-1], np.inf])
    return Histogram(tuple(milliseconds(float(edge)) for edge in edges), tuple(int(count) for count in counts))


def is_steady(medians: Sequence[float], windows: int, within: float) -> bool:
    """Whether the last windows are alike: their medians differ by no more than a share of the smallest."""
    last = medians[-windows:]
    return len(last) == windows and max(last) - min(last) <= within * min(last)


def drift(rounds: Rounds) -> float:
    """By which share the median of the second half of the rounds is above that of the first."""
    half = len(rounds) // 2
    if not half:
        return 0.0
    first, second = (float(np.median(np.concatenate(part))) for part in (rounds[:half], rounds[-half:]))
    return second / max(first, 1.0) - 1


def milliseconds(value: float) -> float:
    """To a picosecond, as the JSON has it."""
    return round(value, 9)
