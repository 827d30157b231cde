"""The error of a graph, by its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from calibration.errors import MOST_DB, TensorError, image_sqnr, measure_sqnr
from tests.export.graphs import normal, parse
from tests.fakes import RecordingStage

FLOATS = "float[batch,4] image"
BODY = "[a] t = Mul (image, one) [b] y = Add (t, two)"


def graph(factor: float, shift: float = 0.0) -> object:
    return parse(
        BODY, "float[batch,4] y", takes=FLOATS, one=np.array(factor, np.float32), two=np.array(shift, np.float32)
    )


def test_the_ratio_is_that_of_signal_to_noise_over_all_images() -> None:
    parts = [normal(3, 4), normal(5, 4, seed=1) * np.float32(10)]
    stage = RecordingStage(8, None)
    errors = measure_sqnr(graph(1), graph(1.01), ["t", "y"], parts, stage)
    assert errors == {"t": pytest.approx(40, abs=0.02), "y": pytest.approx(40, abs=0.02)}
    assert stage.done == 8


def test_equal_tensors_get_the_most_and_a_lost_signal_the_least() -> None:
    assert measure_sqnr(graph(1), graph(1), ["y"], [normal(3, 4)], RecordingStage(3, None)) == {"y": MOST_DB}
    assert measure_sqnr(graph(0), graph(0, 1), ["y"], [normal(3, 4)], RecordingStage(3, None)) == {"y": -MOST_DB}


def test_an_error_shows_where_it_comes_in() -> None:
    errors = measure_sqnr(graph(1), graph(1, 0.1), ["t", "y"], [normal(3, 4)], RecordingStage(3, None))
    assert errors["t"] == MOST_DB and errors["y"] < 40


def test_a_graph_that_answers_nan_has_nothing_left_of_the_signal() -> None:
    assert measure_sqnr(graph(1), graph(np.nan), ["y"], [normal(3, 4)], RecordingStage(3, None)) == {"y": -MOST_DB}


def test_each_image_has_a_ratio_of_its_own() -> None:
    x = np.stack([normal(4), normal(4, seed=1) * np.float32(100), np.zeros(4, np.float32), normal(4)])
    y = np.stack([x[0] * np.float32(1.01), x[1] * np.float32(1.1), np.ones(4, np.float32), x[3]])
    np.testing.assert_allclose(image_sqnr(x, y), [40, 20, -MOST_DB, MOST_DB], atol=0.01)
    for lost in (np.nan, np.inf):
        assert image_sqnr(x[:1], np.full((1, 4), lost, np.float32)) == [-MOST_DB]


FLOAT = st.floats(-1e4, 1e4, width=32)
BATCHES = st.lists(
    st.integers(1, 4).flatmap(lambda count: arrays(np.float32, (2, count, 3), elements=FLOAT)), min_size=1, max_size=4
)


@given(BATCHES)
def test_errors_are_those_of_all_batches_at_once(parts: list[NDArray[np.float32]]) -> None:
    error = TensorError()
    for x, y in parts:
        error.update(x, y)
    x, y = (np.concatenate([part[side] for part in parts]).astype(np.float64) for side in (0, 1))
    signal, noise = (x**2).sum(), ((x - y) ** 2).sum()
    if noise == 0:
        assert error.sqnr_db == MOST_DB and error.largest_error == 0 and error.image is None
    elif signal == 0:
        assert error.sqnr_db == -MOST_DB
    else:
        assert error.sqnr_db == pytest.approx(
            np.clip(10 * np.log10(signal / noise), -MOST_DB, MOST_DB - 0.01), abs=0.006
        )
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    alike = 1.0 if not x.any() and not y.any() else 0.0
    assert error.cosine == pytest.approx((x * y).sum() / lengths if lengths else alike, abs=1e-9)
    by_image = np.abs(x - y).max(axis=1)
    assert error.largest_error == by_image.max()
    if error.largest_error:
        assert error.image == by_image.argmax()
        share = by_image.max() / np.abs(x).max() if x.any() else None
        assert error.relative_error == (None if share is None else pytest.approx(share))
    assert error.images == len(x)


def test_one_bit_of_a_million_values_is_not_equal() -> None:
    error = TensorError()
    x = np.ones((1000, 1000), np.float32)
    y = x.copy()
    y[5, 7] = np.nextafter(np.float32(1), np.float32(2))
    error.update(x, y)
    assert MOST_DB - 0.02 < error.sqnr_db < MOST_DB and error.image == 5


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_no_number_is_told_and_found(broken: float) -> None:
    error = TensorError()
    x = normal(5, 3)
    error.update(x, x)
    y = x.copy()
    y[3, 1] = broken
    error.update(x, y)
    error.update(x, x)
    assert error.sqnr_db == -MOST_DB and error.cosine is None and error.relative_error is None
    assert not math.isfinite(error.largest_error)
    assert error.image == 8


def test_a_tensor_without_an_axis_of_images_has_its_error_in_none() -> None:
    error = TensorError()
    error.update(normal(2, 2), normal(2, 2) + 1, count=3)
    assert (error.image, error.images) == (None, 3)
