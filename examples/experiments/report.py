"""What a study shows: a table, plots, and all figures as JSON."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
import matplotlib
import torch
from study import ROOT, Run, interval

from runtime.errors import ToolkitError
from toolkit.console import print_table

matplotlib.use("Agg")  # writes files, needs no display
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

RESULTS = ROOT / "docs" / "experiments"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by the colour-blind too
Runs = Mapping[str, Sequence[Run]]


def in_a_line(function: Callable[..., None]) -> Callable[..., None]:
    """What says in a line what it cannot read."""

    @wraps(function)
    def guarded(**given: Any) -> None:
        try:
            function(**given)
        except ToolkitError as error:
            raise click.ClickException(f"{error.message}\nhint: {error.hint}") from error

    return guarded


def options(seeds: int) -> Callable[[Callable[..., None]], click.Command]:
    """A command with what every study asks."""

    def decorate(function: Callable[..., None]) -> click.Command:
        command = in_a_line(function)
        for option in (
            click.option(
                "--jobs",
                type=click.IntRange(min=1),
                default=2,
                show_default=True,
                help="Trainings at a time, one thread each.",
            ),
            click.option(
                "--seeds", default=seeds, show_default=True, type=click.IntRange(2, 10), help="Trainings of each kind."
            ),
            click.option("--mnist", "folder", required=True, type=click.Path(path_type=Path), help="Its four files."),
        ):
            command = option(command)
        return click.command(help=function.__doc__)(command)

    return decorate


def summarize(runs: Runs) -> dict[str, Any]:
    """Of each variant its figures: at the end as mean and half of the 95 % interval, and over the epochs as means."""
    return {
        label: {
            "seeds": len(many),
            "parameters": many[0].parameters,
            "loss": interval([run.loss[-1] for run in many]),
            "test_top1": interval([run.test_top1[-1] for run in many]),
            "seconds_per_epoch": statistics.median(second for run in many for second in run.seconds),
            "loss_by_epoch": [
                round(statistics.mean(values), 5) for values in zip(*(run.loss for run in many), strict=True)
            ],
            "test_top1_by_epoch": [
                round(statistics.mean(values), 3) for values in zip(*(run.test_top1 for run in many), strict=True)
            ],
        }
        for label, many in runs.items()
    }


def paired(runs: Runs, one: str, other: str) -> tuple[float, float]:
    """How many points of test accuracy `one` is ahead of `other` with the same seeds: mean, half of the interval."""
    return interval([a.test_top1[-1] - b.test_top1[-1] for a, b in zip(runs[one], runs[other], strict=True)])


def plus_minus(value: tuple[float, float], digits: int) -> str:
    """For people."""
    return f"{value[0]:.{digits}f} ± {value[1]:.{digits}f}"


def show(title: str, runs: Runs) -> None:
    """The table."""
    rows = [
        (
            label, f"{figures['parameters']:,}", str(figures["seeds"]), plus_minus(figures["loss"], 4),
            plus_minus(figures["test_top1"], 2), f"{figures['seconds_per_epoch']:.1f}",
        )
        for label, figures in summarize(runs).items()
    ]  # fmt: skip
    print_table(title, ("variant", ">parameters", ">seeds", ">training loss", ">test top-1 %", ">s/epoch"), rows)


def curves(axes: Axes, runs: Runs, what: str) -> None:
    """The mean of each variant over its epochs, in a band from the lowest to the highest run."""
    for (label, many), color in zip(runs.items(), COLORS, strict=False):
        values = list(zip(*(getattr(run, what) for run in many), strict=True))
        epochs = range(1, len(values) + 1)
        axes.plot(epochs, [statistics.mean(value) for value in values], color=color, label=label)
        axes.fill_between(epochs, [min(v) for v in values], [max(v) for v in values], color=color, alpha=0.2, lw=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def bars(axes: Axes, figures: Mapping[str, tuple[float, float]], title: str) -> None:
    """A point for each variant with its interval."""
    labels = list(figures)[::-1]
    for place, label in enumerate(labels):
        mean, half = figures[label]
        axes.errorbar(mean, place, xerr=half, fmt="o", capsize=4, color=COLORS[0])
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(-0.5, len(labels) - 0.5)
    axes.set_xlabel(title)
    axes.grid(axis="x", alpha=0.3)


def two_plots(width: float = 10, height: float = 4) -> tuple[pyplot.Figure, tuple[Axes, Axes]]:
    """Side by side."""
    figure, axes = pyplot.subplots(1, 2, figsize=(width, height), layout="constrained")
    return figure, tuple(axes)


def save(name: str, figure: pyplot.Figure, figures: Mapping[str, Any]) -> None:
    """Write NAME.png and NAME.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    figure.savefig(RESULTS / f"{name}.png", dpi=100)
    machine = {"system": platform.platform(), "torch": torch.__version__}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **figures}, indent=1) + "\n")
    print(f"wrote {path.relative_to(ROOT)} and its plot")
