"""LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.

As it is mostly built today: full connections from S2 to C3, max pooling, a dense output.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

import runtime
from runtime.spec import ModelSpec, Pad, PadToSquare, Polarity, Preprocess, Resize, classifier_spec
from toolkit.recipe import Augment, Recipe
from toolkit.zoo.model import Options, ZooModel

if TYPE_CHECKING:
    from torch import nn

HERE = Path(__file__).parent
DATA = Path(runtime.__file__).parent / "data" / "mnist"


class LeNetOptions(Options, frozen=True):
    """What can be chosen.

    Attributes:
        side: height and width of an image in pixels. 32, as published, leaves black round MNIST's 28x28 digits.
        activation: after every layer but the last.
        normalization: after the activation of both convolutions: local response, batch, or none.
        normalization_place: before or after the pool.
        overlapping_pooling: 3x3 windows in place of 2x2 ones, both with a stride of 2.
        dropout: the share of the dense layers' outputs that training leaves out.
        groups: 2 lets each half of conv2 see one half of the maps.
        classes: how many answers there are.
        width: multiplies the number of maps and neurons of every layer but the last.
    """

    side: Literal[28, 32] = 32
    activation: Literal["relu", "tanh", "sigmoid"] = "tanh"
    normalization: Literal["lrn", "batch", "none"] = "none"
    normalization_place: Literal["before", "after"] = "before"
    overlapping_pooling: bool = False
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    groups: Literal[1, 2] = 1
    classes: Annotated[int, Meta(ge=2, le=65536)] = 10
    width: Annotated[int, Meta(ge=1, le=16)] = 1


def make(options: LeNetOptions) -> nn.Sequential:
    """The untrained module: square grey digits to logits.

                                  side 32: 61,706 parameters         side 28: 44,426
    conv1 6 @ 5x5, tanh, pool     (N, 1, 32, 32) -> (N, 6, 14, 14)   (N, 1, 28, 28) -> (N, 6, 12, 12)
    conv2 16 @ 5x5, tanh, pool                   -> (N, 16, 5, 5)                   -> (N, 16, 4, 4)
    fc1, tanh                                    -> (N, 120)                        -> (N, 120)
    fc2, tanh                                    -> (N, 84)                         -> (N, 84)
    fc3                                          -> (N, 10)                         -> (N, 10)
    """
    from torch import nn

    from toolkit.zoo.layers import ACTIVATIONS, normalization

    activation = ACTIVATIONS[options.activation]
    maps1, maps2, dense1, dense2 = (options.width * size for size in (6, 16, 120, 84))
    reduced = ((options.side - 4) // 2 - 4) // 2  # twice: a convolution takes 4 off, a pool halves
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, conv in ((1, nn.Conv2d(1, maps1, 5)), (2, nn.Conv2d(maps1, maps2, 5, groups=options.groups))):
        layers[f"conv{index}"] = conv
        layers[f"{options.activation}{index}"] = activation()
        norm = [(f"norm{index}", layer) for layer in normalization(options.normalization, conv.out_channels)]
        pool = nn.MaxPool2d(3, 2, padding=1) if options.overlapping_pooling else nn.MaxPool2d(2)
        parts = [*norm, (f"pool{index}", pool)]
        layers.update(parts if options.normalization_place == "before" else parts[::-1])
    layers["flatten"] = nn.Flatten()
    for index, linear in ((1, nn.Linear(maps2 * reduced**2, dense1)), (2, nn.Linear(dense1, dense2))):
        layers[f"fc{index}"] = linear
        layers[f"{options.activation}{index + 2}"] = activation()
        if options.dropout:
            layers[f"dropout{index}"] = nn.Dropout(options.dropout)
    layers["fc3"] = nn.Linear(dense2, options.classes)
    return nn.Sequential(layers)


def make_spec(name: str, options: LeNetOptions) -> ModelSpec:
    """A digit is brought to MNIST's 28x28 pixels, light on dark, with black round it up to `side`."""
    margin = (options.side - 28) // 2
    # Of MNIST's training digits with that margin, rounded. Where weights were trained without, it has to stay so.
    mean, std = (0.1, 0.28) if margin else (0.0, 1.0)
    pad = (Pad(margin, margin, margin, margin, 0),) if margin else ()
    return classifier_spec(
        name,
        height=options.side,
        width=options.side,
        classes=options.classes,
        labels=tuple("0123456789") if options.classes == 10 else (),
        preprocess=Preprocess(
            color="gray",
            steps=(Polarity("auto"), PadToSquare(0), Resize(28, 28, "exact", "area"), *pad),
            mean=(mean,),
            std=(std,),
        ),
    )


def recipe(side: int) -> Recipe:
    """The default recipe, digits moved by up to two pixels; float32, so that every CPU gives much the same."""
    return Recipe(augment=Augment(shift=2 / side), precision="fp32")


MODELS = (
    ZooModel("lenet", LeNetOptions(), make, make_spec, recipe(32), HERE / "lenet.safetensors", DATA),
    ZooModel("lenet-28", LeNetOptions(side=28), make, make_spec, recipe(28), HERE / "lenet-28.safetensors", DATA),
)
