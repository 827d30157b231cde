"""The whole of a training, from top to bottom."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from runtime.datasets import Dataset
from runtime.errors import DataError
from runtime.progress import Progress
from toolkit.recipe import Recipe
from toolkit.training import data
from toolkit.training.camera import draw_scenes
from toolkit.training.checkpoint import (
    Checkpoint,
    Identity,
    digest_of,
    digest_of_tensor,
    load_checkpoint,
    save_checkpoint,
)
from toolkit.training.data import Pictures
from toolkit.training.distributed import World
from toolkit.training.events import Epoch, event_log, write_epoch
from toolkit.training.learner import Computing, Learner
from toolkit.training.loop import accuracy, split_evenly, train_epoch
from toolkit.training.rejection import Outliers, Rejection, choose_threshold, confidence, make_outliers, refused
from toolkit.zoo import ZooModel


@dataclass(frozen=True)
class TrainResult:
    """What a training gave; accuracies in percent.

    Attributes:
        module: with the weights of the epoch that is kept, on the CPU.
        epoch: that epoch, from 1.
        held_out_top1: its accuracy on the held-out images.
        test_top1: on the test images, in float32, nothing refused; None where the folder has none.
        rejection: the threshold and what it refuses; None where the recipe sets none.
        parameters: of the module.
        history: of each epoch its number, loss, held_out_top1, lr at its end, and seconds.
        computed: device, precision and layout, for people.
    """

    module: nn.Module
    epoch: int
    held_out_top1: float
    test_top1: float | None
    rejection: Rejection | None
    parameters: int
    history: tuple[Epoch, ...]
    computed: str


@data.told_of_lost_workers()
def train(
    model: ZooModel,
    folder: Path,
    recipe: Recipe,
    *,
    seed: int,
    progress: Progress,
    checkpoint: Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    log_dir: Path | None = None,
    outlier_data: Path | None = None,
    start: nn.Module | None = None,
    teacher: nn.Module | None = None,
    world: World | None = None,
) -> TrainResult:
    """Train, and keep the epoch that is best on held-out training images, or the last one.

    Two trainings with the same arguments on the same machine's CPU give the same weights, bit for bit, and so does one
    that was interrupted and resumed. On a GPU, some sums of PyTorch's are not always added up in the same order.

    Args:
        model: of the zoo.
        folder: IDX files, `train-...` and, to know the result, `t10k-...`; or folders of pictures, a subfolder per
            class, with or without `train` and `val` above them, `val` being the test images.
        recipe: how.
        seed: of weights, order, augmentation and dropout, and of which pictures of folders are held out.
        progress: told of every batch.
        checkpoint: written after each epoch, and left there; None writes none.
        resume: go on from that file.
        workers: processes that read pictures; None chooses.
        log_dir: of TensorBoard's files.
        outlier_data: a folder of images of no class, beside the shapes that are drawn, for `recipe.outliers`.
        start: of the same model, with the weights to go on from; None begins with random ones.
        teacher: of the same images and classes; its answers are `recipe.teacher_weight` of the target.
        world: the processes, where there are several: each calls this, and only the first shows progress and writes.

    Raises:
        DataError: too few images, no labels, labels that are no class of the model, or a process that reads was killed.
        ToolkitError: the checkpoint cannot be read or written or is of another training, or the loss is not finite.
    """
    world = world or World()
    writes = world.rank == 0
    dataset = data.open_labelled(folder, model.spec)
    training_set, held_out_set = data.split(dataset, recipe.held_out, seed)
    refuse_misfits(recipe, training_set, world)
    test = data.test_images(folder, model.spec)  # opened before the work; read once, after it
    identity = {} if checkpoint is None else identify(model, recipe, seed, data.digest(dataset, folder))
    scenes = draw_scenes(recipe.scenes, training_set, held_out_set, seed, progress) if recipe.scenes else None
    outliers = None
    if recipe.outliers:
        outliers = make_outliers(model.spec, recipe.shapes, outlier_data, training_set, held_out_set, seed, scenes)
        identity["outliers"] = digest_of_tensor(outliers.training)
    if start is not None:
        identity["weights"] = digest_of(start)
    if teacher is not None:
        identity["teacher"] = digest_of(teacher)
    before = load_checkpoint(checkpoint, identity) if resume and checkpoint is not None else None
    training = data.prepare(training_set, model.spec, crop=recipe.crop, workers=workers)
    held_out = data.prepare(held_out_set, model.spec, workers=workers)
    if scenes is not None:
        training = training.with_more(scenes.training.digits, scenes.training.labels)

    torch.manual_seed(seed)
    steps = len(split_evenly(torch.arange(len(training)), recipe.batch))
    module = model.make()
    if start is not None:
        module.load_state_dict(start.state_dict())
    learner = Learner(module, model.spec, recipe, steps, world)
    if teacher is not None:
        teacher = teacher.to(world.device).eval()
    done, best, best_top1, best_epoch, history = 0, learner.weights(), -1.0, 0, list[Epoch]()
    if before is not None:
        learner.load(before.learner)
        done, best, best_top1 = before.epoch, before.best, before.best_top1
        best_epoch, history = before.best_epoch, before.history

    with (
        event_log(log_dir if writes else None, done) as writer,
        progress.stage("train", recipe.epochs * len(training)) as stage,
    ):
        stage.note(f"{len(training):,} images, {len(held_out):,} held out; {learner.computing}")
        if done:
            stage.note(f"resumed after epoch {done}")
            stage.advance(done * len(training))
        for epoch in range(done + 1, recipe.epochs + 1):
            began = time.perf_counter()
            loss = train_epoch(
                learner, training, recipe, seed=seed, epoch=epoch, stage=stage, world=world,
                outliers=outliers.training if outliers else None, teacher=teacher,
            )  # fmt: skip
            trained_s = time.perf_counter() - began
            world.copy_buffers(learner.judged)  # each process has its own statistics of batch norm
            top1 = accuracy(learner.judged, held_out, learner.computing, world)
            if top1 > best_top1 or recipe.keep == "last":
                best, best_top1, best_epoch = learner.weights(), top1, epoch
            seconds, lr = time.perf_counter() - began, float(learner.schedule.get_last_lr()[0])
            history.append({"epoch": epoch, "loss": loss, "held_out_top1": top1, "lr": lr, "seconds": seconds})
            if writes and checkpoint is not None:
                state = learner.state()
                save_checkpoint(Checkpoint(identity, epoch, state, best, best_top1, best_epoch, history), checkpoint)
            if writer is not None:
                write_epoch(writer, history[-1])
            stage.note(
                f"epoch {epoch}/{recipe.epochs}: loss {loss:.4f}, held-out top-1 {top1:.2f} %, "
                f"{len(training) / trained_s:,.0f} images/s, {duration(seconds * (recipe.epochs - epoch))} left"
            )

    module = model.make()  # a fresh one: the trained one may have another layout, or batch norm that needs its group
    module.load_state_dict(best)
    module.eval()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    computing = replace(learner.computing, dtype=torch.float32)
    module.to(world.device)
    judged = None if test is None else data.prepare(test, model.spec, workers=workers)
    test_top1 = None if judged is None else accuracy(module, judged, computing, world)
    rejection = None
    if recipe.refuse and writes:
        rejection = find_rejection(module, held_out, judged, outliers, recipe.refuse, computing)
    return TrainResult(
        module.cpu(), best_epoch, best_top1, test_top1, rejection, parameters, tuple(history), str(learner.computing)
    )


def find_rejection(
    module: nn.Module, held_out: Pictures, test: Pictures | None, outliers: Outliers | None, share: float,
    computing: Computing,
) -> Rejection:  # fmt: skip
    """Choose the threshold on held-out images, and see what it refuses."""

    def judge(pictures: Pictures) -> tuple[Tensor, Tensor]:
        parts = torch.split(torch.arange(len(pictures)), data.CHUNK)
        return confidence(module, pictures.batches(parts), computing)

    sure, _ = judge(held_out)
    threshold = choose_threshold(sure, share)
    known, unknown = (
        {
            kind: refused(confidence(module, torch.split(images, data.CHUNK), computing)[0], threshold)
            for kind, images in kinds.items()
        }
        for kinds in ((outliers.known, outliers.unknown) if outliers else ({}, {}))
    )
    refused_test = right = None
    if test is not None:
        tested, answers = judge(test)
        accepted = tested >= threshold
        refused_test = 100 * int((~accepted).sum()) / len(test)
        right = 100 * int((accepted & (answers == test.labels)).sum()) / len(test)
    return Rejection(threshold, refused(sure, threshold), refused_test, right, known, unknown)


def refuse_misfits(recipe: Recipe, images: Dataset, world: World) -> None:
    """Refuse what no training can be made of."""
    if recipe.scenes and recipe.crop:
        raise DataError(
            "the recipe crops at random, and digits of drawn scenes are whole", "give --scenes 0 or --crop 0"
        )
    if recipe.batch % world.size or len(images) < world.size:
        raise DataError(
            f"a batch of {recipe.batch}, of {len(images)} images, cannot be shared out to {world.size} processes",
            "give a --batch that the number of processes divides: it counts the images of all of them",
        )


def identify(model: ZooModel, recipe: Recipe, seed: int, images: str) -> Identity:
    """What a training is of, by names that people know."""
    fields = msgspec.to_builtins(recipe)
    return {
        "model": model.name,
        **msgspec.to_builtins(model.options),
        "labels": list(model.spec.labels),
        "seed": seed,
        "data": images,
        **{name: value for name, value in fields.items() if name != "augment"},
        **fields["augment"],
    }


def duration(seconds: float) -> str:
    """Hours, minutes and seconds for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
