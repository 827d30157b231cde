"""What shares of images say of the share of all images: intervals and a test for pairs."""

from __future__ import annotations

import math

import numpy as np

from runtime.measure.result import Interval

Z = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations


def wilson(hits: int, total: int) -> Interval | None:
    """Wilson's interval of a share, in percent: unlike the usual one it is right near 0 and 100 %, too.

    Args:
        hits: how many of them.
        total: of how many; None is the answer for none.

    Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    if not total:
        return None
    share, square = hits / total, Z * Z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = Z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    low = 0.0 if hits == 0 else max(middle - half, 0.0)
    high = 1.0 if hits == total else min(middle + half, 1.0)
    return Interval(100 * low, 100 * high)


def paired_difference(lost: int, gained: int, total: int) -> Interval | None:
    """The interval of the share of one less that of another on the same images, in percentage points.

    Args:
        lost: images that only the first has right.
        gained: that only the second has right.
        total: of how many; None is the answer for none.

    Source: Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design (1998): all differences that a score test does not refuse. Unlike Wald's interval it is right where hardly
    any image changes its answer, which is what engines are like.
    """
    if not total:
        return None
    b, c = lost, gained

    def score(difference: float) -> float:
        """How many standard deviations `lost` lies above what that difference would give."""
        linear = -b - c + (2 * total - b + c) * difference
        constant = -c * difference * (1 - difference)
        share = (math.sqrt(max(linear * linear - 8 * total * constant, 0.0)) - linear) / (4 * total)
        variance = total * (2 * share + difference * (1 - difference))
        distance = b - c - total * difference
        if variance <= 0:  # a difference that the answers themselves have, or one that they cannot have
            return math.copysign(math.inf, distance) if distance else 0.0
        return distance / math.sqrt(variance)

    def root(level: float) -> float:
        """The difference that has this score, which falls as differences rise: by halving."""
        low, high = -1.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if score(middle) > level else (low, middle)
        return (low + high) / 2

    return Interval(100 * root(Z), 100 * root(-Z))


def mcnemar(lost: int, gained: int) -> float:
    """How likely so uneven a split is where both are equally often right: McNemar's exact test, two-sided.

    Args:
        lost: images that only the first has right.
        gained: that only the second has right.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions (1947).
    """
    n, fewer = lost + gained, min(lost, gained)
    if lost == gained:
        return 1.0
    k = np.arange(fewer + 1)
    logs = np.array([math.lgamma(i + 1) + math.lgamma(n - i + 1) for i in k])
    return min(1.0, 2 * float(np.exp(math.lgamma(n + 1) - logs - n * math.log(2)).sum()))
