"""What a training is told, as values: no torch here, so that the command line and a checkpoint's reader stay light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, lt=1)]


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far training images are varied, at random and each on its own. All off by default.

    Attributes:
        shift: largest move along each axis, as a share of the side.
        rotate: largest turn either way, in degrees.
        scale: width and height change on their own by up to this share: 0.15 is 0.85 to 1.15.
        shear: largest slant either way, in degrees.
        elastic: standard deviation of a smooth displacement of every pixel, in pixels of an image 28 wide.
        smoothness: distance over which that displacement stays alike, in pixels of an image 28 wide.
        stroke: probability that light strokes become up to a pixel thicker or thinner.
        fade: probability that light strokes lose light in patches, as those of a pen that runs dry lose ink.
        flip: mirror half of the images left to right.
        border: what comes in from outside: "black", or for photos the "edge" pixels repeated.
    """

    shift: Annotated[float, Meta(ge=0, le=1)] = 0.0
    rotate: Annotated[float, Meta(ge=0, le=180)] = 0.0
    scale: Share = 0.0
    shear: Annotated[float, Meta(ge=0, le=80)] = 0.0
    elastic: Annotated[float, Meta(ge=0, le=28)] = 0.0
    smoothness: Annotated[float, Meta(ge=1, le=28)] = 5.0
    stroke: Annotated[float, Meta(ge=0, le=1)] = 0.0
    fade: Annotated[float, Meta(ge=0, le=1)] = 0.0
    flip: bool = False
    border: Literal["black", "edge"] = "black"


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is trained.

    Attributes:
        epochs: how often each image is seen.
        batch: images of a step, those of all processes together; the last steps are no smaller than the others.
        optimizer: SGD with momentum, or AdamW.
        learning_rate: the highest.
        momentum: of SGD.
        weight_decay: of every parameter.
        schedule: `one-cycle` rises and falls to nothing, `cosine` falls along half a wave, `constant` stays.
        warmup: epochs in which `cosine` and `constant` rise first; one-cycle does so by itself.
        label_smoothing: share of the target that is spread over all classes.
        ema: decay per step of the moving average of the weights, which is then what is judged and kept; 0 is off.
        augment: random variation of the images.
        crop: smallest share of a picture's area that a random crop takes, instead of the model's own geometry; 0 is
            off. As in Szegedy et al., "Going deeper with convolutions", 2014, where it is 0.08.
        outliers: weight of the outlier-exposure loss; 0 is off.
        outlier_share: outliers beside a batch, as a share of it.
        shapes: drawn shapes of each kind that are no digit, among the outliers; 0 draws none.
        scenes: drawn frames of a camera: its reader cuts digits out of them, to train with beside the images, and what
            is no digit, to train with beside the outliers; 0 draws none.
        refuse: share of the held-out images that the threshold of refusal may refuse; 0 sets no threshold.
        teacher_weight: share of the loss that compares with a teacher, where there is one.
        temperature: that softens the answers of both, for that comparison.
        held_out: training images that choose the best epoch: a number of them or, below 1, a share.
        keep: the epoch that is best on the held-out images, or the last one. They hardly tell late epochs apart, of
            which the last one refuses most of what is no digit.
        precision: of activations; weights are float32. `auto` is what the device computes fast.
    """

    epochs: Annotated[int, Meta(ge=1)] = 15
    batch: Annotated[int, Meta(ge=1)] = 128
    optimizer: Literal["sgd", "adamw"] = "adamw"
    learning_rate: Annotated[float, Meta(gt=0)] = 4e-3
    momentum: Share = 0.9
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    warmup: Annotated[int, Meta(ge=0)] = 0
    label_smoothing: Share = 0.0
    ema: Share = 0.0
    augment: Augment = Augment(shift=2 / 32)
    crop: Annotated[float, Meta(ge=0, le=1)] = 0.0
    outliers: Annotated[float, Meta(ge=0)] = 0.0
    outlier_share: Annotated[float, Meta(gt=0)] = 0.25
    shapes: Annotated[int, Meta(ge=0)] = 0
    scenes: Annotated[int, Meta(ge=0)] = 0
    refuse: Share = 0.0
    teacher_weight: Annotated[float, Meta(ge=0, le=1)] = 0.5
    temperature: Annotated[float, Meta(gt=0)] = 4.0
    held_out: Annotated[float, Meta(gt=0)] = 5000
    keep: Literal["best", "last"] = "best"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        """This recipe with other values, by the names of its fields and those of `Augment`; None changes nothing.

        Raises:
            msgspec.ValidationError: a value is out of range.
        """
        given = {name: value for name, value in values.items() if value is not None}
        augment = {name: given.pop(name) for name in Augment.__struct_fields__ if name in given}
        fields = msgspec.to_builtins(self)
        return msgspec.convert({**fields, **given, "augment": {**fields["augment"], **augment}}, Recipe)
