"""Images of no class: to train with, and to judge what a threshold on the highest probability refuses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import default_rng
from torch import Tensor, nn

from runtime.datasets import Dataset, Subset, evenly_spaced, has_both_splits, open_dataset
from runtime.errors import DataError
from runtime.preprocess import Image
from runtime.spec import ModelSpec
from toolkit.training.camera import Scenes
from toolkit.training.data import prepared
from toolkit.training.digits import take_digits
from toolkit.training.learner import Computing
from toolkit.training.outliers import HELD_OUT, TRAINED, generate

JUDGED = 500  # images of each kind
HELD_OUT_CLASSES = 3  # one class of so many, of a folder of other things


@dataclass(frozen=True)
class Outliers:
    """Images of no class of the model, uint8 (N, C, H, W).

    Attributes:
        training: to train with, in random order of kinds.
        known: to judge with, by kind, of the kinds that are trained with; not the same images.
        unknown: to judge with, by kind, of kinds that are never trained with.
    """

    training: Tensor
    known: dict[str, Tensor]
    unknown: dict[str, Tensor]


@dataclass(frozen=True)
class Rejection:
    """What the threshold refuses, in percent.

    Attributes:
        threshold: an answer whose highest probability is lower is refused.
        held_out: of the held-out images that chose it.
        test: of the test images; None where there are none.
        test_top1: share of test images that are accepted and right; None where there are none.
        known, unknown: of outliers by kind, trained with or not.
    """

    threshold: float
    held_out: float
    test: float | None
    test_top1: float | None
    known: dict[str, float]
    unknown: dict[str, float]


def make_outliers(
    spec: ModelSpec,
    shapes: int,
    folder: Path | None,
    training: Dataset,
    held_out: Dataset,
    seed: int,
    scenes: Scenes | None = None,
) -> Outliers:
    """Draw shapes that are no digit, and take images of a folder of other things.

    Every third class of a labelled folder is held out, as some kinds of shapes are.

    Args:
        spec: of the model; its preprocessing makes the images.
        shapes: of each kind that is trained with; 0 draws none.
        folder: IDX files or pictures, of which the training half is taken; None takes none.
        training: digits that shapes to train with are cut from, each 28x28, light on dark.
        held_out: digits that shapes to judge with are cut from.
        seed: the same gives the same.
        scenes: what a camera's reader cut out that is no digit, beside those.

    Raises:
        DataError: the digits have another size, or the folder cannot be read.
    """
    trained: list[Image] = []
    known: dict[str, Tensor] = {}
    unknown: dict[str, Tensor] = {}
    if shapes:
        rng, pieces, others = default_rng((seed, 1)), take_digits(training), take_digits(held_out)
        for kind in TRAINED:
            trained += list(generate(kind, shapes, pieces, rng))
            known[kind] = prepared(list(generate(kind, JUDGED, others, rng)), spec)
        for kind in HELD_OUT:
            unknown[kind] = prepared(list(generate(kind, JUDGED, others, rng)), spec)
    if folder is not None:
        things = open_dataset(folder, "train" if has_both_splits(folder) else None)
        labels = np.zeros(len(things), np.int64) if things.labels is None else things.labels
        kept = np.flatnonzero(labels % HELD_OUT_CLASSES != HELD_OUT_CLASSES - 1)
        chosen = evenly_spaced(Subset(things, tuple(int(index) for index in kept)), max(2 * shapes, JUDGED))
        trained += [chosen.image(index) for index in range(len(chosen))]
        for label in np.unique(labels[labels % HELD_OUT_CLASSES == HELD_OUT_CLASSES - 1]):
            members = Subset(things, tuple(int(index) for index in np.flatnonzero(labels == label)))
            judged = evenly_spaced(members, JUDGED)
            unknown[f"{folder.name} {label}"] = prepared([judged.image(index) for index in range(len(judged))], spec)
    if scenes is not None:
        trained += list(scenes.training.others)
        known["in scenes"] = prepared(scenes.held_out.others[:JUDGED], spec)
    if not trained:
        raise DataError("the recipe trains with outliers, and there are none", "give --outlier-data, or --outliers 0")
    order = torch.from_numpy(default_rng((seed, 2)).permutation(len(trained)))
    return Outliers(prepared(trained, spec)[order], known, unknown)


@torch.no_grad()
def confidence(module: nn.Module, batches: Iterable[Tensor], computing: Computing) -> tuple[Tensor, Tensor]:
    """The highest probability for each image and its class, (N,) each, on the CPU; batches uint8 (n, C, H, W)."""
    module.eval()
    parts = []
    for part in batches:
        with computing.autocast():
            logits = module(computing.normalize(computing.to_unit(part)))
        parts.append(logits.float().softmax(1).max(1))
    return torch.cat([part.values for part in parts]).cpu(), torch.cat([part.indices for part in parts]).cpu()


def choose_threshold(sure: Tensor, share: float) -> float:
    """The highest threshold that refuses at most a share of images with these highest probabilities, (N,)."""
    return float(sure.sort().values[int(share * len(sure))])


def refused(sure: Tensor, threshold: float) -> float:
    """How many of images with these highest probabilities, (N,), are refused, in percent."""
    return 100 * int((sure < threshold).sum()) / len(sure)
