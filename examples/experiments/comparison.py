"""What three of the studies share: a choice in LeNet-5, in a small AlexNet, and its cost in a full-size one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from cost import milliseconds, parameters
from report import bars, options, paired, plus_minus, save, show, summarize, two_plots
from study import alexnet, lenet, run_all

from toolkit.console import print_table


def compare(name: str, variants: Mapping[str, dict[str, Any]]) -> click.Command:
    """A command that runs the study.

    Args:
        name: of the files that it writes.
        variants: options of both models by label; the first is what the others are compared with.
    """

    @options(seeds=3)
    @click.option("--fashion", required=True, type=click.Path(path_type=Path), help="Fashion-MNIST's four files.")
    def main(folder: Path, seeds: int, jobs: int, fashion: Path) -> None:
        """Train LeNet-5 on MNIST and a small AlexNet on Fashion-MNIST, and time the full-size AlexNet."""
        figures: dict[str, Any] = {}
        figure, axes = two_plots()
        for model, made, data, axis in (
            ("lenet", [lenet(label, **given) for label, given in variants.items()], folder, axes[0]),
            ("alexnet", [alexnet(label, **given) for label, given in variants.items()], fashion, axes[1]),
        ):
            runs = run_all(made, seeds, data, jobs)
            show(f"{model}, {made[0].recipe.epochs} epochs", runs)
            first = made[0].label
            figures[model] = summarize(runs)
            for variant in made[1:]:
                ahead = figures[model][variant.label]["ahead"] = paired(runs, variant.label, first)
                print(f"{variant.label} is ahead of {first} by {plus_minus(ahead, 2)} points")
            bars(axis, {label: one["test_top1"] for label, one in figures[model].items()}, f"{model}: test top-1, %")
        costs = milliseconds(variants)
        base = next(iter(costs.values()))
        figures["full-size alexnet"] = {
            label: {"ms": cost, "ratio": cost / base, "parameters": parameters(variants[label])}
            for label, cost in costs.items()
        }
        print_table(
            "alexnet at full size, one image on one thread", ("variant", ">ms", ">ratio", ">parameters"),
            [
                (label, f"{one['ms']:.1f}", f"{one['ratio']:.2f}", f"{one['parameters']:,}")
                for label, one in figures["full-size alexnet"].items()
            ],
        )  # fmt: skip
        save(name, figure, figures)

    return main
