"""`toolkit train`: a model of the zoo, from random weights or from others."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.console import points, print_json, printable, say
from toolkit.option_types import FILE, FOLDER, MODEL, FiniteRange
from toolkit.options import output_options, set_option
from toolkit.progress import make_progress
from toolkit.recipe_options import recipe_options

if TYPE_CHECKING:
    from torch import nn

    from toolkit.training import TrainResult
    from toolkit.training.rejection import Rejection
    from toolkit.zoo import ZooModel
    from toolkit.zoo.card import Card

LARGEST_SEED = 2**63 - 1
MOST_LISTED = 5  # classes of a model, in a line that says how many there are


@click.command()
@click.argument("model", type=MODEL)
@click.option("--data", type=FOLDER, required=True, help="A folder with IDX files as MNIST's, or pictures by class.")
@set_option
@click.option("--labels", type=FILE, help="A text file with the name of each class, a line each.")
@click.option("--outlier-data", type=FOLDER, help="Images of no class, for --outliers; every third class judges.")
@click.option("--weights", type=FILE, help="Weights of this model to go on from, in place of random ones.")
@click.option("--teacher", type=FILE, help="Weights that `train` wrote, of a model that this one learns from.")
@click.option("-o", "--output", type=FILE, help="The weights to write.  [default: MODEL.safetensors]")
@click.option("--force", is_flag=True, help="Replace files that are there, and begin anew.")
@click.option(
    "--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True, help="Of all that is random."
)
@click.option("--checkpoint", type=FILE, help="Kept after each epoch, until the end.  [default: OUTPUT.checkpoint.pt]")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint.")
@click.option("--log-dir", type=FOLDER, help="Write event files for TensorBoard here.")
@click.option("--workers", type=click.IntRange(0, 256), help="Processes that read pictures.  [default: one per core]")
@click.option(
    "--worker-timeout",
    type=FiniteRange(min=1),
    default=60,
    show_default=True,
    help="Under torchrun: seconds without an answer after which another process counts as lost.",
)
@recipe_options
@output_options
def command(
    model: str,
    data: Path,
    settings: dict[str, str],
    labels: Path | None,
    outlier_data: Path | None,
    weights: Path | None,
    teacher: Path | None,
    output: Path | None,
    force: bool,
    seed: int,
    checkpoint: Path | None,
    resume: bool,
    log_dir: Path | None,
    workers: int | None,
    worker_timeout: float,
    as_json: bool,
    **changes: Any,
) -> None:
    """Train MODEL, a model of the zoo such as lenet, and write its weights as safetensors.

    Folders of pictures name the model's classes by their subfolders, in alphabetical order. Where the model knows them
    all by these names, it keeps all of its classes.

    The model brings a recipe, and options change parts of it. Images held out of the training set choose the best
    epoch; test images, where DATA has them, are read once at the end.

    Several processes train one model as torchrun starts them: torchrun --nproc-per-node N -m toolkit train ...
    """
    from msgspec import convert

    from export.torch_cache import own_torch_cache
    from runtime.datasets import class_names, has_both_splits
    from runtime.errors import ToolkitError, UnknownModelError
    from runtime.progress import SilentProgress
    from toolkit.labels import read_labels
    from toolkit.output_file import place_for
    from toolkit.zoo import ZOO, get_zoo_model

    if model.endswith(".onnx") or ":" in model:
        raise UnknownModelError(
            f"'{model}' is none of the zoo, whose models train trains",
            f"there are: {', '.join(ZOO)}; what you train yourself, build takes as module:factory with --weights",
        )
    entry = get_zoo_model(model).with_options(settings)
    if weights:
        entry = entry.with_weights(weights)
    if labels:
        entry = with_labels(entry, read_labels(labels))
    elif not (names := set(class_names(data, "train"))) <= set(entry.spec.labels):
        entry = with_labels(entry, tuple(sorted(names)))
    recipe = entry.recipe.changed(changes)
    if not recipe.outliers and (outlier_data or changes["shapes"] or changes["outlier_share"]):
        raise click.UsageError("--outlier-data, --shapes and --outlier-share need --outliers WEIGHT")
    if teacher is None and (changes["teacher_weight"] is not None or changes["temperature"] is not None):
        raise click.UsageError("--teacher-weight and --temperature need --teacher FILE")
    output = output or Path(f"{entry.name}.safetensors")
    checkpoint = checkpoint or output.with_name(f"{output.name}.checkpoint.pt")
    if checkpoint.resolve() == output.resolve():  # it is removed at the end
        raise click.UsageError(f"-o and --checkpoint name the same file, {output}")

    from toolkit.training import train
    from toolkit.training.distributed import join, restarted, world_of_environment
    from toolkit.zoo.weights import make_with_weights, save_weights

    rank, size = world_of_environment()
    first = rank == 0
    with ExitStack() as stack:
        if first:
            stack.enter_context(place_for(output, force=force))
            stack.enter_context(place_for(checkpoint, force=True))
        stack.enter_context(own_torch_cache())
        stack.enter_context(hint_of_interruption(checkpoint, rank, size))
        world = stack.enter_context(join(worker_timeout))
        resume = resume or (world.any(restarted()) and checkpoint.exists())
        if world.any(resume) and world.any(not resume):
            raise ToolkitError(
                f"some processes have the checkpoint {checkpoint} and others do not",
                "keep it on a disk that all of them see: --checkpoint FILE",
            )
        if checkpoint.exists() and not resume and not force:
            raise ToolkitError(
                f"{checkpoint} is there: a training was interrupted", "give --resume to go on, or --force to begin anew"
            )
        result = train(
            entry,
            data,
            recipe,
            seed=seed,
            progress=make_progress() if first else SilentProgress(),
            checkpoint=checkpoint,
            resume=resume,
            workers=workers,
            log_dir=log_dir,
            outlier_data=outlier_data,
            start=make_with_weights(replace(entry, weights=weights)) if weights else None,
            teacher=load_teacher(entry, teacher),
            world=world,
        )
        if not first:
            return
        save_weights(result.module, output, card_of(entry, result))
        checkpoint.unlink(missing_ok=True)
    if as_json:
        from toolkit.training.result import EpochRow, Trained

        print_json(
            Trained(
                model=entry.name,
                weights=str(output),
                parameters=result.parameters,
                epoch=result.epoch,
                held_out_top1=result.held_out_top1,
                test_top1=result.test_top1,
                rejection=result.rejection,
                recipe=recipe,
                seed=seed,
                computed=result.computed,
                history=tuple(convert(row, EpochRow) for row in result.history),
            )
        )
        return
    test = "no labelled test images there" if result.test_top1 is None else f"test top-1 {points(result.test_top1)} %"
    say(f"{entry.name}: {result.parameters:,} parameters, epoch {result.epoch}, {test}")
    say(f"held-out top-1 {points(result.held_out_top1)} %")
    if result.rejection:
        show_rejection(result.rejection)
    say(f"wrote {output}")
    option = "--data" if has_both_splits(data) else "--calib-data"
    words = ("toolkit", "build", entry.name, "--int8", "--weights", str(output), option, str(data))
    say(f"next:  {shlex.join(words)}")


def with_labels(model: ZooModel, names: tuple[str, ...]) -> ZooModel:
    """The model with as many classes as there are names, and with these."""
    from msgspec import structs

    from runtime.errors import DataError

    if len(names) < 2:
        raise DataError(f"there is one class alone, {names[0]}", "give pictures of two classes or more")
    if len(names) != model.spec.classes:
        listed = printable(", ".join(names[:MOST_LISTED])) + (", ..." if len(names) > MOST_LISTED else "")
        click.echo(f"{model.name} gets {len(names)} classes in place of {model.spec.classes}: {listed}", err=True)
        model = model.with_options({"classes": len(names)})
    return replace(model, given_spec=structs.replace(model.spec, labels=names))


def load_teacher(student: ZooModel, path: Path | None) -> nn.Module | None:
    """The model that a weights file's card names; it must take the same images and know the same classes."""
    if path is None:
        return None
    from runtime.errors import WeightsError
    from toolkit.zoo import get_zoo_model
    from toolkit.zoo.card import read_card
    from toolkit.zoo.weights import make_with_weights

    card = read_card(path)
    if card is None:
        raise WeightsError(f"{path} does not say what model it is of", "give weights that `toolkit train` wrote")
    teacher = get_zoo_model(card.model).with_weights(path)
    if any(getattr(teacher.spec, part) != getattr(student.spec, part) for part in ("inputs", "output", "labels")):
        raise WeightsError(
            f"the teacher {path} takes images {teacher.spec.image_shape} of {teacher.spec.classes} classes, "
            f"{student.name} {student.spec.image_shape} of {student.spec.classes}",
            "give a teacher of the same images and classes",
        )
    if (teacher.spec.preprocess.mean, teacher.spec.preprocess.std) != (
        student.spec.preprocess.mean,
        student.spec.preprocess.std,
    ):
        raise WeightsError(f"the teacher {path} sees pixels on another scale", "give one of the same mean and std")
    return make_with_weights(teacher)


def card_of(model: ZooModel, result: TrainResult) -> Card:
    """What the weights say of themselves, the threshold of refusal with it."""
    from msgspec import structs

    threshold = result.rejection.threshold if result.rejection else None
    return structs.replace(model.card, spec=structs.replace(model.spec, reject_threshold=threshold))


def show_rejection(rejection: Rejection) -> None:
    """The threshold and what it refuses."""
    say(f"answers below {rejection.threshold:.3f} are refused: {points(rejection.held_out)} % of held-out images")
    if rejection.test is not None and rejection.test_top1 is not None:
        say(f"of the test images {points(rejection.test)} % are refused, {points(rejection.test_top1)} % read right")
    for name, kinds in (("trained with", rejection.known), ("never trained with", rejection.unknown)):
        if kinds:
            each = ", ".join(f"{kind} {share:.1f}" for kind, share in kinds.items())
            say(f"refused of images of no class, in %, {name}: {sum(kinds.values()) / len(kinds):.1f} ({each})")


@contextmanager
def hint_of_interruption(checkpoint: Path, rank: int, size: int) -> Iterator[None]:
    """Say how to go on after Ctrl-C, or after torchrun has stopped this process because of another."""
    try:
        yield
    except KeyboardInterrupt:
        if size > 1:
            click.echo(f"process {rank} was told to stop, as torchrun does when another process has failed", err=True)
        if rank == 0 and checkpoint.exists():
            click.echo(f"{checkpoint} holds the epochs that are done: the same command with --resume goes on", err=True)
        raise
