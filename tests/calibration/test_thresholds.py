"""Thresholds: each method's is what its definition says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.observers import Histogram
from calibration.thresholds import LEVELS, METHODS, divergences, entropy, minmax, mse, percentile, squared_errors
from tests.calibration.test_observers import observed


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0], [-3.0, 0.0], [1e-40], [-1e30, 1e30]])
def test_a_threshold_is_positive_and_never_beyond_what_was_seen(
    method: Callable[[Histogram], float], values: list[float]
) -> None:
    histogram = observed(np.array(values))
    threshold = method(histogram)
    assert 0 < threshold <= (histogram.largest or 1.0)


def test_entropy_clips_a_long_tail_and_minmax_does_not() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 200_000), [60.0, -55.0]])
    histogram = observed(values)
    assert minmax(histogram) == 60
    assert 3 < entropy(histogram) < 8


@pytest.mark.parametrize("outlier", [100.0, 1000.0])
def test_entropy_clips_an_outlier_behind_a_gap(outlier: float) -> None:
    values = np.append(np.random.default_rng(0).normal(0, 1, 200_000), outlier)
    assert entropy(observed(values)) <= outlier / 8


def test_entropy_clips_no_more_than_a_tail_where_most_values_are_alike() -> None:
    """As behind a tanh on black images: the background has a few values, and a divergence knows no distances."""
    rng = np.random.default_rng(0)
    background = np.repeat([0.05, 0.4, 0.7], 60_000) + rng.normal(0, 1e-4, 180_000)
    values = np.concatenate([background, np.tanh(rng.normal(0, 0.6, 60_000))])
    threshold = entropy(observed(values))
    assert (np.abs(values) > threshold).mean() < 0.05 < (np.abs(values) > 0.6).mean()


def test_entropy_keeps_what_is_evenly_spread() -> None:
    histogram = observed(np.linspace(-1.9, 1.9, 100_001))
    assert entropy(histogram) > 1.8


def slow_divergence(counts: np.ndarray, stop: int) -> float:
    """The definition, word by word: clip, quantize to LEVELS, spread evenly over what is not empty, compare."""
    reference = counts[:stop].astype(float)
    if not reference.any():
        return math.inf
    reference[np.flatnonzero(reference)[-1]] += counts[stop:].sum()
    candidate = np.zeros(stop)
    levels = np.array([level_of(i, stop) for i in range(stop)])
    for level in range(LEVELS):
        inside = np.flatnonzero((levels == level) & (counts[:stop] > 0))
        candidate[inside] = counts[inside].sum() / max(len(inside), 1)
    p, q = reference / reference.sum(), candidate / max(candidate.sum(), 1)
    if ((p > 0) & (q == 0)).any():
        return math.inf
    return float(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a))


def level_of(bin_index: int, stop: int) -> int:
    edges = [level * stop // LEVELS for level in range(LEVELS)]
    return int(np.searchsorted(edges, bin_index, side="right")) - 1


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(LEVELS, 300), st.booleans())
def test_the_divergence_is_that_of_the_definition(seed: int, stop: int, sparse: bool) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3 if sparse else 20, 400)
    (actual,) = divergences(counts.astype(float), np.array([stop]))
    expected = slow_divergence(counts, stop)
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-12) or actual == expected


def slow_error(values: np.ndarray, threshold: float) -> float:
    """The definition, word by word, over the values themselves."""
    step = threshold / (LEVELS - 1)
    return float(np.square(np.clip(np.rint(values / step), -127, 127) * step - values).sum())


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["normal", "laplace", "relu", "tail", "two values"]))
def test_no_other_threshold_has_a_smaller_squared_error(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    values = {
        "normal": rng.normal(0, 3, 20_000),
        "laplace": rng.laplace(0, 0.01, 20_000),
        "relu": np.maximum(rng.normal(0, 1, 20_000), 0),
        "tail": np.append(rng.normal(0, 1, 20_000), [40.0, -50.0]),
        "two values": rng.choice([-0.25, 1.0], 20_000),
    }[kind]
    histogram = observed(values)
    found = slow_error(values, mse(histogram))
    others = [slow_error(values, threshold) for threshold in np.linspace(histogram.largest / 16, histogram.largest, 40)]
    # Values are taken to be spread evenly over their bins, of which a step holds 8 to 16.
    assert found <= 1.02 * min(others) + 1e-12


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_squared_errors_are_those_of_values_spread_over_bins(seed: int) -> None:
    counts = np.random.default_rng(seed).poisson(3, 300).astype(np.float64)
    parts = 200
    values = np.repeat(np.arange(300), parts) + np.tile((np.arange(parts) + 0.5) / parts, 300)
    weights = np.repeat(counts / parts, parts)
    stops = np.array([1, 60, 128, 200, 299, 300])
    for stop, error in zip(stops, squared_errors(counts, stops), strict=True):
        step = stop / (LEVELS - 1)
        expected = (weights * np.square(np.minimum(np.rint(values / step), 127) * step - values)).sum()
        assert error == pytest.approx(expected, rel=0.01)


@given(st.integers(0, 2**32 - 1), st.integers(0, 30_000))
def test_a_percentile_counts_zeros_and_clips_no_more_than_its_share(seed: int, zeros: int) -> None:
    values = np.append(np.random.default_rng(seed).laplace(0, 1, 30_000), np.zeros(zeros))
    histogram = observed(values)
    threshold = percentile(histogram)
    magnitudes = np.abs(values.astype(np.float32))
    assert (magnitudes > threshold).mean() <= 1e-4
    assert threshold == histogram.largest or (magnitudes >= threshold - histogram.width).mean() >= 1e-4


def test_mse_and_percentile_clip_an_outlier_behind_a_gap() -> None:
    histogram = observed(np.append(np.random.default_rng(0).normal(0, 1, 200_000), 100.0))
    assert minmax(histogram) == 100
    assert 3 < percentile(histogram) < 5 and 8 < mse(histogram) < 60  # half of the error is from the outlier
