"""Options of `toolkit train` that change a model's recipe: one per field of `Recipe` and `Augment`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from toolkit.option_types import FiniteRange
from toolkit.options import combine

SHARE = FiniteRange(0, 1, max_open=True)
POSITIVE = FiniteRange(min=0, min_open=True)
NOT_NEGATIVE = FiniteRange(min=0)


def recipe_option(name: str, kind: click.ParamType[Any], text: str) -> Callable[[Any], Any]:
    """One that is None where it was not given."""
    return click.option(name, type=kind, help=text)


# What each stands for in full, the fields' docstrings say. Each defaults to the model's own recipe.
recipe_options = combine(
    recipe_option("--epochs", click.IntRange(min=1), "How often to see each image."),
    recipe_option("--batch", click.IntRange(min=1), "Images per step, of all processes together."),
    recipe_option("--optimizer", click.Choice(("sgd", "adamw")), "SGD with momentum, or AdamW."),
    recipe_option("--learning-rate", POSITIVE, "The highest learning rate."),
    recipe_option("--momentum", SHARE, "Of SGD."),
    recipe_option("--weight-decay", NOT_NEGATIVE, "Of the weights."),
    recipe_option("--schedule", click.Choice(("one-cycle", "cosine", "constant")), "Course of the learning rate."),
    recipe_option("--warmup", click.IntRange(min=0), "Epochs in which cosine and constant rise first."),
    recipe_option("--label-smoothing", SHARE, "Share of the target that is spread over all classes."),
    recipe_option("--ema", SHARE, "Decay per step of a moving average of the weights, to keep that; 0 is off."),
    recipe_option("--held-out", POSITIVE, "Training images that choose the best epoch: a number, or a share below 1."),
    recipe_option("--keep", click.Choice(("best", "last")), "The epoch whose weights to write."),
    recipe_option("--precision", click.Choice(("auto", "fp32", "bf16", "fp16")), "Of activations."),
    recipe_option("--crop", FiniteRange(0, 1), "Crop photos at random to this share of their area at least; 0 is off."),
    recipe_option("--shift", FiniteRange(0, 1), "Move images at random, by up to this share of the side."),
    recipe_option("--rotate", FiniteRange(0, 180), "Turn images at random, by up to so many degrees."),
    recipe_option("--scale", SHARE, "Stretch images at random, by up to this share."),
    recipe_option("--shear", FiniteRange(0, 80), "Slant images at random, by up to so many degrees."),
    recipe_option("--elastic", FiniteRange(0, 28), "Displace pixels at random and smoothly, by so many of 28."),
    recipe_option("--smoothness", FiniteRange(1, 28), "Distance over which that stays alike, in pixels of 28."),
    recipe_option("--stroke", FiniteRange(0, 1), "Probability of thicker or thinner strokes."),
    recipe_option("--fade", FiniteRange(0, 1), "Probability of strokes that lose light in patches."),
    click.option("--flip/--no-flip", default=None, help="Mirror half of the images."),
    recipe_option("--border", click.Choice(("black", "edge")), "What comes in from outside a moved image."),
    recipe_option("--outliers", NOT_NEGATIVE, "Weight of the loss on images of no class; 0 is off."),
    recipe_option("--outlier-share", POSITIVE, "Images of no class beside a batch, as a share of it."),
    recipe_option("--shapes", click.IntRange(min=0), "Among those, drawn shapes of each kind that are no digit."),
    recipe_option("--scenes", click.IntRange(min=0), "Drawn frames of a camera whose digits to train with as well."),
    recipe_option("--refuse", SHARE, "Share of held-out images that a threshold may refuse; 0 sets none."),
    recipe_option("--teacher-weight", FiniteRange(0, 1), "Share of the loss that compares with a teacher."),
    recipe_option("--temperature", POSITIVE, "That softens the answers which are compared."),
)
