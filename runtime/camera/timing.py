"""How long the stages of the camera take, over any number of frames, in memory that does not grow."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from msgspec import Struct

SHORTEST_S, LONGEST_S = 1e-6, 1e4
STEP = 1.02  # from one bin to the next: a percentile is at most this factor off
BINS = math.ceil(math.log(LONGEST_S / SHORTEST_S) / math.log(STEP)) + 1
LATEST = 30  # frames that the rate is taken from
LATE = 2  # times as long as one takes, after which the next is missing


class StageTimes(Struct, frozen=True):
    """What one stage took.

    Attributes:
        p50: milliseconds, the median.
        p99: milliseconds.
        count: frames that went through it.
    """

    p50: float
    p99: float
    count: int


class Durations:
    """A histogram of durations, whose bins widen with their length.

    Attributes:
        counts: int64 (BINS,); the first bin takes what is shorter, the last one what is longer.
        sum_s: seconds of all together.
    """

    def __init__(self) -> None:
        self.counts, self.sum_s = np.zeros(BINS, np.int64), 0.0

    def add(self, seconds: float) -> None:
        """One more; clocks that disagree may make it negative, which counts as nothing."""
        self.counts[bin_of(seconds)] += 1
        self.sum_s += max(seconds, 0.0)

    def up_to(self, bounds_s: Sequence[float]) -> list[int]:
        """How many durations are at most so long, of each bound; one may be a bin off."""
        sums = np.cumsum(self.counts)
        return [int(sums[bin_of(bound)]) for bound in bounds_s]

    def quantile(self, share: float) -> float:
        """Seconds that a share of 0..1 of the durations do not exceed; NaN where there are none."""
        total = int(self.counts.sum())
        if not total:
            return math.nan
        place = int(np.searchsorted(np.cumsum(self.counts), max(1, math.ceil(share * total))))
        return float(SHORTEST_S * STEP ** (place + 0.5))


def bin_of(seconds: float) -> int:
    """The place of a duration among those of `Durations.counts`."""
    return min(int(math.log(max(seconds, SHORTEST_S) / SHORTEST_S) / math.log(STEP)), BINS - 1)


class Timing:
    """Durations by stage, in the order in which the stages were first seen."""

    def __init__(self) -> None:
        self.stages: dict[str, Durations] = {}

    def add(self, stage: str, seconds: float) -> None:
        """One more of a stage."""
        if stage not in self.stages:
            self.stages[stage] = Durations()
        self.stages[stage].add(seconds)

    def summary(self) -> dict[str, StageTimes]:
        """Percentiles of every stage."""
        return {
            name: StageTimes(
                round(1e3 * durations.quantile(0.5), 3),
                round(1e3 * durations.quantile(0.99), 3),
                int(durations.counts.sum()),
            )
            for name, durations in self.stages.items()
        }


class Rate:
    """Frames a second, over the latest ones."""

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=LATEST)

    def tick(self, now: float) -> None:
        """One more frame, at a time in seconds."""
        self.times.append(now)

    def at(self, now: float) -> float:
        """Frames a second, at a time in seconds; 0 before there are two, and less and less while none comes."""
        passed = self.times[-1] - self.times[0] if self.times else 0.0
        if passed <= 0:
            return 0.0
        rate, silent = (len(self.times) - 1) / passed, now - self.times[-1]
        return min(rate, LATE / silent) if silent > 0 else rate
