"""Trainings that differ in one thing, several seeds each, on the toolkit's own trainer.

Each run is kept in build/experiments once it is whole, so that an interrupted study goes on where it was and studies
share the runs they have in common.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import torch
from msgspec import structs
from torch import Tensor, nn

from runtime.datasets import Dataset, evenly_spaced, open_dataset
from runtime.folder import write_atomically
from runtime.progress import SilentStage
from toolkit.recipe import Augment, Recipe
from toolkit.training.data import digest, open_labelled, prepare, test_images
from toolkit.training.distributed import World
from toolkit.training.learner import Learner
from toolkit.training.loop import accuracy, split_evenly, train_epoch
from toolkit.zoo import get_zoo_model

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "build" / "experiments"

# Student's t for a two-sided 95 % interval, by degrees of freedom.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}

# As in the notebooks beside the article: plain SGD, and (see Variant) pixels from 0 to 255 and the loss of that Keras.
ARTICLE = Recipe(
    optimizer="sgd", learning_rate=0.01, momentum=0.0, weight_decay=0.0, schedule="constant", augment=Augment(),
    precision="fp32",
)  # fmt: skip
# What is customary: pixels from 0 to 1, momentum, a falling learning rate.
CUSTOMARY = structs.replace(ARTICLE, learning_rate=0.05, momentum=0.9, schedule="cosine")

# AlexNet at a size that a few CPU cores train in minutes: the article's network with an eighth to a quarter of its
# maps, one pass over 5,000 pictures of Fashion-MNIST at the full 227x227 pixels.
SMALL_ALEXNET = {"maps": (16, 32, 96, 96, 64), "dense": 1024, "dropout": 0.2}
SHORT = Recipe(epochs=1, batch=64, optimizer="adamw", learning_rate=1e-3, augment=Augment(), precision="fp32")


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        label: in tables and plots.
        model: of the zoo.
        recipe: of the training; it sees every training image.
        options: of the model.
        pixel: the value of white.
        clipped: take the loss from probabilities that are clipped to 1e-7, as Keras did in 2018.
        images: of the training set and of the test set, at most, evenly spaced; None takes all.
    """

    label: str
    model: str
    recipe: Recipe
    options: dict[str, Any] = field(default_factory=dict)
    pixel: float = 1.0
    clipped: bool = False
    images: int | None = None


@dataclass(frozen=True)
class Run:
    """What one training gave, each over its epochs: mean loss while training, and test accuracy in percent."""

    loss: list[float]
    test_top1: list[float]
    seconds: list[float]
    parameters: int


def article(label: str, epochs: int, **options: Any) -> Variant:
    """LeNet-5 as the article trains it."""
    return Variant(label, "lenet-28", structs.replace(ARTICLE, epochs=epochs), options, pixel=255, clipped=True)


def lenet(label: str, **options: Any) -> Variant:
    """LeNet-5 with ReLU, a customary recipe, five epochs of MNIST."""
    return Variant(label, "lenet", structs.replace(CUSTOMARY, epochs=5), {"activation": "relu", **options})


def alexnet(label: str, **options: Any) -> Variant:
    """The small AlexNet."""
    return Variant(label, "alexnet-bn", SHORT, {**SMALL_ALEXNET, **options}, images=5000)


def run_all(variants: Sequence[Variant], seeds: int, folder: Path, jobs: int) -> dict[str, list[Run]]:
    """Every variant with every seed, `jobs` at a time with one thread each; by label, in order of the seeds."""
    data = digest(open_dataset(folder, "train"), folder)
    wanted = [(variant, seed, place(variant, seed, data)) for seed in range(seeds) for variant in variants]
    missing = [run_of for run_of in wanted if not run_of[2].exists()]
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        started = {pool.submit(run, *run_of, folder): run_of for run_of in missing}
        for number, future in enumerate(as_completed(started), 1):
            variant, seed, _ = started[future]
            done = future.result()
            print(
                f"{number}/{len(missing)} {variant.label}, seed {seed}: loss {done.loss[-1]:.4f}, "
                f"test {done.test_top1[-1]:.2f} %, {sum(done.seconds):.0f} s", flush=True,
            )  # fmt: skip
    read = {variant.label: list[Run]() for variant in variants}
    for variant, _, path in wanted:
        read[variant.label].append(msgspec.json.decode(path.read_bytes(), type=Run))
    return read


def run(variant: Variant, seed: int, path: Path, folder: Path) -> Run:
    """Train one, and keep what it gave."""
    entry = get_zoo_model(variant.model).with_options(variant.options)
    channels = entry.spec.preprocess.channels
    # The trainer takes pixels from 0 to 1, and then normalizes them.
    scale = structs.replace(entry.spec.preprocess, mean=(0.0,) * channels, std=(1 / variant.pixel,) * channels)
    spec = structs.replace(entry.spec, preprocess=scale)
    training = prepare(some(open_labelled(folder, spec), variant.images), spec, workers=0)
    test_set = test_images(folder, spec)
    if test_set is None:
        raise SystemExit(f"{folder} has no test images: give MNIST's four files")
    test = prepare(some(test_set, variant.images), spec, workers=0)

    torch.manual_seed(seed)
    module = entry.make()
    module.apply(glorot)
    if variant.clipped:
        module.append(ClippedLogarithm())
    steps = len(split_evenly(torch.arange(len(training)), variant.recipe.batch))
    learner = Learner(module, spec, variant.recipe, steps, World())
    result = Run([], [], [], sum(parameter.numel() for parameter in module.parameters()))
    for epoch in range(1, variant.recipe.epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(
            learner, training, variant.recipe, seed=seed, epoch=epoch, stage=SilentStage(), world=World()
        )  # fmt: skip
        result.seconds.append(time.perf_counter() - start)
        result.loss.append(loss)
        result.test_top1.append(accuracy(learner.module, test, learner.computing))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.encode(result))
    return result


class ClippedLogarithm(nn.Module):
    """From logits to logarithms of probabilities that are no smaller than 1e-7 and no larger than 1 - 1e-7.

    With cross entropy behind it this is the loss of Keras in 2018 but for 1e-6: beyond those limits it has no gradient.
    """

    def forward(self, logits: Tensor) -> Tensor:
        return logits.softmax(1).clamp(1e-7, 1 - 1e-7).log()


def some(dataset: Dataset, count: int | None) -> Dataset:
    """Evenly spaced images of a set, at most `count`."""
    return dataset if count is None else evenly_spaced(dataset, count)


def glorot(module: nn.Module) -> None:
    """Glorot and Bengio's uniform initialisation, biases zero, as Keras has it."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def place(variant: Variant, seed: int, data: str) -> Path:
    """Where a run is kept: named by all that it depends on."""
    options = get_zoo_model(variant.model).with_options(variant.options).options
    what = [{**msgspec.to_builtins(variant), "label": "", "options": msgspec.to_builtins(options)}, seed, data]
    return RUNS / f"{sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]}.json"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of two to ten values, and half of its 95 % confidence interval by Student's t."""
    return statistics.mean(values), T95[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
