"""A tensor's histogram in a terminal, with the thresholds of every method."""

from __future__ import annotations

import math

import numpy as np

from calibration.options import Method
from calibration.record import TensorScale
from toolkit.console import console, say

ROWS = 8
MOST_COLUMNS = 96
BLOCKS = " ▁▂▃▄▅▆▇█"
MARKS: dict[Method, str] = {"minmax": "m", "percentile": "p", "entropy": "e", "mse": "s"}


def draw(name: str, tensor: TensorScale) -> None:
    """Counts on a logarithmic axis over magnitudes, a letter under the axis where each method clips."""
    say(f"{name}: {tensor.minimum:.4g} to {tensor.maximum:.4g}")
    if tensor.histogram is None:
        say("  always 0\n")
        return
    width = min(MOST_COLUMNS, console(stderr=False).width - 12)
    end = max(tensor.histogram.width * len(tensor.histogram.counts), *tensor.thresholds.values(), tensor.threshold)
    heights = column_counts(tensor, end, width)
    most = max(heights.max(), 1.0)
    steps = np.ceil(np.log1p(heights) / math.log1p(most) * ROWS * (len(BLOCKS) - 1)).astype(int)
    for row in reversed(range(ROWS)):
        filled = np.clip(steps - row * (len(BLOCKS) - 1), 0, len(BLOCKS) - 1)
        label = f"{most:.3g}" if row == ROWS - 1 else ""
        say(f"{label:>9} │" + "".join(BLOCKS[height] for height in filled))
    say(f"{'0':>9} └" + "─" * width)
    places = {method: tensor.thresholds[method] for method in MARKS if method in tensor.thresholds}
    marks = {method: min(int(value / end * width), width - 1) for method, value in places.items()}
    for line in lines_of(marks, width):
        say(" " * 11 + line)
    zeros = tensor.histogram.zeros
    total = zeros + sum(tensor.histogram.counts)
    say(f"  magnitudes from 0 to {end:.4g}, {total:,} values; {zeros / total:.1%} are 0 and not drawn")
    if tensor.source == "exact":
        say("  whole numbers: a scale of 1 is exact")
    for method, value in places.items():
        chosen = f"  <- taken, scale {tensor.scale:.4g}" if method == tensor.source else ""
        say(f"  {MARKS[method]}  {method:<10} {value:.4g}{chosen}")
    say()


def column_counts(tensor: TensorScale, end: float, width: int) -> np.ndarray:
    """How many values fall into each column, bins being shared out evenly, float64 (width,)."""
    assert tensor.histogram is not None
    edges = np.arange(len(tensor.histogram.counts) + 1) * tensor.histogram.width
    below = np.append(0, np.cumsum(tensor.histogram.counts))
    return np.diff(np.interp(np.linspace(0, end, width + 1), edges, below))


def lines_of(marks: dict[Method, int], width: int) -> list[str]:
    """The letters of the methods, each in its column; those that share one are put below each other."""
    lines: list[list[str]] = []
    for method, column in marks.items():
        line = next((line for line in lines if line[column] == " "), None)
        if line is None:
            line = [" "] * width
            lines.append(line)
        line[column] = MARKS[method]
    return ["".join(line).rstrip() for line in lines]
