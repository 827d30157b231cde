"""ReLU, tanh and sigmoid in LeNet-5: the article's figure 7."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs
from report import curves, options, save, show, summarize, two_plots
from study import CUSTOMARY, Variant, article, run_all

KINDS = ("relu", "tanh", "sigmoid")
# The article does not say how it trained for this figure. Its other two have one recipe in common.
AS_THEY_DO = [article(kind, 10, activation=kind) for kind in KINDS]
RECIPE = structs.replace(CUSTOMARY, epochs=10)
CUSTOMARILY = [Variant(kind, "lenet-28", RECIPE, {"activation": kind}) for kind in KINDS]


@options(seeds=3)
def main(folder: Path, seeds: int, jobs: int) -> None:
    """Train LeNet-5 with three activations, as the article does and with a customary recipe."""
    figure, both = two_plots()
    figures = {}
    for axes, name, variants in zip(both, ("as the article", "customary"), (AS_THEY_DO, CUSTOMARILY), strict=True):
        runs = run_all(variants, seeds, folder, jobs)
        show(f"LeNet-5 on MNIST, 10 epochs, {name}", runs)
        curves(axes, runs, "loss")
        axes.set_title(name)
        axes.set_ylabel("training loss")
        axes.set_yscale("log")
        axes.legend()
        figures[name] = summarize(runs)
    save("activations", figure, figures)


if __name__ == "__main__":
    main()
