"""How sure an answer is, all things considered: a logistic regression over its factors, their squares and products.

Two factors together say more than each by itself: ground that is uneven on a frame full of sure digits is a shadow, and
on one without any the edge of a sheet. There is a regression for 1s, as which any straight stroke passes, and one for
the others; both are fitted on drawn scenes (`toolkit.training.evidence`).
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("sureness.json")
FARTHEST = 3.0  # deviations from the mean, at which a factor says no more
Floats = NDArray[np.float64]


class Regression(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The log odds of an answer, from its factors less their mean, in units of their deviation.

    Attributes:
        mean: of each factor.
        deviation: of each.
        constant: what the rest is added to.
        weights: of each factor.
        products: of each factor with itself and with those after it: a list for each, one shorter than the one before.
    """

    mean: list[float]
    deviation: list[float]
    constant: float
    weights: list[float]
    products: list[list[float]]

    def log_odds(self, factors: Floats) -> Floats:
        """Of answers: float64 (N,).

        Args:
            factors: float64 (N, factors).
        """
        mean, deviation, weights, products = self.arrays
        table = standardized(factors, mean, deviation)
        result: Floats = self.constant + table @ weights + ((table @ products) * table).sum(1)
        return result

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Mean, deviation and weights of the factors, (factors,) each, and of products, (factors, factors)."""
        products = np.zeros((len(self.mean), len(self.mean)))
        for number, row in enumerate(self.products):
            products[number, number:] = row
        return np.array(self.mean), np.array(self.deviation), np.array(self.weights), products


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is fitted.

    Attributes:
        factors: their names, in order.
        digit: of all digits but 1s.
        bar: of 1s.
    """

    factors: list[str]
    digit: Regression
    bar: Regression


@cache
def shipped_weights() -> Weights:
    """Those in the package."""
    return msgspec.json.decode(FILE.read_bytes(), type=Weights)


def standardized(factors: Floats, mean: Floats, deviation: Floats) -> Floats:
    """In units of their deviation, bounded: float64 (N, factors)."""
    table: Floats = ((factors - mean) / deviation).clip(-FARTHEST, FARTHEST)
    return table


def sureness(factors: Floats, bar: NDArray[np.bool_]) -> Floats:
    """How sure answers are, 0..1, float64 (N,).

    Args:
        factors: float64 (N, factors), as `runtime.camera.reading.evidence` measures them.
        bar: of each, whether it is taken for a 1.
    """
    weights, score = shipped_weights(), np.zeros(len(factors))
    for regression, chosen in ((weights.digit, ~bar), (weights.bar, bar)):
        score[chosen] = regression.log_odds(factors[chosen])
    result: Floats = 1 / (1 + np.exp(-score))
    return result
