"""Figures in words: the same digits wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable

from runtime.measure.result import Interval
from toolkit.console import printable
from toolkit.console import size as console_size
from toolkit.report.result import EngineReport, Report


def ms(value: float) -> str:
    """Milliseconds with three significant digits or so."""
    return ms_like(value)(value)


def ms_like(value: float) -> Callable[[float], str]:
    """Milliseconds with as many decimals as this value has: for its interval."""
    decimals = 4 if value < 0.1 else 3 if value < 10 else 1 if value < 1000 else 0
    return lambda other: f"{other:,.{decimals}f}"


def percent(value: float) -> str:
    """A percentage, without its sign."""
    return f"{value:.2f}"


def points(value: float) -> str:
    """Percentage points with their sign; nothing is +0.00 or -0.00."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text


def probability(value: float) -> str:
    """A p-value."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def rate(value: float) -> str:
    """Images a second."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def energy(value: float) -> str:
    """Millijoules."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def within(ends: Interval | None, text: Callable[[float], str]) -> tuple[str, ...]:
    """An interval, where it is known."""
    return () if ends is None else (f"{text(ends.low)} to {text(ends.high)}",)


def in_brackets(value: float, ends: Interval | None, text: Callable[[float], str]) -> str:
    """A figure with its interval."""
    return " ".join([text(value), *(f"({both})" for both in within(ends, text))])


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else console_size(count)


def short(text: str, most: int) -> str:
    """Both ends of a long name: builds of one model often differ at one of them only."""
    text = printable(text)
    if len(text) <= most:
        return text
    front = (most - 3) // 3
    return f"{text[:front]}...{text[front + 3 - most :]}"


def name_of(report: Report, engine: EngineReport) -> str:
    """An engine's number, which is in all pictures, and its name."""
    return f"{report.engines.index(engine) + 1} {printable(engine.name)}"
