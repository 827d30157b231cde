"""The error of a graph, by its definition."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.errors import MOST_DB, measure_sqnr
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
