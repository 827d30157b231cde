"""LeNet-5 with dropout and without: the article's figure 8."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from report import bars, curves, options, paired, plus_minus, save, show, summarize, two_plots
from study import article, run_all

# What the notebook beside the article printed after 20 epochs, of one run each: training loss and test top-1.
# https://github.com/senliuy/CNN-Structures, LeNet_Dropout.ipynb: ReLU, and 0.2 in both places.
ARTICLE_FIGURES = {"no dropout": (0.0155, 98.26), "dropout 0.2": (0.0735, 98.41)}

WITHOUT = article("no dropout", 20, activation="relu")
VARIANTS = [WITHOUT, article("dropout 0.2", 20, activation="relu", dropout=0.2)]
UNCLIPPED = replace(WITHOUT, label="no dropout, loss not clipped", clipped=False)


@options(seeds=5)
def main(folder: Path, seeds: int, jobs: int) -> None:
    """Train LeNet-5 with dropout and without, as the article does, with several seeds."""
    runs = run_all(VARIANTS, seeds, folder, jobs)
    show("LeNet-5 on MNIST, 20 epochs", runs)
    ahead = paired(runs, "dropout 0.2", "no dropout")
    print(f"dropout is ahead by {plus_minus(ahead, 2)} points of test accuracy")
    unclipped = run_all([UNCLIPPED], seeds, folder, jobs)
    show("LeNet-5 on MNIST, 20 epochs, today's loss", unclipped)
    figure, (left, right) = two_plots()
    curves(left, runs, "loss")
    left.set_yscale("log")
    left.set_ylabel("training loss")
    figures = summarize(runs)
    bars(right, {label: figures[label]["test_top1"] for label in figures}, "test top-1 after 20 epochs, %")
    for place, label in enumerate(list(figures)[::-1]):
        right.plot(ARTICLE_FIGURES[label][1], place, "k*", label="the article" if place else None)
        left.plot(20, ARTICLE_FIGURES[label][0], "k*", label=None if place else "the article")
    left.legend()
    right.legend()
    save(
        "dropout",
        figure,
        {
            "ours": figures,
            "ahead": ahead,
            "article": ARTICLE_FIGURES,
            "loss not clipped": [
                {"loss": run.loss[-1], "test_top1": run.test_top1[-1]} for run in unclipped[UNCLIPPED.label]
            ],
        },
    )


if __name__ == "__main__":
    main()
