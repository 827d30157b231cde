"""`--gate` on the command line: one decorator for every command that measures, and what is said of the outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from toolkit.console import printable
from toolkit.gates import MISSED, GateResult, parse_gate
from toolkit.options import F


class GateType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """NAME<=VALUE or NAME>=VALUE, of some figures."""

    name = "gate"

    def __init__(self, figures: Sequence[str]) -> None:
        self.figures = figures

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return parse_gate(str(value), self.figures)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def gate_option(figures: Sequence[str]) -> Callable[[F], F]:
    """Gates on some figures, by their names: the command gets them as `gates`."""
    return click.option(
        "--gate",
        "gates",
        type=GateType(figures),
        multiple=True,
        metavar='"NAME<=VALUE"',
        help=f"Exit with 3 unless it holds; also >=, may be repeated. NAME is one of {', '.join(figures)}.",
    )


def tell_gates(results: Sequence[GateResult], what: str = "") -> int:
    """What came of gates, a line each on standard error.

    Args:
        results: of one thing that was measured.
        what: before each, where there are several such things.

    Returns:
        The exit code: 3 where one was missed.
    """
    for result in results:
        click.echo(printable(f"gate {what}{result}"), err=True)
    return 0 if all(result.passed for result in results) else MISSED
