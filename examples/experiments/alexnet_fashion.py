"""Train alexnet-bn on Fashion-MNIST at 227x227 pixels on a plain CPU: a narrow one first, which is then made wide.

    python examples/experiments/alexnet_fashion.py --fashion FOLDER

The full-size network learns from 5 images a second and core on a machine without bfloat16, a narrow one from 110. Each
step is kept in build/experiments, and a second call goes on after it. No test image is read: `toolkit build alexnet-bn
--weights build/experiments/alexnet-fashion.safetensors --int8 --eval-data FOLDER` does that, once.
"""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from grow import widen
from msgspec import structs, to_builtins
from report import RESULTS, in_a_line
from study import RUNS, SMALL_ALEXNET
from torch import nn

from runtime.datasets import evenly_spaced
from runtime.progress import Progress
from toolkit.progress import make_progress
from toolkit.recipe import Augment, Recipe
from toolkit.training import data, train
from toolkit.training.distributed import World
from toolkit.training.learner import Learner
from toolkit.training.loop import accuracy, split_evenly, train_epoch
from toolkit.zoo import ZooModel, get_zoo_model
from toolkit.zoo.weights import make_with_weights, save_weights

LABELS = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SEED = 0
NARROW = Recipe(epochs=6, batch=64, learning_rate=1e-3, augment=Augment())
WIDE = Recipe(epochs=1, batch=64, learning_rate=2e-5, schedule="cosine", augment=Augment())
WIDE_IMAGES = 2000


@click.command()
@click.option("--fashion", "folder", required=True, type=click.Path(path_type=Path), help="Fashion-MNIST's four files.")
@in_a_line
def main(folder: Path) -> None:
    """Train a narrow alexnet-bn on all training images, make it wide, and train it on with some of them."""
    RUNS.mkdir(parents=True, exist_ok=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    progress = make_progress()
    small, large = named(SMALL_ALEXNET), named({})
    narrow, wide = RUNS / "alexnet-fashion-narrow.safetensors", RUNS / "alexnet-fashion.safetensors"
    report = RESULTS / "alexnet_fashion.json"
    if not narrow.exists():
        checkpoint = narrow.with_suffix(".checkpoint.pt")
        with TemporaryDirectory() as training_files:
            for path in folder.glob("train-*"):
                (Path(training_files) / path.name).symlink_to(path.resolve())
            result = train(
                small, Path(training_files), NARROW, seed=SEED, progress=progress, checkpoint=checkpoint,
                resume=checkpoint.exists(), workers=0,
            )  # fmt: skip
        save_weights(result.module, narrow, small.card)
        checkpoint.unlink()
    grown, trained = large.make(), make_with_weights(replace(small, weights=narrow))
    widen(trained, grown, SEED)
    figures = refine(large, trained, grown, folder, progress)
    save_weights(grown, wide, large.card)
    figures |= {
        "seed": SEED,
        "narrow": {**SMALL_ALEXNET, **to_builtins(NARROW)},
        "wide": {"images": WIDE_IMAGES, **to_builtins(WIDE)},
        "sha256": sha256(wide.read_bytes()).hexdigest(),
    }
    report.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def named(options: dict[str, object]) -> ZooModel:
    """The article's AlexNet for pictures of clothes."""
    model = get_zoo_model("alexnet-bn").with_options(options)
    return replace(model, given_spec=structs.replace(model.spec, labels=LABELS))


def refine(model: ZooModel, narrow: nn.Module, module: nn.Module, folder: Path, progress: Progress) -> dict[str, float]:
    """Train a module on that answers as a narrow one does, and say how both answer held-out images, in percent."""
    training_set, held_out_set = data.split(data.open_labelled(folder, model.spec), NARROW.held_out, SEED)
    training = data.prepare(evenly_spaced(training_set, WIDE_IMAGES), model.spec, workers=0)
    held_out = data.prepare(held_out_set, model.spec, workers=0)
    torch.manual_seed(SEED)
    steps = len(split_evenly(torch.arange(len(training)), WIDE.batch))
    learner = Learner(module, model.spec, WIDE, steps, World())
    before = accuracy(narrow, held_out, learner.computing)
    with progress.stage("train", len(training)) as stage:
        stage.note(f"held-out top-1 {before:.2f} %, {learner.computing}")
        train_epoch(learner, training, WIDE, seed=SEED, epoch=1, stage=stage, world=World())
    return {
        "held_out_top1_narrow": before,
        "held_out_top1": accuracy(learner.module, held_out, learner.computing),
    }


if __name__ == "__main__":
    main()
