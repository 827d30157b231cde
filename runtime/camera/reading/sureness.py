"""How sure an answer is, all things considered: what a small neural network makes of its factors.

Factors together say more than each by itself: ground that is uneven on a frame full of sure digits is a shadow, and on
one without any the edge of a sheet. The network is fitted on drawn scenes (`toolkit.training.evidence`).
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("sureness.json")
FARTHEST = 3.0  # deviations from the mean, at which a factor says no more
Doubles = NDArray[np.float64]


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums of what it is given, and of a constant.

    Attributes:
        weights: of what it is given, a list for each sum.
        constants: of each sum.
    """

    weights: list[list[float]]
    constants: list[float]


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The log odds that an answer is right.

    Attributes:
        factors: their names, in order.
        mean: of each.
        deviation: of each.
        layers: one after another; all but the last one give no less than 0.
    """

    factors: list[str]
    mean: list[float]
    deviation: list[float]
    layers: list[Layer]

    def log_odds(self, factors: Doubles) -> Doubles:
        """Of answers: float64 (N,).

        Args:
            factors: float64 (N, factors).
        """
        (mean, deviation), layers = self.arrays
        *hidden, (weights, constants) = layers
        table = standardized(factors, mean, deviation)
        for inner, added in hidden:
            table = np.maximum(table @ inner + added, 0)
        result: Doubles = table @ weights[:, 0] + constants[0]
        return result

    @cached_property
    def arrays(self) -> tuple[tuple[Doubles, Doubles], list[tuple[Doubles, Doubles]]]:
        """Mean and deviation, (factors,) each; and of each layer the weights, (given, sums), and constants, (sums,)."""
        layers = [(np.array(layer.weights).T, np.array(layer.constants)) for layer in self.layers]
        return (np.array(self.mean), np.array(self.deviation)), layers


@cache
def shipped_network() -> Network:
    """The one in the package."""
    return msgspec.json.decode(FILE.read_bytes(), type=Network)


def standardized(factors: Doubles, mean: Doubles, deviation: Doubles) -> Doubles:
    """In units of their deviation, bounded: float64 (N, factors)."""
    table: Doubles = ((factors - mean) / deviation).clip(-FARTHEST, FARTHEST)
    return table


def sureness(factors: Doubles) -> Doubles:
    """How sure answers are, 0..1, float64 (N,).

    Args:
        factors: float64 (N, factors), as `runtime.camera.reading.evidence` measures them.
    """
    result: Doubles = 1 / (1 + np.exp(-shipped_network().log_odds(factors)))
    return result
