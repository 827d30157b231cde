"""Observers: constant memory, and neither order nor sharing out changes anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.observers import BINS, Histogram, Range
from calibration.thresholds import minmax
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
    assert forward.zeros == len(everything) - np.count_nonzero(everything)
    assert minmax(forward) == (everything.max() or 1.0)


@given(st.lists(batches_of_floats, min_size=1, max_size=4))
def test_merged_histograms_are_that_of_the_whole(shares: list[list[np.ndarray]]) -> None:
    whole, total = observed(*(part for share in shares for part in share)), Histogram("t")
    for share in shares:
        total.merge(observed(*share))
    assert (total.minimum, total.maximum, total.exponent) == (whole.minimum, whole.maximum, whole.exponent)
    assert (total.counts == whole.counts).all() and total.zeros == whole.zeros


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
def test_nan_and_infinity_name_the_tensor_and_the_image(kind: type[Range], bad: float) -> None:
    observer = kind("fc1")
    observer.update(np.ones((32, 4), np.float32))
    values = np.zeros((8, 2, 2), np.float32)
    values[5, 1, 0] = bad
    with pytest.raises(DataError, match=r"fc1 .* for picture 5\n") as caught:
        observer.update(values, "picture {}".format)
    assert caught.value.hint
    with pytest.raises(DataError, match=r"fc1 .* on the calibration images"):
        observer.update(values)
