"""AlexNet: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012.

Three variants: `alexnet` is the paper's; `alexnet-bn` has batch normalisation behind every convolution's activation,
tanh in its dense layers and no groups, for ten classes; `alexnet-owt` is the one whose weights torchvision has, from
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from msgspec import Meta, structs

from runtime.spec import CenterCrop, ModelSpec, Preprocess, Resize, classifier_spec
from toolkit.recipe import Augment, Recipe
from toolkit.zoo.imagenet import IMAGENET_MEAN, IMAGENET_STD, imagenet_labels
from toolkit.zoo.model import Options, ZooModel
from toolkit.zoo.torchvision import ALEXNET_URL

if TYPE_CHECKING:
    from torch import nn

Activation: TypeAlias = Literal["relu", "tanh", "sigmoid"]
Maps: TypeAlias = Annotated[int, Meta(ge=2, le=4096, multiple_of=2)]


class AlexNetOptions(Options, frozen=True):
    """What can be chosen.

    Attributes:
        activation: after every convolution.
        dense_activation: after fc6 and fc7.
        normalization: local response after conv1 and conv2, batch after every convolution, or none.
        normalization_place: before or after the pool, where there is one.
        overlapping_pooling: 3x3 windows in place of 2x2 ones, both with a stride of 2.
        last_pool: the side of the last pool's window; 2 is what the others are without overlap.
        dropout: the share of the outputs of fc6 and fc7 that training leaves out.
        groups: 2 splits conv2, conv4 and conv5 into halves that do not see each other, as the paper's two GPUs did.
        maps: channels of the five convolutions.
        dense: neurons of fc6 and of fc7.
        side: height and width of an image in pixels; conv1 has no padding at 227 and 2 pixels at 224.
        classes: how many answers there are.
    """

    activation: Activation = "relu"
    dense_activation: Activation = "relu"
    normalization: Literal["lrn", "batch", "none"] = "lrn"
    normalization_place: Literal["before", "after"] = "before"
    overlapping_pooling: bool = True
    last_pool: Literal[2, 3] = 3
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    groups: Literal[1, 2] = 2
    maps: tuple[Maps, Maps, Maps, Maps, Maps] = (96, 256, 384, 384, 256)
    dense: Annotated[int, Meta(ge=1, le=65536)] = 4096
    side: Literal[224, 227] = 227
    classes: Annotated[int, Meta(ge=2, le=65536)] = 1000


def make(options: AlexNetOptions) -> nn.Sequential:
    """The untrained module: square RGB images to logits.

    conv1 11x11/4, pool       (N, 3, 227, 227) -> (N, 96, 27, 27)
    conv2 5x5, pool                            -> (N, 256, 13, 13)
    conv3, conv4 3x3                           -> (N, 384, 13, 13)
    conv5 3x3, pool                            -> (N, 256, 6, 6)
    fc6, fc7                                   -> (N, 4096)
    fc8                                        -> (N, 1000)
    """
    from torch import nn

    from toolkit.zoo.layers import ACTIVATIONS, normalization

    split = options.groups
    maps = options.maps
    convolutions = (
        nn.Conv2d(3, maps[0], 11, 4, padding=0 if options.side == 227 else 2),
        nn.Conv2d(maps[0], maps[1], 5, padding=2, groups=split),
        nn.Conv2d(maps[1], maps[2], 3, padding=1),
        nn.Conv2d(maps[2], maps[3], 3, padding=1, groups=split),
        nn.Conv2d(maps[3], maps[4], 3, padding=1, groups=split),
    )
    window = 3 if options.overlapping_pooling else 2
    pools = {1: window, 2: window, 5: min(window, options.last_pool)}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, conv in enumerate(convolutions, 1):
        layers[f"conv{index}"] = conv
        layers[f"{options.activation}{index}"] = ACTIVATIONS[options.activation]()
        kind = "none" if options.normalization == "lrn" and index > 2 else options.normalization
        parts: list[tuple[str, nn.Module]] = [
            (f"norm{index}", layer) for layer in normalization(kind, conv.out_channels)
        ]
        if index in pools:
            pool = (f"pool{index}", nn.MaxPool2d(pools[index], 2))
            parts = [*parts, pool] if options.normalization_place == "before" else [pool, *parts]
        layers.update(parts)
    layers["flatten"] = nn.Flatten()
    for index, linear in ((6, nn.Linear(maps[4] * 6 * 6, options.dense)), (7, nn.Linear(options.dense, options.dense))):
        layers[f"fc{index}"] = linear
        layers[f"{options.dense_activation}{index}"] = ACTIVATIONS[options.dense_activation]()
        if options.dropout:
            layers[f"dropout{index}"] = nn.Dropout(options.dropout)
    layers["fc8"] = nn.Linear(options.dense, options.classes)
    return nn.Sequential(layers)


def make_spec(name: str, options: AlexNetOptions) -> ModelSpec:
    """RGB, the shorter side to 256 pixels, the middle cut out, ImageNet's mean and standard deviation."""
    return classifier_spec(
        name,
        height=options.side,
        width=options.side,
        classes=options.classes,
        labels=imagenet_labels() if options.classes == 1000 else (),
        preprocess=Preprocess(
            color="rgb",
            steps=(Resize(256, 256, "shorter", "bilinear"), CenterCrop(options.side, options.side)),
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        ),
    )


def whole_image_spec(name: str, options: AlexNetOptions) -> ModelSpec:
    """The same with the whole picture brought to the model's size: small sets fill it with what matters."""
    spec = make_spec(name, options)
    steps = (Resize(options.side, options.side, "exact", "bilinear"),)
    return structs.replace(spec, preprocess=structs.replace(spec.preprocess, steps=steps))


BATCH_NORM = AlexNetOptions(dense_activation="tanh", normalization="batch", last_pool=2, groups=1, classes=10)
ONE_WEIRD_TRICK = AlexNetOptions(normalization="none", groups=1, maps=(64, 192, 384, 256, 256), side=224)

# Not tuned: what is customary for ImageNet, for one GPU.
RECIPE = Recipe(
    epochs=90,
    optimizer="sgd",
    learning_rate=0.01,
    weight_decay=5e-4,
    schedule="cosine",
    warmup=1,
    label_smoothing=0.1,
    augment=Augment(flip=True, border="edge"),
    crop=0.08,
    held_out=0.02,
)

MODELS = (
    ZooModel("alexnet", AlexNetOptions(), make, make_spec, RECIPE),
    ZooModel("alexnet-bn", BATCH_NORM, make, whole_image_spec, RECIPE),
    ZooModel("alexnet-owt", ONE_WEIRD_TRICK, make, make_spec, RECIPE, downloads={"torchvision": ALEXNET_URL}),
)
