"""One epoch of training, and the accuracy after it."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch import Tensor, nn

from runtime.errors import ToolkitError
from runtime.progress import Stage, advance_or_stop
from toolkit.recipe import Augment, Recipe
from toolkit.training import losses
from toolkit.training.augment import apply, draw
from toolkit.training.data import CHUNK, Pictures
from toolkit.training.distributed import World
from toolkit.training.learner import Computing, Learner

LOOK_STEPS = 20  # between looks at the loss, for which a GPU has to finish first


def derive_seed(*parts: int) -> int:
    """One seed of several numbers: no two epochs, seeds or processes share any."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def split_evenly(order: Tensor, batch: int) -> tuple[Tensor, ...]:
    """An order in batches of at most `batch`, as equal as can be: no small rest that batch norm would stumble over."""
    return torch.tensor_split(order, math.ceil(len(order) / batch))


def train_epoch(
    learner: Learner,
    pictures: Pictures,
    recipe: Recipe,
    *,
    seed: int,
    epoch: int,
    stage: Stage,
    world: World,
    outliers: Tensor | None = None,
    teacher: nn.Module | None = None,
) -> float:
    """Train on every image once.

    Order, augmentation and dropout come from a seed of this epoch alone: a training that goes on from a checkpoint sees
    what an unbroken one would have. Processes draw the same for the global batch, and each takes its part; only their
    dropout differs.

    Args:
        learner: changed by it.
        pictures: to train on.
        recipe: of the training.
        seed: of the training.
        epoch: from 1.
        stage: told of every batch.
        world: the processes.
        outliers: images of no class, uint8 (M, C, H, W), for the loss of that name.
        teacher: for the distillation, on the learner's device.

    Returns:
        The mean loss per image.

    Raises:
        ToolkitError: the loss is not finite.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch))
    torch.manual_seed(derive_seed(seed, epoch, 1 + world.rank))
    learner.module.train()
    computing = learner.computing
    batches = split_evenly(torch.randperm(len(pictures), generator=generator), recipe.batch)
    mine = [world.part(batch) for batch in batches]
    total, seen, start = torch.zeros((), device=computing.device), 0, time.perf_counter()
    for batch, part, pixels in zip(batches, mine, pictures.batches(mine, (seed, epoch)), strict=True):
        extra = 0 if outliers is None else max(1, round(len(batch) * recipe.outlier_share))
        places = world.part(torch.arange(len(batch)))  # of this process's images in the global batch
        if outliers is not None:
            chosen = torch.randint(len(outliers), (extra,), generator=generator)
            pixels = torch.cat((pixels, outliers[world.part(chosen)]))
            places = torch.cat((places, len(batch) + world.part(torch.arange(extra))))
        images = computing.to_unit(pixels)
        if recipe.augment != Augment():
            images = apply(images, draw(len(batch) + extra, recipe.augment, generator)[places])
        images = computing.normalize(images)

        with computing.autocast():
            logits = learner.parallel(images).float()
        real, labels = logits[: len(part)], pictures.labels[part].to(computing.device)
        loss = losses.cross_entropy(real, labels, recipe.label_smoothing) / len(batch)
        if teacher is not None:
            with computing.autocast(), torch.no_grad():
                target = teacher(images).float()
            compared = losses.distillation(logits, target, recipe.temperature) / (len(batch) + extra)
            loss = (1 - recipe.teacher_weight) * loss + recipe.teacher_weight * compared
        if outliers is not None:
            loss = loss + recipe.outliers * losses.uniform(logits[len(part) :]) / extra
        learner.step(loss * world.size)  # DistributedDataParallel takes the mean of all gradients, and this is a part

        total += loss.detach() * len(batch)
        seen += len(batch)
        if learner.schedule.last_epoch % LOOK_STEPS == 0:
            require_finite(total, epoch)
            show(stage, f"loss {total.item() * world.size / seen:.4f}, {seen / (time.perf_counter() - start):,.0f}/s")
        advance_or_stop(stage, len(batch))
    require_finite(world.sum(total), epoch)
    return total.item() / len(pictures)


def require_finite(loss: Tensor, epoch: int) -> None:
    """Stop where a training has come apart."""
    if not loss.isfinite():
        raise ToolkitError(
            f"the loss is no finite number any more, in epoch {epoch}",
            "give a lower --learning-rate, or --precision fp32, and --force to start over",
        )


def show(stage: Stage, text: str) -> None:
    """What changes all the time, on a display that can show it."""
    live = getattr(stage, "live", None)
    if live is not None:
        live(text)


@torch.no_grad()
def accuracy(module: nn.Module, pictures: Pictures, computing: Computing, world: World | None = None) -> float:
    """Top-1 in percent, each process having judged its part."""
    world = world or World()
    module.eval()
    parts = torch.split(world.part(torch.arange(len(pictures))), CHUNK)
    right = torch.zeros((), dtype=torch.int64, device=computing.device)
    for part, pixels in zip(parts, pictures.batches(parts), strict=True):
        with computing.autocast():
            predicted = module(computing.normalize(computing.to_unit(pixels))).argmax(1)
        right += (predicted == pictures.labels[part].to(computing.device)).sum()
    return 100 * int(world.sum(right)) / len(pictures)
