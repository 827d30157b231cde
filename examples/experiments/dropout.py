"""LeNet-5 with dropout and without: the article's figure 8."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs
from report import bars, curves, options, paired, plus_minus, save, show, summarize, two_plots
from study import CUSTOMARY, Variant, article, run_all

# What the notebook beside the article printed after 20 epochs, of one run each: training loss and test top-1.
# https://github.com/senliuy/CNN-Structures, LeNet_Dropout.ipynb: ReLU, and 0.2 in both places.
THEIRS = {"no dropout": (0.0155, 98.26), "dropout 0.2": (0.0735, 98.41)}

OPTIONS = {"no dropout": {}, "dropout 0.2": {"dropout": 0.2}}
AS_THEY_DID = [article(label, 20, activation="relu", **chosen) for label, chosen in OPTIONS.items()]
RECIPE = structs.replace(CUSTOMARY, epochs=20)
CUSTOMARILY = [
    Variant(label, "lenet-28", RECIPE, {"activation": "relu", **chosen}) for label, chosen in OPTIONS.items()
]


@options(seeds=3)
def main(folder: Path, seeds: int, jobs: int) -> None:
    """Train LeNet-5 with dropout and without, as the article does and with a customary recipe, with several seeds."""
    theirs, ours = (run_all(variants, seeds, folder, jobs) for variants in (AS_THEY_DID, CUSTOMARILY))
    show("LeNet-5 on MNIST, 20 epochs, as the article does", theirs)
    learned = {label: [run for run in many if run.loss[-1] < 1] for label, many in theirs.items()}
    for label, many in learned.items():
        print(f"{label}: {len(many)} of {seeds} learn: {[(run.loss[-1], run.test_top1[-1]) for run in many]}")
    show("LeNet-5 on MNIST, 20 epochs, customary recipe", ours)
    ahead = paired(ours, "dropout 0.2", "no dropout")
    print(f"dropout is ahead by {plus_minus(ahead, 2)} points of test accuracy")

    figure, (left, right) = two_plots()
    curves(left, ours, "loss")
    left.set_yscale("log")
    left.set_ylabel("training loss")
    left.legend()
    bars(right, {label: one["test_top1"] for label, one in summarize(ours).items()}, "test top-1 after 20 epochs, %")
    for place, label in enumerate(list(OPTIONS)[::-1]):
        reproduced = [run.test_top1[-1] for run in learned[label]]
        marks = {"ours, trained as the article does": reproduced, "the article's": [THEIRS[label][1]]}
        for (name, values), mark in zip(marks.items(), ("kx", "k*"), strict=True):
            right.plot(values, [place + 0.2] * len(values), mark, label=None if place else name)
    right.legend()
    figures = {
        "customary": {**summarize(ours), "ahead": ahead},
        "as the article": {
            label: [(run.loss[-1], run.test_top1[-1]) for run in many] for label, many in theirs.items()
        },
        "article": THEIRS,
    }
    save("dropout", figure, figures)


if __name__ == "__main__":
    main()
