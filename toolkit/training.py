"""`toolkit train`: a model of the zoo from labelled images. The test images are read once, at the end."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.datasets import Dataset, batches, has_both_splits, open_dataset
from runtime.errors import DataError
from runtime.progress import Progress, advance_or_stop
from runtime.spec import ModelSpec
from toolkit.zoo import ZooModel

HELD_OUT = 5000
MIN_TRAINING = 10_000
BATCH = 128
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-2
MAX_SHIFT = 2


@dataclass(frozen=True)
class TrainResult:
    """What a training gave; accuracies in percent.

    Attributes:
        module: with the weights of the best epoch.
        epoch: that epoch, from 1.
        held_out_top1: on the images that chose it.
        test_top1: on the test images; None where the folder has none.
        parameters: of the module.
    """

    module: nn.Module
    epoch: int
    held_out_top1: float
    test_top1: float | None
    parameters: int


def train(
    model: ZooModel,
    folder: Path,
    *,
    epochs: int,
    seed: int,
    progress: Progress,
    held_out: int = HELD_OUT,
    minimum: int = MIN_TRAINING,
) -> TrainResult:
    """Train from scratch, and keep the epoch that is best on held-out training images.

    Args:
        model: of the zoo.
        folder: IDX files, `train-...` and, to know the result, `t10k-...`.
        epochs: how often every image is seen.
        seed: of weights, order and shifts.
        progress: told of every batch.
        held_out: how many training images, the last ones, choose the epoch.
        minimum: fewer to train on than this are refused.

    Raises:
        DataError: too few images, no labels, or labels that are no class of the model.
    """
    dataset = open_dataset(folder, "train", model.spec.labels)
    if dataset.labels is None:
        raise DataError(
            f"{folder} has training images without labels",
            "put train-labels-idx1-ubyte.gz beside the images",
        )
    if len(dataset) < minimum + held_out:
        raise DataError(
            f"{folder} has {len(dataset):,} labelled training images; at least {minimum + held_out:,} are needed",
            "give the folder with the complete train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz",
        )
    if not 0 <= dataset.labels.min() <= dataset.labels.max() < model.spec.classes:
        raise DataError(
            f"{folder} has labels {dataset.labels.min()} to {dataset.labels.max()}, "
            f"but {model.name} has {model.spec.classes} classes",
            "give images that are labelled with the model's classes",
        )
    test = test_images(folder, model.spec)  # opened before the work; read once, after it
    images, labels = as_tensors(dataset, model.spec)
    split = len(images) - held_out

    torch.manual_seed(seed)
    module = model.make()
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=WEIGHT_DECAY)
    steps = -(-split // BATCH) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps)

    best, best_top1, best_epoch = copy.deepcopy(module.state_dict()), -1.0, 0
    with progress.stage("train", epochs * split) as stage:
        for epoch in range(1, epochs + 1):
            module.train()
            total = 0.0
            for indices in torch.split(torch.randperm(split), BATCH):
                loss = functional.cross_entropy(module(shift(images[indices])), labels[indices])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                total += loss.item() * len(indices)
                advance_or_stop(stage, len(indices))
            top1 = accuracy(module, images[split:], labels[split:])
            stage.note(f"epoch {epoch}/{epochs}: loss {total / split:.4f}, held-out top-1 {top1:.2f} %")
            if top1 > best_top1:
                best, best_top1, best_epoch = copy.deepcopy(module.state_dict()), top1, epoch
    module.load_state_dict(best)
    module.eval()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    test_top1 = None if test is None else accuracy(module, *as_tensors(test, model.spec))
    return TrainResult(module, best_epoch, best_top1, test_top1, parameters)


def test_images(folder: Path, spec: ModelSpec) -> Dataset | None:
    """The test half of the folder; None where it has none, or none with labels. A damaged one is an error."""
    if not has_both_splits(folder):
        return None
    dataset = open_dataset(folder, "test", spec.labels)
    return None if dataset.labels is None else dataset


def as_tensors(dataset: Dataset, spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """Preprocessed images, float32 (N, C, H, W), and labels, int64 (N,)."""
    if dataset.labels is None:
        raise DataError(f"{dataset.name} has no labels", "put the labels file beside the images")
    pixels = np.concatenate(list(batches(dataset, spec, 1024))).astype(np.float32) / 255
    mean, std = (np.array(values, np.float32) for values in (spec.preprocess.mean, spec.preprocess.std))
    normalized = np.ascontiguousarray(((pixels - mean) / std).transpose(0, 3, 1, 2))
    return torch.from_numpy(normalized), torch.from_numpy(dataset.labels)


def shift(images: Tensor) -> Tensor:
    """Each image of (N, C, H, W) moved by up to `MAX_SHIFT` pixels both ways, what comes in being background."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (MAX_SHIFT,) * 4)
    rows, columns = torch.randint(0, 2 * MAX_SHIFT + 1, (2, count, 1))
    row_index = (rows + torch.arange(height))[:, :, None]
    column_index = (columns + torch.arange(width))[:, None, :]
    return padded[torch.arange(count)[:, None, None], :, row_index, column_index].permute(0, 3, 1, 2)


@torch.no_grad()
def accuracy(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 in percent."""
    module.eval()
    predicted = torch.cat([module(part).argmax(1) for part in torch.split(images, 1024)])
    return 100 * int((predicted == labels).sum()) / len(images)
