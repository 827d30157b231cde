"""`model.onnx`: any classifier in an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path

import click
import numpy as np
import onnx
from msgspec import structs
from numpy.typing import NDArray

from export import adopt, ends
from export.blame import explained, explained_opening, nodes_of
from export.branches import inline_branches
from export.finite import require_finite_answers, require_finite_weights
from export.head import LOGITS, PROBABILITIES
from export.module import OPSET
from export.onnx_source import read_onnx
from export.own_spec import own_spec
from export.parity import TOLERANCE
from export.reference import open_reference
from export.validate import require_sound
from runtime.errors import ExportError, ModelError
from runtime.spec import PIXEL, ModelSpec
from toolkit.foreign.answers import kind_of_one, noise, spec_from, two_classes
from toolkit.foreign.spec import SEEN, Borrowed, OutputKind, Told, labels_of, refuse_untold
from toolkit.guard import allow

HALF_TOLERANCE = 1e-2
DTYPES = {"tensor(float16)": np.float16, "tensor(double)": np.float64, "tensor(uint8)": np.uint8}


@dataclass(frozen=True)
class ForeignOnnx:
    """A graph that somebody else exported.

    Attributes:
        name: for people and file names.
        origin: its file.
        spec: of the model.
        graph: in the form of our own exports.
        original: as it was found, but for weights that are here and outputs that are not wanted.
        random: its weights mean nothing.
        tolerance: of a comparison with the original.
        data: None: it brings no images.
        quantized: it came with Q/DQ, so that no image is needed to find thresholds.
        pixels: the graph takes pixels as they are: mean and std are inside.
        described: the file says itself how it takes images.
    """

    name: str
    origin: str
    spec: ModelSpec
    graph: onnx.ModelProto
    original: OriginalGraph
    random: bool
    tolerance: float
    data: Path | None = None
    quantized: bool = False
    pixels: bool = False
    described: bool = False

    @property
    def front(self) -> ModelSpec:
        """The spec with the mean and the std that pixels still need."""
        return structs.replace(self.spec, preprocess=self.spec.preprocess.untouched) if self.pixels else self.spec


class OriginalGraph:
    """A graph as it was found, on ONNX Runtime: from float32 (N, C, H, W) to float32 (N, classes)."""

    def __init__(self, model: onnx.ModelProto, output: str, path: Path) -> None:
        try:
            self.session = open_reference(model, [output])
        except Exception as error:  # ONNX Runtime has many kinds
            raise ModelError(
                f"ONNX Runtime cannot open {path}: {explained_opening(model, error)}", "export it again"
            ) from error
        self.nodes = nodes_of(model)
        (entry,) = self.session.get_inputs()
        self.name, self.output, self.path = entry.name, output, path
        self.dtype = DTYPES.get(entry.type, np.float32)
        self.kind_of_one: OutputKind | None = None
        shape = tuple(size if isinstance(size, int) else None for size in entry.shape)
        self.batch, self.last, self.sides = shape[0], ends.channels_last(shape), len(shape)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        given = images.transpose(0, 2, 3, 1) if self.last else images
        given = given if self.sides == 4 else given[:, 0] if self.sides == 3 else given.reshape(len(given), -1)
        given = np.rint(given) if self.dtype == np.uint8 else given
        given = np.ascontiguousarray(given, self.dtype)
        try:
            parts = self.run_all(given, self.batch or len(given))
        except ExportError:
            if self.batch is not None or len(given) == 1:
                raise
            parts = self.run_all(given, 1)  # a batch that is open at the input, and fixed inside
        answers = np.concatenate(parts)[: len(images)].astype(np.float32)
        return two_classes(answers, self.kind_of_one) if self.kind_of_one else answers

    def run_all(self, images: np.ndarray, size: int) -> list[np.ndarray]:
        """The answers to batches of one size; images are repeated to fill the last one."""
        if len(images) % size:
            images = np.resize(images, (len(images) + size - len(images) % size, *images.shape[1:]))
        return [self.run(images[start : start + size]) for start in range(0, len(images), size)]

    def run(self, images: np.ndarray) -> np.ndarray:
        """One call, (n, C, H, W) or (n, H, W, C) to (n, answers)."""
        try:
            answers = np.asarray(self.session.run([self.output], {self.name: images})[0])
        except Exception as error:  # ONNX Runtime has many kinds
            raise ExportError(
                f"{self.path} fails on {len(images)} images: {explained(error, self.nodes)}", "check --input-size"
            ) from error
        sides = [side for side in answers.shape if side != 1]
        if len(sides) > (1 if len(images) == 1 else 2):  # a map of places, such as that of a segmentation
            raise ModelError(
                f"{self.path} gives {answers.shape} for a batch of {len(images)}",
                "a classifier gives a number for each class; --output-name names another output, or a tensor inside",
            )
        return answers.reshape(len(images), -1)


def open_onnx(path: Path, random: bool, told: Told) -> ForeignOnnx:
    """Read a file, bring its graph into the form of our own exports, and find out what it takes and gives.

    Args:
        path: of the ONNX file.
        random: say that its weights mean nothing.
        told: what the command line says of it; the size and the channels of its images are read from the graph.

    Raises:
        ModelError: it cannot be read, or is no classifier of images.
        ExportError: it does not run, or does not answer one image as it does that among others.
    """
    model = read_onnx(path, allow)
    try:
        found = onnx.ModelProto()
        found.CopyFrom(model)
        adopt.take_constants_out(model)
        value = ends.image_input(model)
        own, pixels = own_spec(model), ends.takes_pixels(model)
        described = own is not None and (isinstance(told, Borrowed) or not SEEN.intersection(told.flags))
        if own and described:
            told = with_own(told, own, path.stem)
        if told.spec is None:
            told = with_shape(told, four_sides(ends.shape_of(value), told, path.stem))
        if pixels:
            told = with_pixels(told)
        refuse_untold(told)
        images = noise(told, pixels=pixels)
        ends.take_four_sides(model, images.shape[1:])
        ends.fix_size(model, (images.shape[2], images.shape[3]), images.shape[1])
        batch = ends.shape_of(value)[0]
        if inline_branches(model, [ends.with_batch(model, size) for size in ((batch,) if batch else (2, 3))]):
            require_sound(path, model)  # what was in branches, too
            require_finite_weights(path, model)
        ends.keep_output(model, told.output_name)
        output = model.graph.node[-1].input[0]
        model = adopt.raise_opset(model, OPSET)
        adopt.take_constants_out(model)
        adopt.fold_stored_weights(model)
        ends.take_floats(model)
        adopt.bypass_idle(model)
        halves = adopt.has_float16(model)
        adopt.make_float32(model)
        ends.take_channels_first(model)
        adopt.free_batch(model, opened=batch is None and not why_not(model, images, None))
        adopt.drop_unused(model)
        adopt.refuse_moody(model)
    except ModelError as error:
        named = error.message.startswith(str(path))
        raise ModelError(error.message if named else f"{path}: {error.message}", error.hint) from error
    original = OriginalGraph(found, output, path)
    answers = original(images)
    require_finite_answers(path, model, images, answers)
    if answers.shape[1] == 1:
        original.kind_of_one = kind_of_one(original, images, path.stem, told)
        ends.make_two_classes(model, original.kind_of_one)
        answers = original(images)
    spec = spec_from(answers, path.stem, told, str(path))
    adopt.give_way(model, LOGITS if spec.output_kind == "logits" else PROBABILITIES)
    if why := why_not(model, images, answers.shape):
        raise ModelError(f"{path} does not run with any batch: {why}", "export it again with a dynamic batch")
    tolerance = HALF_TOLERANCE if halves else TOLERANCE
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    return ForeignOnnx(
        spec.name,
        str(path),
        spec,
        model,
        original,
        random,
        tolerance,
        quantized=quantized,
        pixels=pixels,
        described=described,
    )


def with_own(told: Told, own: ModelSpec, name: str) -> Told:
    """What was told of a file that `toolkit export` wrote, and says itself how it takes images; said."""
    click.echo(f"{name} takes images as it was exported; --color and the like say otherwise", err=True)
    labels = labels_of(name, told, own.classes) or own.labels
    kind = told.output_kind or "probabilities"  # whatever the network gave
    return Told(output_name=told.output_name, spec=structs.replace(own, name=name, labels=labels, output_kind=kind))


def with_pixels(told: Told) -> Told:
    """What was told of a graph that takes uint8: pixels go in as they are; only a spec knows what is done inside."""
    if (told.mean or told.std) and not isinstance(told, Borrowed):
        raise ModelError("it takes uint8, so mean and std are in the graph", "leave --mean and --std out")
    return told if told.spec else replace(told, mean=None, std=(PIXEL,))


def four_sides(shape: tuple[int | None, ...], told: Told, name: str) -> tuple[int | None, ...]:
    """The shape of an input as (batch, channels, height, width) or NHWC, which it may be already.

    One with three sides has none for channels: its images are grey. One with two takes an image's values in a row;
    where no size is told it is that of a square, grey or coloured: no number of values can be both. Said.
    """
    batch, *inner = shape
    if len(inner) == 3:
        return shape
    if len(inner) == 2:
        if batch == 3:
            raise ModelError(f"its input is {batch}x{inner[0]}x{inner[1]}, without a batch", "export it with one")
        return batch, 1, *inner
    (values,) = inner
    if values is None:
        return batch, None, None, None
    side = next((side for side in map(isqrt, (values, values // 3)) if values in (side**2, 3 * side**2)), 1)
    height, width = told.input_size or (side, side)
    channels = values // (height * width)
    if channels not in (1, 3) or height * width * channels != values:
        raise ModelError(f"its images are {values} values, which {height}x{width} does not make", "give --input-size")
    if not told.input_size:
        color = "grey" if channels == 1 else "RGB"
        click.echo(f"{name} takes {values} values: {color} images of {height}x{width}", err=True)
    return batch, channels, height, width


def with_shape(told: Told, shape: tuple[int | None, ...]) -> Told:
    """What was told, and what the shape of the input says."""
    last = ends.channels_last(shape)
    channels, height, width = (shape[index] for index in ((3, 1, 2) if last else (1, 2, 3)))
    if channels not in (1, 3, None):
        raise ModelError(f"its images have {channels} channels", "1 (grey) and 3 (rgb, bgr) are known")
    color = told.color or ("gray" if channels == 1 else "rgb")
    if channels is not None and (color == "gray") != (channels == 1):
        raise ModelError(f"its images have {channels} channels, and --color {color} has not", "leave --color out")
    size = told.input_size
    if height is not None and width is not None:
        if size not in (None, (height, width)):
            raise ModelError(
                f"it takes images of {height}x{width}, not of {size[0]}x{size[1]}", "leave --input-size out"
            )
        size = (height, width)
    return replace(told, color=color, input_size=size)


def why_not(model: onnx.ModelProto, images: NDArray[np.float32], shape: tuple[int, ...] | None) -> str:
    """Why two images do not run together, or do not get an answer each; empty where they do.

    Args:
        model: in the form of our own exports.
        images: float32 (2, C, H, W).
        shape: of the original's answers to them; None where any will do.
    """
    try:
        session = open_reference(model)
        given = np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0]).shape
    except Exception as error:  # ONNX Runtime has many kinds
        return explained(error, nodes_of(model))
    return (
        "" if given[:1] == (len(images),) and shape in (None, given) else f"it gives {given} for {len(images)} images"
    )
