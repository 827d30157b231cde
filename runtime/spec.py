"""What a model takes and gives: the values that travel inside every bundle.

Knows nothing of files, graphs or inference libraries. All values are immutable and convert to and from JSON with
`msgspec`, which refuses unknown fields and values out of range.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, structs

Size: TypeAlias = Annotated[int, Meta(ge=1, le=65536)]
Margin: TypeAlias = Annotated[int, Meta(ge=0, le=65536)]
Fill: TypeAlias = Annotated[int, Meta(ge=0, le=255)]
Symbol: TypeAlias = Annotated[str, Meta(min_length=1)]
Color: TypeAlias = Literal["gray", "rgb", "bgr"]
Interpolation: TypeAlias = Literal["nearest", "bilinear", "area", "bicubic"]
PIXEL = 1 / 255  # a std by which pixels are seen as they are
#: What a graph holds; `int8-fp16` is INT8 with a float16 rest.
Precision: TypeAlias = Literal["fp32", "fp16", "int8", "int8-fp16"]


class TensorSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A named tensor.

    Attributes:
        name: as in the ONNX graph.
        dtype: numpy's name, such as `uint8` or `float32`.
        shape: each entry a size, or a symbol such as `"batch"`.
    """

    name: str
    dtype: str
    shape: tuple[Size | Symbol, ...]


class Step(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    """One geometric step on a uint8 image (H, W) or (H, W, C)."""


class Resize(Step, frozen=True, tag="resize"):
    """Scale the image.

    Attributes:
        height, width: the size in pixels.
        mode: `exact` gives this very size; `shorter` keeps the aspect and gives the smallest image that covers it.
        interpolation: how pixels are made.
    """

    height: Size
    width: Size
    mode: Literal["exact", "shorter"] = "exact"
    interpolation: Interpolation = "bilinear"


class CenterCrop(Step, frozen=True, tag="center_crop"):
    """Cut the middle out; the image must be at least this large."""

    height: Size
    width: Size


class Pad(Step, frozen=True, tag="pad"):
    """Add a margin, in pixels, filled with one grey value in 0..255."""

    top: Margin
    bottom: Margin
    left: Margin
    right: Margin
    fill: Fill = 0


class PadToSquare(Step, frozen=True, tag="pad_to_square"):
    """Widen the shorter side evenly, so that a later exact resize keeps the aspect."""

    fill: Fill = 0


class Polarity(Step, frozen=True, tag="polarity"):
    """Make digits light on dark.

    Attributes:
        mode: `keep` changes nothing; `auto` inverts an image whose border is lighter than half-way between its darkest
            and its lightest pixel (ink on paper), then takes the border's grey for black, since no paper is white.
    """

    mode: Literal["keep", "auto"] = "auto"


AnyStep: TypeAlias = Resize | CenterCrop | Pad | PadToSquare | Polarity


class Preprocess(Struct, frozen=True, forbid_unknown_fields=True):
    """The only description of preprocessing.

    `steps` is geometry on uint8 and runs in `runtime.preprocess`. `mean` and `std` are arithmetic, and part of the
    graph: the model sees `(pixel / 255 - mean) / std`.

    Attributes:
        color: the channels, in the order that the model takes.
        steps: in the order in which they run.
        mean, std: one value per channel, in units of pixel / 255.
    """

    color: Color
    steps: tuple[AnyStep, ...]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Meta(gt=0)], ...]

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(f"{name} has {len(values)} values, but {self.color} has {self.channels} channels")

    @property
    def channels(self) -> int:
        return 1 if self.color == "gray" else 3

    @property
    def as_pixels(self) -> bool:
        """Whether the model sees pixels of 0..255 as they are: whatever its training took off is inside its graph."""
        return set(self.mean) == {0} and set(self.std) == {PIXEL}

    @property
    def untouched(self) -> Preprocess:
        """The same, with pixels as they are."""
        return structs.replace(self, mean=(0.0,) * self.channels, std=(PIXEL,) * self.channels)


class ModelSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A classifier.

    Attributes:
        name: for people and file names.
        inputs: one image tensor, uint8, (batch, height, width, channels).
        output: the answers, float32, (batch, classes).
        preprocess: how an image becomes such an input.
        labels: a name for each class, or empty.
        output_kind: what the source model gives. A bundle's graph always gives probabilities.
        reject_threshold: an answer whose highest probability is lower is refused; None refuses nothing.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec
    preprocess: Preprocess
    labels: tuple[str, ...] = ()
    output_kind: Literal["logits", "probabilities"] = "logits"
    reject_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) != 1 or len(self.inputs[0].shape) != 4 or self.inputs[0].dtype != "uint8":
            raise ValueError("a classifier has one input, uint8, (batch, height, width, channels)")
        if not all(isinstance(size, int) and size > 0 for size in self.inputs[0].shape[1:]):
            raise ValueError("height, width and channels of the input must be numbers")
        if self.inputs[0].shape[3] != self.preprocess.channels:
            raise ValueError(f"the input has {self.inputs[0].shape[3]} channels, preprocessing {self.preprocess.color}")
        if len(self.output.shape) != 2 or not isinstance(self.output.shape[1], int) or self.output.dtype != "float32":
            raise ValueError("the output must be float32, (batch, classes)")
        if self.labels and len(self.labels) != self.classes:
            raise ValueError(f"there are {len(self.labels)} labels for {self.classes} classes")

    @property
    def classes(self) -> int:
        """How many it knows."""
        return int(self.output.shape[1])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one input image."""
        height, width, channels = self.inputs[0].shape[1:]
        return int(height), int(width), int(channels)

    def label(self, index: int) -> str:
        """The name of a class, or its number where the classes have no names."""
        return self.labels[index] if self.labels else str(index)


class BatchRange(Struct, frozen=True, forbid_unknown_fields=True):
    """The batch sizes that an engine serves.

    Attributes:
        smallest, largest: the limits; a session pads and splits what lies outside.
        best: the size that the engine is optimized for.
    """

    smallest: Size = 1
    best: Size = 1
    largest: Size = 32

    def __post_init__(self) -> None:
        if not self.smallest <= self.best <= self.largest:
            raise ValueError("batch sizes must be in order: smallest:best:largest")

    def __str__(self) -> str:
        return f"{self.smallest}:{self.best}:{self.largest}"


def classifier_spec(
    name: str,
    *,
    height: int,
    width: int,
    classes: int,
    preprocess: Preprocess,
    labels: tuple[str, ...] = (),
    output_kind: Literal["logits", "probabilities"] = "logits",
) -> ModelSpec:
    """A `ModelSpec` with this toolkit's tensor names: `image` in, `probabilities` out."""
    image = TensorSpec("image", "uint8", ("batch", height, width, preprocess.channels))
    output = TensorSpec("probabilities", "float32", ("batch", classes))
    return ModelSpec(name, (image,), output, preprocess, labels, output_kind)
