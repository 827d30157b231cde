"""What a model's answers on two images say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import click
import numpy as np
from numpy.typing import NDArray

from export.parity import normalize
from runtime.errors import ExportError
from runtime.spec import ModelSpec
from toolkit.foreign.spec import OutputKind, Told, make_spec, preprocess

SUM_TOLERANCE = 1e-3
#: From float32 images (N, C, H, W) to float32 answers (N, classes).
Ask: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def noise(told: Told, *, pixels: bool = False) -> NDArray[np.float32]:
    """Two images as the model takes them, which may be pixels as they are, float32 (2, C, H, W)."""
    image = preprocess(told).untouched if pixels else preprocess(told)
    height, width = told.spec.image_shape[:2] if told.spec else told.input_size or (0, 0)
    pictures = np.random.default_rng(0).integers(0, 256, (2, height, width, image.channels), np.uint8)
    return normalize(image, pictures)


def spec_from(answers: NDArray[np.float32], name: str, told: Told, origin: str = "") -> ModelSpec:
    """What was told, with the number of classes and the kind of the answers.

    Args:
        answers: float32, those of two images.
        name: of the model.
        told: what the command line says of it.
        origin: its file, for a message; empty to take the name.

    Raises:
        ExportError: these are no answers of a classifier, or not as many as was told.
    """
    if answers.ndim != 2 or len(answers) != 2 or answers.shape[1] < 2:
        raise ExportError(
            f"{origin or name} gives {answers.shape} for two images",
            "a classifier gives (2, classes), with 2 classes or more",
        )
    if not told.spec:
        return make_spec(name, told, answers.shape[1], told.output_kind or kind_of(answers, name))
    if told.spec.classes != answers.shape[1]:
        raise ExportError(
            f"{origin or name} answers for {answers.shape[1]} classes, and the spec {told.spec.classes}",
            "correct the spec",
        )
    return told.spec


def kind_of(answers: NDArray[np.float32], name: str) -> OutputKind:
    """Probabilities where every row holds none below 0 and adds up to 1, else logits; said."""
    sums = np.abs(answers.sum(1) - 1).max()
    kind: OutputKind = "probabilities" if answers.min() >= 0 and sums < SUM_TOLERANCE else "logits"
    click.echo(f"{name} gives {answers.shape[1]} {kind}; --output-kind overrules that", err=True)
    if kind == "logits" and answers.min() >= 0 and answers.max() <= 1:
        click.echo(f"  they lie in 0..1, but do not add up to 1: {name} is taken to know one class an image", err=True)
    return kind


def kind_of_one(ask: Ask, images: NDArray[np.float32], name: str, told: Told) -> OutputKind:
    """Of a model that gives one number an image: a probability stays in 0..1, however bright the image; said."""
    numbers = np.concatenate([ask(factor * images) for factor in (1, 100, -100)])
    inside = numbers.min() >= 0 and numbers.max() <= 1
    kind: OutputKind = told.output_kind or ("probabilities" if inside else "logits")
    what = "probability" if kind == "probabilities" else "logit"
    click.echo(f"{name} gives one number an image: taken for the {what} of the second of two classes", err=True)
    return kind


def two_classes(answers: NDArray[np.float32], kind: OutputKind) -> NDArray[np.float32]:
    """One number an image, (N, 1), as an answer of two classes, (N, 2); `export.adopt` does so in the graph."""
    return np.concatenate([1 - answers if kind == "probabilities" else np.zeros_like(answers), answers], 1)
