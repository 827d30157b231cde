"""Percentiles of durations in memory that does not grow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runtime.camera.timing import BINS, Durations, Rate, Timing


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_are_those_of_numpy_but_for_two_percent(seed: int) -> None:
    values = np.random.default_rng(seed).lognormal(-4, 1, 5000)
    durations = Durations()
    for value in values:
        durations.add(float(value))
    for share in (0.01, 0.5, 0.99):
        exact = np.quantile(values, share, method="inverted_cdf")
        assert durations.quantile(share) == pytest.approx(exact, rel=0.02)


def test_it_takes_no_more_memory_for_more_values_and_no_value_is_too_small_or_large() -> None:
    durations = Durations()
    for value in (-1.0, 0.0, 1e-12, 1e9, 1e300):
        durations.add(value)
    assert durations.counts.shape == (BINS,)
    assert durations.counts.sum() == 5
    assert durations.quantile(0.5) < 2e-6
    assert durations.quantile(1) > 9000


def test_without_values_there_is_no_percentile() -> None:
    assert math.isnan(Durations().quantile(0.5))
    assert Timing().summary() == {}


def test_stages_keep_their_order() -> None:
    timing = Timing()
    for stage in ("age", "find", "total", "find"):
        timing.add(stage, 0.002)
    assert list(timing.summary()) == ["age", "find", "total"]
    assert timing.summary()["find"].count == 2
    assert timing.summary()["find"].p50 == pytest.approx(2, rel=0.02)


def test_the_rate_is_that_of_the_latest_frames() -> None:
    rate = Rate()
    assert rate.at(0) == 0
    for time in [*range(10), *(10 + i / 20 for i in range(100))]:
        rate.tick(time)
    assert rate.at(time) == pytest.approx(20)
    assert rate.at(time + 0.08) == pytest.approx(20)  # one frame may be late
    assert [rate.at(time + silent) for silent in (1, 10)] == pytest.approx([2, 0.2])
