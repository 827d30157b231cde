"""ReLU, tanh and sigmoid in LeNet-5: the article's figure 7."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs
from report import curves, options, save, show, summarize, two_plots
from study import ARTICLE, CUSTOMARY, Variant, run_all

ACTIVATIONS = ("relu", "tanh", "sigmoid")


def variants(recipe: str) -> list[Variant]:
    """One for each activation, with a recipe of that name."""
    chosen, pixel = {"article": (ARTICLE, 255.0), "customary": (CUSTOMARY, 1.0)}[recipe]
    return [
        Variant(kind, "lenet-28", structs.replace(chosen, epochs=10), {"activation": kind}, pixel)
        for kind in ACTIVATIONS
    ]


@options(seeds=3)
def main(folder: Path, seeds: int, jobs: int) -> None:
    """Train LeNet-5 with three activations, as the article does and with a customary recipe."""
    figures = {}
    figure, axes = two_plots()
    for recipe, side in zip(("article", "customary"), axes, strict=True):
        runs = run_all(variants(recipe), seeds, folder, jobs)
        show(f"LeNet-5 on MNIST, 10 epochs, {recipe} recipe", runs)
        figures[recipe] = summarize(runs)
        curves(side, runs, "loss")
        side.set_yscale("log")
        side.set_ylabel("training loss")
        side.set_title(f"{recipe} recipe")
        side.legend()
    save("activations", figure, figures)


if __name__ == "__main__":
    main()
