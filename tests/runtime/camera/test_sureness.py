"""From factors to how sure an answer is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runtime.camera.reading.answer import DIGITS
from runtime.camera.reading.evidence import FACTORS, LEAST_SURE
from runtime.camera.reading.sureness import FARTHEST, Layer, Network, shipped_network, sureness

# As a digit in its row, alone on its ground, has them.
USUAL = {
    "sure": 8.0,
    "uneven": 0.1,
    "other_color": 1.0,
    "company": 0.9,
    "beside": 0.6,
    "within": 0.5,
    "high": -2.3,
    "strong": 4.8,
    "answers": 2.5,
    "sure_ones": 2.2,
    "inked": 0.25,
}
WIDE = {"1": -1.5, "7": -0.4}


def sure_of(label: str, **changes: float) -> float:
    known = {**USUAL, "wide": WIDE[label], label: 1.0, **changes}
    odds = math.exp(known["sure"]) * LEAST_SURE / (1 - LEAST_SURE)
    known |= {f"like_{digit}": math.log((odds if digit == label else 1 / 9) / (1 + odds)) for digit in DIGITS}
    return float(sureness(np.array([[known.get(name, 0.0) for name in FACTORS]]))[0])


def test_the_network_that_ships_is_of_these_factors() -> None:
    network = shipped_network()
    assert tuple(network.factors) == FACTORS
    assert len(network.mean) == len(network.deviation) == len(FACTORS)
    assert min(network.deviation) > 0
    given = len(FACTORS)
    for layer in network.layers:
        assert {len(row) for row in layer.weights} == {given}
        given = len(layer.weights)
        assert len(layer.constants) == given
    assert given == 1
    assert set(DIGITS) < set(FACTORS)


@pytest.mark.parametrize("label", WIDE)
def test_a_digit_in_a_row_is_sure(label: str) -> None:
    assert sure_of(label) > 0.97


@pytest.mark.parametrize("label", WIDE)
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sure": 2.0}, id="a doubtful model"),
        pytest.param({"uneven": 1.0, "like_ink": 0.5}, id="an edge"),
        pytest.param({"lower": 1.0, "beside": 0.0, "high": -3.3}, id="much lower than the others"),
        pytest.param({"fainter": 1.0, "other_color": 4.0, "strong": 3.8}, id="other ink"),
        pytest.param({"company": 0.02, "beside": 0.0, "sure_ones": 0.0}, id="no digit about"),
    ],
)
def test_what_speaks_against_it_doubles_the_doubt(label: str, changes: dict[str, float]) -> None:
    assert 1 - sure_of(label, **changes) > 2 * (1 - sure_of(label))


def test_layers_follow_one_another_and_factors_are_bounded() -> None:
    first = Layer([[1.0, -1.0], [0.5, 2.0]], [0.5, -10.0])
    network = Network(["one", "other"], [1.0, 0.0], [2.0, 1.0], [first, Layer([[2.0, 3.0]], [0.25])])
    assert network.log_odds(np.array([[5.0, 1.0]])).tolist() == [2 * (2 - 1 + 0.5) + 0.25]  # the second sum is below 0
    far = [network.log_odds(np.array([[far, 1.0]])).tolist() for far in (1 + 2 * FARTHEST, 1e9)]
    assert far[0] == far[1]
    assert network.log_odds(np.zeros((0, 2))).shape == (0,)
