"""Statistics: against numpy and tables, and whether intervals hold what they say, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.measure import statistics
from runtime.measure.statistics import (
    BINS,
    MIN_ROUNDS,
    bootstrap,
    drift,
    histogram,
    is_steady,
    jitter,
    percentile,
    quantiles,
    ratio,
    student,
    summarise,
)

Rng = np.random.Generator


def make_rounds(rng: Rng, machine: NDArray[np.float64], median_ns: float, calls: int = 20) -> list[NDArray[np.int64]]:
    """Calls of an engine on a machine that is slower or faster in each round, with some noise of its own."""
    own = rng.normal(0, 0.02, len(machine))
    return [
        (median_ns * np.exp(a + b) * rng.lognormal(0, 0.1, calls)).astype(np.int64)
        for a, b in zip(machine, own, strict=True)
    ]


def test_the_formulae_against_numpy() -> None:
    samples = np.random.default_rng(0).lognormal(14, 0.3, (20, 600)).astype(np.int64)
    times = summarise(list(samples))
    flat = samples.ravel() / 1e6
    for value, share in ((times.p50, 50), (times.p90, 90), (times.p95, 95), (times.p99, 99), (times.p999, 99.9)):
        assert value == pytest.approx(np.percentile(flat, share))
    assert (times.max, times.mean) == pytest.approx((flat.max(), flat.mean()))
    assert times.variation_percent == pytest.approx(100 * flat.std() / flat.mean(), abs=1e-3)
    assert (times.samples, times.seconds) == (12_000, pytest.approx(flat.sum() / 1e3))
    assert times.jitter == pytest.approx(np.abs(np.diff(samples, axis=1)).mean() / 1e6)  # no step from round to round
    for value, interval in ((times.p50, times.p50_interval), (times.p99, times.p99_interval)):
        assert interval is not None and value is not None and interval.low <= value <= interval.high
        assert interval.high - interval.low < 0.2 * value


@pytest.mark.parametrize(("share", "needed"), [(0.9, 100), (0.95, 200), (0.99, 1000), (0.999, 10_000)])
def test_a_percentile_needs_ten_samples_above_it(share: float, needed: int) -> None:
    assert percentile(np.arange(needed, dtype=float), share) is not None
    assert percentile(np.arange(needed - 1, dtype=float), share) is None


def test_few_samples_have_a_median_and_no_more() -> None:
    times = summarise([np.array([3_000_000, 1_000_000, 2_000_000])])
    assert (times.p50, times.max, times.mean) == (2, 3, 2)
    assert times.jitter == 1.5
    assert {times.p90, times.p95, times.p99, times.p999, times.p50_interval, times.p99_interval} == {None}
    assert summarise([np.array([5])]).jitter == jitter([np.array([5])]) == 0


def test_quantiles_of_a_draw_are_those_of_its_rounds() -> None:
    rng = np.random.default_rng(3)
    rounds = [rng.integers(0, 1000, 50) for _ in range(4)]
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 4, 0, 0]], float)
    for share, found in zip((0.5, 0.9), quantiles(rounds, weights, (0.5, 0.9)), strict=True):
        for row, value in zip(weights.astype(int), found, strict=True):
            held = np.concatenate([part for part, count in zip(rounds, row, strict=True) for _ in range(count)])
            assert value == np.quantile(held, share, method="inverted_cdf")


@pytest.mark.parametrize(("freedom", "value"), [(7, 2.3646), (9, 2.2622), (19, 2.0930), (39, 2.0227), (10**6, 1.95997)])
def test_students_t_against_a_table(freedom: int, value: float) -> None:
    assert student(0.975, freedom) == pytest.approx(value, abs=1e-4)


@pytest.fixture
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "DRAWS", 300)


@pytest.mark.usefixtures("fewer_draws")
@pytest.mark.parametrize("wandering", [0.0, 0.05])
def test_an_interval_of_a_ratio_holds_it_nearly_always(wandering: float) -> None:
    """Of 120 runs, 95 % would be 114."""
    rng = np.random.default_rng(4)
    held, runs, true = 0, 120, 1.1
    for _ in range(runs):
        machine = np.cumsum(rng.normal(0, wandering, 20))  # the same for both engines
        found = ratio(make_rounds(rng, machine, true * 1e6), make_rounds(rng, machine, 1e6)).interval
        assert found is not None
        held += found.low <= true <= found.high
    assert held >= 109


def test_drift_that_both_engines_share_does_not_widen_their_ratio() -> None:
    rng = np.random.default_rng(5)
    machine = np.linspace(0, 0.5, 20)
    one, other = make_rounds(rng, machine, 1.1e6), make_rounds(rng, machine, 1e6)
    alone, paired = bootstrap(one, (0.5,))[0], ratio(one, other).interval
    assert alone is not None and paired is not None
    assert (paired.high - paired.low) / 1.1 < 0.5 * (alone.high - alone.low) / 1.1


@pytest.mark.usefixtures("fewer_draws")
def test_an_interval_of_a_median_holds_it_nearly_always() -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(120):
        rounds = make_rounds(rng, np.zeros(MIN_ROUNDS), 1e6)
        (found,) = bootstrap(rounds, (0.5,))
        assert found is not None
        held += found.low <= 1 <= found.high
    assert held >= 109


def test_what_is_equal_is_within_noise_and_what_differs_is_not() -> None:
    rng = np.random.default_rng(7)
    machine = np.cumsum(rng.normal(0, 0.05, 20))
    one, other, slow = (make_rounds(rng, machine, median) for median in (1e6, 1e6, 1.3e6))
    assert ratio(one, other).within_noise
    found = ratio(slow, one)
    assert not found.within_noise and found.value == pytest.approx(1.3, rel=0.05)
    assert found == ratio(slow, one)  # the seed is fixed


def test_few_rounds_give_no_interval() -> None:
    rounds = [np.array([1000, 2000])] * (MIN_ROUNDS - 1)
    assert bootstrap(rounds, (0.5, 0.9)) == [None, None]
    found = ratio(rounds, [part * 2 for part in rounds])
    assert (found.value, found.interval, found.within_noise) == (0.5, None, True)


def test_a_histogram_counts_every_call() -> None:
    rounds = [np.random.default_rng(8).lognormal(12, 1, 500).astype(np.int64) for _ in range(3)]
    found = histogram(rounds)
    assert (len(found.edges), len(found.counts), sum(found.counts)) == (BINS + 1, BINS, 1500)
    assert np.diff(np.log(found.edges)) == pytest.approx(np.log(found.edges[-1] / found.edges[0]) / BINS, rel=1e-4)
    assert found.counts[0] and found.counts[-1]
    samples = np.concatenate(rounds) / 1e6
    middle = found.edges[BINS // 2]
    assert sum(found.counts[: BINS // 2]) == (samples < middle).sum()


def test_a_histogram_of_equal_times() -> None:
    found = histogram([np.array([1000, 1000, 1000])])
    assert sum(found.counts) == 3 and list(found.edges) == sorted(found.edges)


def test_steady_is_when_the_last_windows_are_alike() -> None:
    assert not is_steady([1.0, 1.0], windows=3, within=0.05)
    assert not is_steady([9.0, 1.0, 1.06], windows=3, within=0.05)
    assert is_steady([9.0, 1.0, 1.04, 1.02], windows=3, within=0.05)


def test_drift_is_that_of_the_second_half() -> None:
    rounds = [np.array([value, value]) for value in (100, 100, 120, 120)]
    assert drift(rounds) == pytest.approx(0.2)
    assert drift(rounds[:1]) == 0
