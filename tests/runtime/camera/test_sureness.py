"""From factors to how sure an answer is."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.camera.reading.evidence import FACTORS
from runtime.camera.reading.sureness import FARTHEST, Regression, shipped_weights, sureness

# As a digit in its row, alone on its ground, has them.
USUAL = {"sure": 8.0, "uneven": 0.1, "rim": 0.3, "other_color": 1.0, "company": 0.9, "beside": 0.6, "within": 0.5}


def sure_of(bar: bool = False, **changes: float) -> float:
    factors = np.array([[{**USUAL, **changes}.get(name, 0.0) for name in FACTORS]])
    return float(sureness(factors, np.array([bar]))[0])


def test_the_weights_that_ship_are_of_these_factors() -> None:
    weights = shipped_weights()
    assert tuple(weights.factors) == FACTORS
    for regression in (weights.digit, weights.bar):
        assert len(regression.mean) == len(regression.deviation) == len(regression.weights) == len(FACTORS)
        assert [len(row) for row in regression.products] == list(range(len(FACTORS), 0, -1))
        assert min(regression.deviation) > 0


@pytest.mark.parametrize("bar", [False, True])
def test_a_digit_in_a_row_is_sure(bar: bool) -> None:
    assert sure_of(bar) > 0.97


@pytest.mark.parametrize("bar", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sure": 2.0}, id="a doubtful model"),
        pytest.param({"uneven": 0.8, "like_ink": 0.5}, id="an edge"),
        pytest.param({"lower": 1.0, "beside": 0.0}, id="much lower than the others"),
        pytest.param({"fainter": 1.0, "other_color": 4.0}, id="other ink"),
        pytest.param({"company": 0.02, "beside": 0.0}, id="no digit about"),
    ],
)
def test_what_speaks_against_it_doubles_the_doubt(bar: bool, changes: dict[str, float]) -> None:
    assert 1 - sure_of(bar, **changes) > 2 * (1 - sure_of(bar))


def test_log_odds_are_of_the_factors_and_their_products_and_bounded() -> None:
    regression = Regression([1.0, 0.0], [2.0, 1.0], 0.5, [1.0, -1.0], [[0.25, 2.0], [-0.5]])
    assert regression.log_odds(np.array([[5.0, 1.0]])).tolist() == [0.5 + 2 - 1 + 0.25 * 4 + 2 * 2 - 0.5]
    far = [regression.log_odds(np.array([[far, 1.0]])).tolist() for far in (1 + 2 * FARTHEST, 1e9)]
    assert far[0] == far[1]
    assert regression.log_odds(np.zeros((0, 2))).shape == (0,)
