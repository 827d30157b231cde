"""Pictures of results, as PNG files. Needs Matplotlib."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from runtime.folder import write_atomically
from toolkit.comparison.answers import Points
from toolkit.comparison.result import EQUAL_DB, ComparedLayer, Comparison

matplotlib.use("Agg")  # writes files, needs no display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#777777"  # told apart by the colour-blind too
GRID = "#e4e4e4"
FLOOR_DB = -30.0  # what is below, such as NaN's, is drawn there
NAMED = 5  # the worst layers
MOST_TICKS = 30  # more layers than that are numbered
FLAT = 60  # characters of names that fit side by side
WIDTH, HEIGHT, DPI = 13.0, 6.0, 110
NAME = 28  # characters of a layer's name


def draw_comparison(result: Comparison, points: Points, path: Path) -> None:
    """Error by layer in the order of the graph, and the logits of both models against each other.

    Args:
        result: what was found.
        points: logits of both.
        path: the PNG file to write.
    """
    with matplotlib.rc_context({"text.parse_math": False}):  # a name may have a $ in it
        data = draw(result, points)
    write_atomically(path, data)


def draw(result: Comparison, points: Points) -> bytes:
    """The PNG file's content."""
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    figure.suptitle(
        f"A = {shorten(result.a.name, 60)} ({result.a.precision}),  "
        f"B = {shorten(result.b.name, 60)} ({result.b.precision}),  {result.images:,} images",
        fontsize=11,
    )
    for axes in (left, right):
        axes.set_axisbelow(True)
        axes.grid(color=GRID)
        axes.spines[:].set_color(GREY)
    draw_layers(left, result)
    draw_logits(right, result, points)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def draw_layers(axes: Axes, result: Comparison) -> None:
    """The SQNR of each layer, as it comes and by itself."""
    layers = result.layers
    measured = [value for layer in layers for value in (layer.sqnr_db, layer.own_sqnr_db) if value is not None]
    below = [value for value in measured if value < EQUAL_DB]
    low, high = (max(min(below), FLOOR_DB), max(below)) if below else (0.0, 0.0)
    margin = max(0.1 * (high - low), 1.0)
    ceiling = high + margin  # equal tensors are drawn here
    values = np.clip([layer.sqnr_db for layer in layers], low, ceiling)
    own = [
        (i, min(max(layer.own_sqnr_db, low), ceiling))
        for i, layer in enumerate(layers)
        if layer.own_sqnr_db is not None
    ]
    axes.plot(range(len(layers)), values, "-o", color=BLUE, markersize=4, linewidth=1.2, label="of its output")
    if own:
        label = "of its output when it is given what A's layer reads"
        axes.plot(*zip(*own, strict=True), "o", color=GREEN, markersize=6, fillstyle="none", label=label)
    for index, height in own:
        if layers[index].name == result.adds_most_error:
            label = f"adds the most error: {shorten(layers[index].name)}"
            axes.plot(index, height, "X", color=ORANGE, markersize=10, label=label)
    if any(value >= EQUAL_DB for value in measured):
        axes.axhline(ceiling, color=GREY, linewidth=0.8, linestyle=":")
        axes.text(1.0, ceiling, " equal", color=GREY, va="center", fontsize=8, transform=axes.get_yaxis_transform())
    if not below:
        axes.set_yticks([])
    axes.set_ylim(low - margin, ceiling + margin)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.set_ylabel("SQNR [dB], higher is better")
    axes.set_title("How far each layer of B strays from A", fontsize=10)
    if len(layers) <= MOST_TICKS:
        name_all(axes, layers)
    else:
        name_worst(axes, layers, values)
    axes.figure.legend(loc="outside lower left", fontsize=8, ncols=3)


def name_all(axes: Axes, layers: tuple[ComparedLayer, ...]) -> None:
    """Every layer below its place."""
    names = [shorten(layer.name) for layer in layers]
    flat = sum(map(len, names)) < FLAT
    axes.set_xticks(range(len(layers)), names, fontsize=8)
    if not flat:
        for label in axes.get_xticklabels():
            label.set(rotation=55, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("layer, in the order of the graph")


def name_worst(axes: Axes, layers: tuple[ComparedLayer, ...], values: NDArray[np.float64]) -> None:
    """Numbers below, and the names of the worst layers in a list: beside their points they would overlap."""
    worst = sorted(range(len(layers)), key=lambda index: values[index])[:NAMED]
    axes.plot(worst, values[worst], "o", color=ORANGE, markersize=9, fillstyle="none", label=f"the {NAMED} worst")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    named = [f"{index}  {shorten(layers[index].name, 2 * NAME)}  {layers[index].sqnr_db:.1f} dB" for index in worst]
    axes.set_xlabel("\n".join(["layer, counted from 0 in the order of the graph; worst first:", *named]))


def draw_logits(axes: Axes, result: Comparison, points: Points) -> None:
    """Each logit of A and that of B: on the diagonal where they agree."""
    a, b = points.both
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if a.size:
        low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
        axes.plot([low, high], [low, high], color=GREY, linewidth=0.8)
    axes.scatter(a, b, s=5, color=BLUE, alpha=0.35, linewidths=0)
    axes.set_xlabel(f"{points.name} of A")
    axes.set_ylabel(f"{points.name} of B")
    axes.set_title(f"Answers: top-1 agrees on {result.agreement:.2f} %", fontsize=10)


def shorten(text: str, most: int = NAME) -> str:
    """The end of a long name, which tells more than its beginning."""
    return text if len(text) <= most else "..." + text[3 - most :]
