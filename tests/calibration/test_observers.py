"""Observers: constant memory, any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.observers import METHODS, MinMaxObserver
from runtime.errors import DataError

batches_of_floats = st.lists(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8).map(lambda v: np.array(v, np.float32)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(batches_of_floats, st.randoms())
def test_order_does_not_matter_and_nothing_is_clipped(parts: list[np.ndarray], random: object) -> None:
    forward, shuffled = MinMaxObserver("t"), MinMaxObserver("t")
    for part in parts:
        forward.update(part)
    random.shuffle(parts)  # type: ignore[attr-defined]
    for part in parts:
        shuffled.update(part)
    everything = np.concatenate(parts)
    assert (forward.minimum, forward.maximum) == (shuffled.minimum, shuffled.maximum)
    assert (forward.minimum, forward.maximum) == (everything.min(), everything.max())
    assert forward.threshold() == (np.abs(everything).max() or 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", METHODS)
def test_nan_and_infinity_name_the_tensor(name: str, bad: float) -> None:
    with pytest.raises(DataError, match="fc1") as caught:
        METHODS[name]("fc1").update(np.array([0.0, bad, 1.0], np.float32))
    assert caught.value.hint


@pytest.mark.parametrize("name", METHODS)
def test_nan_in_a_later_smaller_batch_is_found(name: str) -> None:
    observer = METHODS[name]("fc1")
    observer.update(np.ones((32, 4), np.float32))
    with pytest.raises(DataError, match="fc1"):
        observer.update(np.array([[0, 0, 0, np.nan]], np.float32))


def test_a_last_smaller_batch_counts_as_any_other() -> None:
    observer = MinMaxObserver("t")
    observer.update(np.linspace(-1, 1, 96, dtype=np.float32).reshape(32, 3))
    observer.update(np.array([[0.5, -7.0, 2.0]], np.float32))
    assert (observer.minimum, observer.maximum, observer.threshold()) == (-7.0, 2.0, 7.0)


def test_a_tensor_of_zeros_has_a_threshold() -> None:
    observer = MinMaxObserver("t")
    observer.update(np.zeros(3, np.float32))
    assert observer.threshold() > 0
