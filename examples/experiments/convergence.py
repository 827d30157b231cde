"""How LeNet-5 converges on MNIST: the article's figure 2."""

from __future__ import annotations

from pathlib import Path

from report import curves, options, save, show, summarize, two_plots
from study import article, run_all

# What the notebook beside the article printed: https://github.com/senliuy/CNN-Structures, LeNet5.ipynb.
THEIR_LOSS = (
    0.9287, 0.3284, 0.2356, 0.1897, 0.1618, 0.1432, 0.1308, 0.1185, 0.1121, 0.1036, 0.0983, 0.0936, 0.0895, 0.0867,
    0.0817, 0.0784, 0.0765, 0.0736, 0.0707, 0.0691, 0.0677, 0.0658, 0.0641, 0.0627, 0.0610, 0.0589, 0.0576, 0.0567,
    0.0556, 0.0535,
)  # fmt: skip
THEIR_TEST_TOP1 = 98.25  # after the last of these epochs

VARIANTS = [article("tanh, as in the article", 30)]


@options(seeds=3)
def main(folder: Path, seeds: int, jobs: int) -> None:
    """Train LeNet-5 as the article does, and compare with what it printed."""
    runs = run_all(VARIANTS, seeds, folder, jobs)
    show("LeNet-5 on MNIST, 30 epochs", runs)
    figure, (left, right) = two_plots()
    curves(left, runs, "loss")
    left.plot(range(1, 31), THEIR_LOSS, "k:", label="the article's notebook")
    left.set_ylabel("training loss")
    left.legend()
    curves(right, runs, "test_top1")
    right.plot(30, THEIR_TEST_TOP1, "k*", label="the article's notebook")
    right.set_ylabel("test top-1, %")
    right.legend()
    save(
        "convergence", figure, {"ours": summarize(runs), "article": {"loss": THEIR_LOSS, "test_top1": THEIR_TEST_TOP1}}
    )


if __name__ == "__main__":
    main()
