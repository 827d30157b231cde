from __future__ import annotations

import math

import numpy as np
import pytest

from runtime.measure.proportions import mcnemar, paired_difference, wilson

# Newcombe, Two-sided confidence intervals for the single proportion (1998), table I.
PUBLISHED = [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)]


@pytest.mark.parametrize(("hits", "total", "low", "high"), PUBLISHED)
def test_wilson_is_as_published(hits: int, total: int, low: float, high: float) -> None:
    interval = wilson(hits, total)
    assert interval is not None
    assert (round(interval.low, 2), round(interval.high, 2)) == (low, high)


def test_all_right_ends_at_a_hundred() -> None:
    interval = wilson(10, 10)
    assert interval is not None
    assert interval.high == 100
    assert 60 < interval.low < 75


def test_of_nothing_there_is_no_interval() -> None:
    assert wilson(0, 0) is None
    assert paired_difference(0, 0, 0) is None


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (5, 5), (1, 2), (9, 1), (0, 10), (30, 60), (400, 500)])
def test_mcnemar_is_the_exact_test(lost: int, gained: int) -> None:
    n = lost + gained
    tail = sum(math.comb(n, k) for k in range(min(lost, gained) + 1))
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, 2 * tail / 2**n))


def test_mcnemar_of_many_images_is_finite() -> None:
    assert mcnemar(50_000, 50_100) == pytest.approx(0.752, abs=0.01)  # the normal approximation
    assert mcnemar(40_000, 60_000) == pytest.approx(0, abs=1e-300)


@pytest.mark.parametrize(("b", "c"), [(0.004, 0.006), (0.0, 0.002), (0.05, 0.02)])
def test_the_paired_interval_covers_the_truth(b: float, c: float) -> None:
    rng = np.random.default_rng(0)
    total, trials, covered = 1000, 1000, 0
    draws = rng.multinomial(total, [b, c, 1 - b - c], trials)
    for lost, gained, _ in draws:
        interval = paired_difference(int(lost), int(gained), total)
        assert interval is not None
        covered += interval.low <= 100 * (b - c) <= interval.high
    assert covered / trials > 0.93


def test_without_changed_answers_the_paired_interval_has_a_closed_form() -> None:
    interval = paired_difference(0, 0, 44)
    assert interval is not None
    assert interval.high == pytest.approx(100 * 3.841459 / (44 + 3.841459), abs=1e-4)


def test_the_paired_interval_turns_with_the_pair() -> None:
    one, other = paired_difference(14, 3, 60), paired_difference(3, 14, 60)
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert 0 < one.low < 100 * 11 / 60 < one.high


def test_equal_answers_leave_room_for_some_difference() -> None:
    interval = paired_difference(0, 0, 10_000)
    assert interval is not None
    assert interval.low == pytest.approx(-interval.high)
    assert 0 < interval.high < 0.05
