"""Rounding with feedback: the error of the output is smaller than with each weight rounded to the nearest."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from calibration import rounding
from calibration.rounding import pack, round_with_feedback, unpack
from runtime.errors import DataError


def correlated(groups: int, outputs: int, inputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, scales, and what some hundred samples are, whose values have much in common."""
    rng = np.random.default_rng(inputs)
    samples = rng.normal(size=(groups, 500, 4)) @ rng.normal(size=(groups, 4, inputs))
    samples += 0.3 * rng.normal(size=samples.shape)
    weights = rng.normal(size=(groups, outputs, inputs)).astype(np.float32)
    return weights, np.abs(weights).max(axis=2) / 16, samples.astype(np.float32)


@pytest.mark.parametrize(("groups", "outputs", "inputs"), [(1, 8, 40), (1, 3, 300), (6, 1, 9), (2, 4, 25)])
def test_the_output_errs_less_than_with_each_weight_at_its_nearest(groups: int, outputs: int, inputs: int) -> None:
    weights, scales, samples = correlated(groups, outputs, inputs)
    found = round_with_feedback(weights, scales, samples, 16)
    nearest = np.rint(weights / scales[..., None])
    error, plain = (
        float(np.square((steps * scales[..., None] - weights) @ samples.transpose(0, 2, 1)).sum())
        for steps in (found, nearest)
    )
    assert found.dtype == np.int8 and np.abs(found).max() <= 16
    assert error < 0.5 * plain


@pytest.mark.parametrize("count", [30, 500])
def test_blocks_change_nothing(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, scales, samples = correlated(1, 5, 70)
    whole = round_with_feedback(weights, scales, samples[:, :count], 127)
    monkeypatch.setattr(rounding, "BLOCK", 8)
    np.testing.assert_array_equal(round_with_feedback(weights, scales, samples[:, :count], 127), whole)


def test_few_samples_give_what_their_products_give() -> None:
    weights, scales, samples = correlated(3, 5, 70)
    few = round_with_feedback(weights, scales, samples[:, :30], 127)
    twice = np.sqrt(0.5) * np.repeat(samples[:, :30], 2, axis=1)  # twice as many that have the same products
    assert (round_with_feedback(weights, scales, twice, 127) == few).mean() > 0.99  # but for float32's ties


@pytest.mark.parametrize("count", [30, 500])
@pytest.mark.parametrize("size", [2.0**100, 2.0**-100])
@pytest.mark.filterwarnings("error")
def test_the_size_of_samples_changes_nothing(size: float, count: int) -> None:
    weights, scales, samples = correlated(2, 5, 70)
    samples = samples[:, :count]
    expected = round_with_feedback(weights, scales, samples, 127)
    np.testing.assert_array_equal(round_with_feedback(weights, scales, samples * np.float32(size), 127), expected)


def test_inputs_that_have_nothing_in_common_are_rounded_to_the_nearest() -> None:
    weights, scales, _ = correlated(2, 4, 10)
    for samples in (np.eye(10) * np.arange(10), np.zeros((10, 10)), np.zeros((3, 10))):
        found = round_with_feedback(weights, scales, np.stack([samples] * 2).astype(np.float32), 16)
        np.testing.assert_array_equal(found, np.rint(weights / scales[..., None]))


def test_what_is_given_stays_as_it_is() -> None:
    weights, scales, samples = correlated(1, 4, 30)
    before = weights.copy(), samples.copy()
    round_with_feedback(weights, scales, samples, 16)
    np.testing.assert_array_equal(weights, before[0])
    np.testing.assert_array_equal(samples, before[1])


@given(arrays.arrays(np.int8, arrays.array_shapes(max_dims=4, max_side=6)))
def test_packed_numbers_come_back(steps: np.ndarray) -> None:
    np.testing.assert_array_equal(unpack(pack(steps), steps.shape, "fc1"), steps)


@given(st.text(max_size=40))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="rounded weights of fc1 are damaged"):
        unpack(text, (3, 5), "fc1")


@pytest.mark.parametrize("size", [14, 16, 1 << 26])
def test_another_number_of_weights_is_refused(size: int) -> None:
    with pytest.raises(DataError, match="fc1 are damaged: they are not 15"):
        unpack(base64.b64encode(zlib.compress(bytes(size))).decode(), (3, 5), "fc1")
