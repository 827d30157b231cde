"""Observers: constant memory, any order; thresholds that are what their definition says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.observers import BINS, LEVELS, METHODS, Histogram, Range, divergence, entropy, minmax
from runtime.errors import DataError

batches_of_floats = st.lists(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8).map(lambda v: np.array(v, np.float32)),
    min_size=1,
    max_size=6,
)


def observed(*parts: np.ndarray) -> Histogram:
    histogram = Histogram("t")
    for part in parts:
        histogram.update(part.astype(np.float32))
    return histogram


@settings(deadline=None)
@given(batches_of_floats, st.randoms())
def test_neither_order_nor_batches_matter(parts: list[np.ndarray], random: object) -> None:
    forward = observed(*parts)
    random.shuffle(parts)  # type: ignore[attr-defined]
    shuffled, at_once = observed(*parts), observed(np.concatenate(parts))
    for other in (shuffled, at_once):
        assert (forward.minimum, forward.maximum, forward.exponent) == (other.minimum, other.maximum, other.exponent)
        assert (forward.counts == other.counts).all()
    everything = np.abs(np.concatenate(parts))
    assert forward.counts.sum() == np.count_nonzero(everything)
    assert minmax(forward) == (everything.max() or 1.0)


@settings(deadline=None)
@given(batches_of_floats)
def test_every_value_is_in_its_bin(parts: list[np.ndarray]) -> None:
    histogram = observed(*parts)
    magnitudes = np.abs(np.concatenate(parts)).astype(np.float64)
    expected = np.bincount((magnitudes[magnitudes > 0] / histogram.width).astype(int), minlength=BINS)
    assert (histogram.counts == expected).all()


def test_subnormal_values_and_the_largest_float_are_counted() -> None:
    histogram = observed(np.array([1e-42, np.finfo(np.float32).max]))
    assert histogram.counts.sum() == 2
    assert minmax(histogram) == np.finfo(np.float32).max


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [Range, Histogram])
def test_nan_and_infinity_name_the_tensor(kind: type[Range], bad: float) -> None:
    observer = kind("fc1")
    observer.update(np.ones((32, 4), np.float32))
    with pytest.raises(DataError, match="fc1") as caught:
        observer.update(np.array([[0, 0, 0, bad]], np.float32))
    assert caught.value.hint


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0], [-3.0, 0.0], [1e-40], [-1e30, 1e30]])
def test_a_threshold_is_positive_and_never_beyond_what_was_seen(method: object, values: list[float]) -> None:
    histogram = observed(np.array(values))
    threshold = method(histogram)  # type: ignore[operator]
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
    for level in range(LEVELS):
        inside = [i for i in range(stop) if level_of(i, stop) == level and counts[i]]
        for i in inside:
            candidate[i] = sum(counts[j] for j in inside) / len(inside)
    p, q = reference / reference.sum(), candidate / max(candidate.sum(), 1)
    if ((p > 0) & (q == 0)).any():
        return math.inf
    return float(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a))


def level_of(bin_index: int, stop: int) -> int:
    edges = [level * stop // LEVELS for level in range(LEVELS)]
    return int(np.searchsorted(edges, bin_index, side="right")) - 1


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(LEVELS, 300), st.booleans())
def test_the_divergence_is_that_of_the_definition(seed: int, stop: int, sparse: bool) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3 if sparse else 20, 400)
    expected = slow_divergence(counts, stop)
    actual = divergence(counts[:stop].astype(float), float(counts[stop:].sum()))
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-12) or actual == expected
