"""Gates: what a figure has to be, as `--gate "p50_ms<=5"` says it. Knows neither commands nor what figures mean."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, TypeAlias

MISSED = 3  # the exit code

Operator: TypeAlias = Literal["<=", ">="]
#: What was measured, or why it was not.
Figure: TypeAlias = float | str

FORM = re.compile(r"\s*(?P<name>\w+)\s*(?P<operator><=|>=)\s*(?P<limit>\S+)\s*")


@dataclass(frozen=True)
class Gate:
    """A limit.

    Attributes:
        name: of the figure.
        operator: the side of the limit that passes, the limit itself included.
        limit: in the unit of the figure.
    """

    name: str
    operator: Operator
    limit: float

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{shown(self.limit)}"


@dataclass(frozen=True)
class GateResult:
    """What came of a gate.

    Attributes:
        name: of the figure.
        limit: that it was held to.
        operator: `<=` or `>=`.
        value: the figure; null where it was not measured.
        passed: whether it is on the right side; false where it was not measured.
        value_reason: why it was not measured; empty where it was.
    """

    name: str
    limit: float
    operator: Operator
    value: float | None
    passed: bool
    value_reason: str = ""

    def __str__(self) -> str:
        figure = f"not measured: {self.value_reason}" if self.value is None else shown(self.value)
        return f"{self.name}{self.operator}{shown(self.limit)} {'passed' if self.passed else 'missed'}: {figure}"


def parse_gate(text: str, names: Sequence[str]) -> Gate:
    """The gate that a text stands for.

    Args:
        text: NAME<=VALUE or NAME>=VALUE.
        names: of the figures that there are.

    Raises:
        ValueError: it stands for none; the message says what would.
    """
    match = FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not NAME<=VALUE or NAME>=VALUE; in a shell it needs quotes")
    name, operator = match["name"], match["operator"]
    if name not in names:
        near = get_close_matches(name, names, n=3)
        known = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
        raise ValueError(f"there is no figure '{name}': {known}")
    try:
        limit = float(match["limit"])
    except ValueError:
        limit = math.nan
    if not math.isfinite(limit):
        raise ValueError(f"'{match['limit']}' in '{text}' is not a finite number")
    return Gate(name, "<=" if operator == "<=" else ">=", limit)


def judge(gates: Sequence[Gate], figures: Mapping[str, Figure]) -> tuple[GateResult, ...]:
    """Hold figures to gates, in the order of the gates.

    Args:
        gates: their names are among the figures.
        figures: by name.
    """
    return tuple(judge_one(gate, figures[gate.name]) for gate in gates)


def judge_one(gate: Gate, figure: Figure) -> GateResult:
    """Hold one figure to its gate: what was not measured misses it."""
    if isinstance(figure, str) or not math.isfinite(figure):
        reason = figure if isinstance(figure, str) else f"it is {figure}"
        return GateResult(gate.name, gate.limit, gate.operator, None, False, reason)
    passed = figure <= gate.limit if gate.operator == "<=" else figure >= gate.limit
    return GateResult(gate.name, gate.limit, gate.operator, figure, passed)


def shown(value: float) -> str:
    """A number with all the digits that decide."""
    return f"{value:.12g}"
