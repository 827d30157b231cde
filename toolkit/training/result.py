"""What `train` prints with --json."""

from __future__ import annotations

from msgspec import Struct

from toolkit.recipe import Recipe
from toolkit.training.rejection import Rejection


class EpochRow(Struct, frozen=True):
    """One epoch.

    Attributes:
        epoch: its number, from 1.
        loss: mean over the training images.
        held_out_top1: after it, in percent.
        lr: learning rate at its end.
        seconds: that it took.
    """

    epoch: int
    loss: float
    held_out_top1: float
    lr: float
    seconds: float


class Trained(Struct, frozen=True):
    """`train --json`.

    Attributes:
        model: its name.
        weights: the file that was written.
        parameters: how many the model has.
        epoch: the one whose weights these are.
        held_out_top1: on the images that chose it, in percent.
        test_top1: on the test images, in percent, nothing refused; null where there are none.
        rejection: the threshold of refusal and what it refuses; null where the recipe sets none.
        recipe: how it was trained.
        seed: of all that was random.
        computed: device, precision and layout, for people.
        history: of all epochs.
    """

    model: str
    weights: str
    parameters: int
    epoch: int
    held_out_top1: float
    test_top1: float | None
    rejection: Rejection | None
    recipe: Recipe
    seed: int
    computed: str
    history: tuple[EpochRow, ...]
