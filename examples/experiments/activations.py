"""ReLU, tanh and sigmoid in LeNet-5: the article's figure 7."""

from __future__ import annotations

from pathlib import Path

from report import curves, options, save, show, summarize, two_plots
from study import article, run_all

VARIANTS = [article(kind, 10, activation=kind) for kind in ("relu", "tanh", "sigmoid")]


@options(seeds=3)
def main(folder: Path, seeds: int, jobs: int) -> None:
    """Train LeNet-5 with three activations, as the article does."""
    runs = run_all(VARIANTS, seeds, folder, jobs)
    show("LeNet-5 on MNIST, 10 epochs", runs)
    figure, (left, right) = two_plots()
    for axes, what, label in ((left, "loss", "training loss"), (right, "test_top1", "test top-1, %")):
        curves(axes, runs, what)
        axes.set_ylabel(label)
        axes.legend()
    left.set_yscale("log")
    save("activations", figure, summarize(runs))


if __name__ == "__main__":
    main()
