"""Pictures of a report, as SVG: what engines keep."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from runtime.measure.result import Interval, MeasuredAccuracy
from toolkit.report.charts import NAME, STEPS, Chart, every, number, scale, timed
from toolkit.report.palette import BAD, GOOD, LINE, QUIET
from toolkit.report.result import EngineReport, Report
from toolkit.report.svg import SMALL, WIDTH, drawing, limits, new_figure, settle, to_svg
from toolkit.report.words import in_brackets, ms_like, percent, short

LEVELS = 5  # of shade
NAMED_LAYERS = 8  # are named below; more are counted
COLUMNS = 3  # of small pictures


def draw_front(report: Report) -> Chart | None:
    """Accuracy against latency, and those that no other beats in both."""
    name, title = "front", "Accuracy against latency"
    known = [(one, found) for one in timed(report) if (found := one.engine.accuracy) and found.top1 is not None]
    if not known:
        return None
    shown = [one for one, _ in known]
    times = [one.performance.single.times for one in shown]
    top1 = [found.top1 or 0.0 for _, found in known]
    x_ends = [each.p50_interval or Interval(each.p50, each.p50) for each in times]
    y_ends = [found.top1_interval or Interval(value, value) for (_, found), value in zip(known, top1, strict=True)]
    front = set(report.recommendation.on_front)
    best = sorted((each.p50, value) for one, each, value in zip(shown, times, top1, strict=True)
                  if one.engine.name in front)  # fmt: skip
    with drawing(name):
        figure = new_figure(300)
        axes = figure.subplots()
        low, high = min(ends.low for ends in x_ends), max(ends.high for ends in x_ends)
        wide = scale(axes, "x", low, high)
        if len(best) > 1:
            axes.step(*zip(*best, strict=True), where="post", color=QUIET, linewidth=1.2, linestyle=(0, (4, 2)))
        for one, each, value, x, y in zip(shown, times, top1, x_ends, y_ends, strict=True):
            axes.plot([x.low, x.high], [value, value], color=one.colour, linewidth=1.4)
            axes.plot([each.p50, each.p50], [y.low, y.high], color=one.colour, linewidth=1.4)
            inside = one.colour if one.engine.name in front else "none"
            axes.plot(each.p50, value, one.marker, color=one.colour, markersize=7, markerfacecolor=inside)
        limits(axes, min(ends.low for ends in y_ends), max(ends.high for ends in y_ends), least=0.2)
        axes.set_xlim(*((low / 1.15, high * 1.2) if wide else (low - 0.1 * high, 1.1 * high)))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
        axes.set_xlabel("median milliseconds a call; further left is faster")
        axes.set_ylabel("top-1, percent")
        settle(figure)
        number(axes, shown, [(each.p50, value) for each, value in zip(times, top1, strict=True)], lift=7)
        words = " ".join(
            f"{one.engine.name}: top-1 {in_brackets(value, y, percent)} % at "
            f"{in_brackets(each.p50, each.p50_interval, ms_like(each.p50))} ms"
            f"{', on the Pareto front' * (one.engine.name in front)}."
            for one, each, value, y in zip(shown, times, top1, y_ends, strict=True)
        )
        caption = (
            "Bars: 95 % intervals. Filled, dashed: the Pareto front; no other engine is both faster and more accurate."
        )
        return Chart(name, title, caption, words, to_svg(figure, name, title, words), keyed=True)


def draw_layers(report: Report) -> Chart | None:
    """The error of each layer, from the build."""
    name, title = "layers", "Error by layer"
    shown = [one for one in every(report) if any(layer.sqnr_db is not None for layer in one.engine.layers)]
    if not shown:
        return None
    order = list(dict.fromkeys(layer.name for one in shown for layer in one.engine.layers))
    place = {layer: index for index, layer in enumerate(order)}
    words = []
    with drawing(name):
        figure = new_figure(280)
        axes = figure.subplots()
        ends = []
        for one in shown:
            measured = [(place[layer.name], layer.sqnr_db) for layer in one.engine.layers if layer.sqnr_db is not None]
            points = sorted(measured)
            axes.plot(*zip(*points, strict=True), color=one.colour, linewidth=1.3, marker=one.marker, markersize=4)
            worst, lowest = min(points, key=lambda point: point[1])
            words.append(f"{one.engine.name}: {len(points)} layers, the worst is {order[worst]} with {lowest:.1f} dB.")
            ends.append(points[-1])
        axes.set_xlim(-0.5, len(order) - 0.5 + 0.06 * len(order))  # room for the numbers
        axes.set_ylabel("SQNR in dB; higher is better")
        if len(order) <= NAMED_LAYERS:
            axes.set_xticks(range(len(order)), [short(layer, 18) for layer in order])
            for label in axes.get_xticklabels():
                label.set(rotation=35, ha="right", rotation_mode="anchor")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axes.set_xlabel("layer, counted from 0 in the order of the graph")
        settle(figure)
        number(axes, shown, ends)
        caption = (
            "Signal to quantization noise of each layer's output against FP32, measured when the bundle was built."
        )
        return Chart(name, title, caption, " ".join(words), to_svg(figure, name, title, " ".join(words)), keyed=True)


def draw_reliability(report: Report) -> Chart | None:
    """How often answers are right that are this sure, a small picture for each engine."""
    name, title = "reliability", "Reliability"
    shown = [
        (one, found)
        for one in every(report)
        if (found := one.engine.accuracy) and any(each.images for each in found.reliability)
    ]
    if not shown:
        return None
    columns = 2 if len(shown) == 4 else min(COLUMNS, len(shown))
    lines = math.ceil(len(shown) / columns)
    words = []
    with drawing(name):
        figure = new_figure(lines * (WIDTH / max(columns, 2) + 8) + 24)
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (one, found) in zip(grid, shown, strict=False):
            bins = [each for each in found.reliability if each.images]
            axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 2)))
            axes.bar(
                [each.confidence for each in bins], [each.images / found.images for each in bins], 0.05, color=LINE
            )
            axes.plot([each.confidence for each in bins], [each.right for each in bins], "o-", color=one.colour,
                      markersize=3.5, linewidth=1.4)  # fmt: skip
            axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
            axes.set_title(
                f"{one.number}  {short(one.engine.name, NAME if columns == 1 else 16)}", loc="left", fontsize=SMALL
            )
            axes.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            sure = "unknown" if found.calibration_error is None else f"{100 * found.calibration_error:.2f} points"
            words.append(f"{one.engine.name}: the expected calibration error is {sure}.")
        for axes in grid[len(shown) :]:
            axes.remove()
        figure.supxlabel("probability of the answer", fontsize=SMALL)
        figure.supylabel("share that is right", fontsize=SMALL)
        caption = "On the dashed line an engine is as sure as it is right; below it, too sure. Bars: how many answers."
        return Chart(name, title, caption, " ".join(words), to_svg(figure, name, title, " ".join(words)))


def draw_confusion(index: int, engine: EngineReport, accuracy: MeasuredAccuracy) -> Chart | None:
    """The confusion matrix as a map; the diagonal in one colour, mistakes in another, darker with their number."""
    counts = np.array(accuracy.confusion, dtype=np.int64)
    if not counts.size:
        return None
    name, title = f"confusion-{index}", f"Confusion matrix of {engine.name}"
    size = len(counts)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    most = int(wrong.max())
    with drawing(name):
        figure = new_figure(WIDTH)
        axes = figure.subplots()
        axes.grid(False)
        for mask, colour, top in ((wrong, BAD, most), (np.diag(counts.diagonal()), GOOD, int(counts.diagonal().max()))):
            level = np.ceil(LEVELS * np.log1p(mask) / np.log1p(max(top, 1))).astype(int)
            for step in range(1, LEVELS + 1):
                cells = np.argwhere(level == step)
                if len(cells):
                    axes.add_patch(PathPatch(squares(cells), color=colour, alpha=step / LEVELS, linewidth=0))
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
        axes.spines[:].set_visible(True)
        axes.set_xlabel("answer, by index of the class")
        axes.set_ylabel("right class, by index")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(10, integer=True))
        pairs = ", ".join(
            f"class {right} taken for {answer}: {times}" for right, answer, times in accuracy.confused[:5]
        )
        words = (
            f"{int(np.trace(counts)):,} of {int(counts.sum()):,} images on the diagonal. Most often {pairs or 'none'}."
        )
        caption = f"Mistakes in up to {LEVELS} shades, the darkest {most} images; shades are logarithmic."
        return Chart(name, title, caption, words, to_svg(figure, name, title, words))


def squares(cells: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Path:
    """One path of unit squares around (row, column)."""
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)])
    places = (cells[:, None, ::-1] + corners).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(cells))
    return Path(places, codes)
