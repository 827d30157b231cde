"""What a foreign model takes and gives, from options of the command line or a file. Imports no PyTorch."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import click
import msgspec

from runtime.errors import DataError, ModelError
from runtime.folder import read_at_most
from runtime.spec import AnyStep, CenterCrop, Color, ModelSpec, Preprocess, Resize, classifier_spec
from toolkit.labels import read_labels

OutputKind = Literal["logits", "probabilities"]
LARGEST_SPEC = 1 << 20  # bytes
SEEN = frozenset(("--input-size", "--color", "--mean", "--std", "--crop-pct", "--spec"))  # how a model takes images


@dataclass(frozen=True)
class Told:
    """What a command line says of a model; None where it says nothing.

    Attributes:
        input_size: height and width that the model takes, in pixels.
        color: the channels, in the model's order.
        mean, std: per channel, or one for all, in units of pixel / 255.
        crop_pct: the share of the shorter side that the model sees.
        labels: a text file with the name of each class.
        output_kind: what the model gives.
        output_name: which of several answers.
        spec: all of it, from a file.
    """

    input_size: tuple[int, int] | None = None
    color: Color | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop_pct: float | None = None
    labels: Path | None = None
    output_kind: OutputKind | None = None
    output_name: str | None = None
    spec: ModelSpec | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The options that were given."""
        names = (field.name for field in fields(self) if getattr(self, field.name) is not None)
        return tuple("--" + name.replace("_", "-") for name in names)


class Borrowed(Told):
    """What another model takes: where a file says itself how it takes images, that counts."""


def refuse_told(told: Told, what: str) -> None:
    """Refuse what a model knows by itself."""
    if told.flags:
        raise click.UsageError(f"{told.flags[0]} does not go with {what}, which knows what it takes and gives")


def refuse_untold(told: Told) -> None:
    """Refuse what does not say enough, or says a thing twice.

    Raises:
        UsageError: there is no input size, a value fits no channel, or `--spec` does not stand alone.
    """
    if not told.spec:
        preprocess(told)
    elif said_twice := set(told.flags) - {"--spec", "--output-name"}:
        raise click.UsageError(f"--spec stands alone: it says what {min(said_twice)} says")


def preprocess(told: Told) -> Preprocess:
    """How an image is brought to the model: as the spec has it, or its middle at the model's size.

    Raises:
        UsageError: the size is not told, or mean and std do not fit the channels.
    """
    if told.spec:
        return told.spec.preprocess
    if told.input_size is None:
        raise click.UsageError("--input-size is missing: the height and width of the images that the model takes")
    height, width = told.input_size
    share = told.crop_pct or 1.0
    # The shorter side first: an image keeps its aspect, and its middle is seen.
    steps: tuple[AnyStep, ...] = (
        Resize(math.floor(height / share), math.floor(width / share), "shorter", "bilinear"),
        CenterCrop(height, width),
    )
    color = told.color or "rgb"
    channels = 1 if color == "gray" else 3
    mean, std = spread(told.mean or (0.0,), channels, "--mean"), spread(told.std or (1.0,), channels, "--std")
    if min(std) <= 0:
        raise click.UsageError("--std divides: every value must be above 0")
    if max(map(abs, mean)) > 10 or max(std) > 10:
        raise click.UsageError(
            "--mean and --std are in units of pixel / 255, such as 0.485,0.456,0.406: divide yours by 255"
        )
    return Preprocess(color, steps, mean, std)


def spread(values: tuple[float, ...], channels: int, flag: str) -> tuple[float, ...]:
    """One value for each channel."""
    if len(values) not in (1, channels):
        raise click.UsageError(f"{flag} has {len(values)} values for {channels} channels: give one, or one for each")
    return values if len(values) == channels else values * channels


def make_spec(name: str, told: Told, classes: int, kind: OutputKind) -> ModelSpec:
    """The spec of a model that was asked how many classes it knows, and what it gives.

    Raises:
        DataError: the labels cannot be read, or are not as many.
    """
    labels, image = labels_of(name, told, classes), preprocess(told)
    height, width = told.input_size or (0, 0)
    return classifier_spec(
        name, height=height, width=width, classes=classes, preprocess=image, labels=labels, output_kind=kind
    )


def labels_of(name: str, told: Told, classes: int) -> tuple[str, ...]:
    """The names of the classes; none where no file of them was told.

    Raises:
        DataError: they cannot be read, or are not as many.
    """
    labels = read_labels(told.labels) if told.labels else ()
    if labels and len(labels) != classes:
        raise DataError(
            f"{told.labels} names {len(labels)} classes, and {name} answers for {classes}",
            "give a line for each class, in the order of the answers",
        )
    return labels


def read_spec(path: Path) -> ModelSpec:
    """A whole `ModelSpec` from a TOML file.

    Raises:
        ModelError: it cannot be read, or is no spec; the message names the field.
    """
    try:
        return msgspec.toml.decode(read_at_most(path, LARGEST_SPEC), type=ModelSpec)
    except (OSError, ValueError) as error:  # msgspec's and tomllib's are ValueErrors
        why = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{path} is not a model's spec: {why}", "docs/models.md shows a whole one") from error
