"""From images to the thresholds of every activation, in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
from msgspec import structs
from numpy.typing import NDArray

from calibration.biases import correct_biases
from calibration.errors import TensorError, measure_sqnr
from calibration.observers import BINS, Histogram, merged
from calibration.placement import Plan, inferred_shapes
from calibration.qdq import insert_qdq
from calibration.quantize import to_int8
from calibration.record import (
    LARGEST,
    MOST_BINS,
    SCHEMA_VERSION,
    Bins,
    Calibration,
    Method,
    RequestedMethod,
    TensorScale,
    of_method,
    step,
)
from calibration.streaming import batch_size, stream
from calibration.thresholds import METHODS
from export.front import FRONT_OFFSET_OUTPUT, IMAGE
from export.graph import initializers
from export.head import LOGITS
from export.reference import open_reference
from runtime import canonical
from runtime.datasets import Dataset, batches, first, image_digests, split_held_out
from runtime.errors import DataError
from runtime.progress import Progress, Stage, advance_or_stop
from runtime.spec import ModelSpec

MOST_CORRECTING, MEMORY_BYTES = 64, 512 << 20  # of activations
MOST_JUDGES = 128  # of corrected biases
MOST_COMPARED = 512  # images: a quarter of a large set would take longer than the thresholds
FIRST_LOOK = 64
SETTLED = 0.02


@dataclass(frozen=True)
class CalibrationRequest:
    """What to calibrate, and how.

    Attributes:
        fp32_path: the graph.
        plan: says which tensors.
        dataset: the images.
        spec: of the model.
        method: one of `METHODS`, or `auto`.
        reduced_range: of the weights, when methods are compared: see `insert_qdq`.
        until_settled: stop when more images change no threshold any more.
        correct_biases: see `biases`.
        clip_weights: see `quantize_weight`.
    """

    fp32_path: Path
    plan: Plan
    dataset: Dataset
    spec: ModelSpec
    method: RequestedMethod
    reduced_range: bool
    until_settled: bool = False
    correct_biases: bool = True
    clip_weights: bool = False

    @property
    def methods(self) -> tuple[Method, ...]:
        """Those that come into question."""
        return get_args(Method) if self.method == "auto" else (self.method,)


def calibrate(request: CalibrationRequest, progress: Progress) -> Calibration:
    """Find a scale for every activation of the plan.

    Three quarters of the images give the histograms. Where a method is to be chosen, each one's INT8 graph is compared
    with the FP32 one on the other quarter, and the one whose logits differ least is taken. Images are taken in the
    order of their digests: however a set is ordered, what comes of it is the same.

    Raises:
        DataError: an image cannot be read, there is none, or a tensor holds NaN or infinity; it names both.
    """
    plan, spec, methods = request.plan, request.spec, request.methods
    model = onnx.load(request.fp32_path)
    seen, held_out = split_held_out(request.dataset)
    size = batch_size(model, plan.tensors)
    settled = Settled(methods) if request.until_settled else None
    with progress.stage("calibrate", len(seen)) as stage:
        images = batches(seen, spec, size)
        observed = observe(model, plan.tensors, images, stage, seen.image_name, settled)
    seen_scales = {name: scale_of(histogram, methods[0]) for name, histogram in observed.histograms.items()}
    scales = {name: of_method(seen_scales, name) for name in methods}
    compared: dict[Method, float] = {}
    if len(methods) > 1:
        judges = first(held_out, MOST_COMPARED)
        with progress.stage("compare methods", len(judges)) as stage:
            steps = {name: {key: entry.scale for key, entry in found.items()} for name, found in scales.items()}
            reduced, clip = request.reduced_range, request.clip_weights
            quantized = insert_qdq(model, plan, steps[methods[0]], reduced_range=reduced, clip=clip)
            compared = compare_methods(model, quantized, steps, batches(judges, spec, size), stage)
            stage.note("SQNR of the logits: " + ", ".join(f"{name} {value:.1f} dB" for name, value in compared.items()))
    chosen = max(compared, key=lambda name: compared[name]) if compared else methods[0]
    calibration = Calibration(
        schema_version=SCHEMA_VERSION,
        requested=request.method,
        method=chosen,
        compared=compared,
        images=observed.images,
        held_out=min(len(held_out), MOST_COMPARED),
        reduced_range=request.reduced_range,
        tensors=scales[chosen],
        biases={},
        clipped_weights=request.clip_weights,
        budget=None,
        **digests_of(request, model),
    )
    return with_corrected_biases(request, calibration, progress) if request.correct_biases else calibration


def with_corrected_biases(request: CalibrationRequest, calibration: Calibration, progress: Progress) -> Calibration:
    """The same calibration with the biases that fit it, where they bring the logits nearer to FP32 on held-out images.

    Args:
        request: the graph and the images.
        calibration: its scales, and how weights are rounded.
        progress: told of every step.
    """
    model, plan, spec = onnx.load(request.fp32_path), request.plan, request.spec
    plain = structs.replace(calibration, biases={})
    quantized = to_int8(model, plan, plain)
    layers = [layer.name for layer in plan.layers]
    seen, held_out = split_held_out(request.dataset)
    size = batch_size(model, [node.output[0] for node in model.graph.node])
    images = list(batches(first(seen, images_in_memory(model)), spec, size))
    with progress.stage("correct biases", len(layers) * sum(map(len, images))) as stage:
        biases = correct_biases(model, quantized, layers, images, stage)
    if not biases:
        return plain
    found = structs.replace(calibration, biases={name: tuple(bias.tolist()) for name, bias in biases.items()})
    judges, logits = first(held_out, MOST_JUDGES), logits_of(model)
    with progress.stage("judge biases", 2 * len(judges)) as stage:
        before, after = (
            measure_sqnr(model, graph, [logits], batches(judges, spec, size), stage)[logits]
            for graph in (quantized, to_int8(model, plan, found))
        )
        stage.note(f"corrected biases take the SQNR of the logits from {before:.1f} to {after:.1f} dB")
        if after <= before:
            stage.note("so biases stay as they are")
    return found if after > before else plain


def images_in_memory(model: onnx.ModelProto) -> int:
    """How many images biases are corrected with: their activations, of which few are needed at a time, are kept."""
    largest = max((int(np.prod(shape[1:])) for shape in activations(model)), default=1)
    return min(max(MEMORY_BYTES // (4 * 3 * largest), 4), MOST_CORRECTING)


def activations(model: onnx.ModelProto) -> list[tuple[int, ...]]:
    """The shapes of what nodes make."""
    shapes = inferred_shapes(model)
    return [shapes[name] for node in model.graph.node for name in node.output if shapes.get(name)]


def digests_of(request: CalibrationRequest, model: onnx.ModelProto) -> dict[str, str]:
    """What a calibration hangs on, as `Calibration` names it.

    Args:
        request: names the images and the preprocessing.
        model: the FP32 graph.
    """
    graph = onnx.ModelProto(opset_import=model.opset_import)
    graph.graph.node.extend(model.graph.node)
    graph.graph.input.extend(model.graph.input)
    graph.graph.output.extend(model.graph.output)
    weights = hashlib.sha256()
    for constant in model.graph.initializer:
        weights.update(constant.SerializeToString(deterministic=True))
    return {
        "images_digest": hashlib.sha256(b"".join(sorted(image_digests(request.dataset)))).hexdigest(),
        "graph_digest": hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest(),
        "weights_digest": weights.hexdigest(),
        "preprocessing_digest": canonical.digest(request.spec.preprocess),
    }


@dataclass(frozen=True)
class Observed:
    """What was seen of a graph's tensors.

    Attributes:
        histograms: by tensor.
        images: how many were looked at.
    """

    histograms: dict[str, Histogram]
    images: int


class Settled:
    """Says when thresholds have settled: whenever the images have doubled, it looks how far they moved meanwhile.

    Args:
        methods: whose thresholds have to.
    """

    def __init__(self, methods: Iterable[Method]) -> None:
        self.methods = tuple(methods)
        self.next_look = FIRST_LOOK
        self.images = 0
        self.before: dict[tuple[str, str], float] = {}

    def __call__(self, histograms: Mapping[str, Histogram], images: int) -> str:
        """Why no more images are needed after so many; empty where they are."""
        if images < self.next_look:
            return ""
        now: dict[tuple[str, str], float] = {
            (name, method): METHODS[method](histogram)
            for name, histogram in histograms.items()
            for method in self.methods
        }
        moved = max((abs(value / self.before[key] - 1) for key, value in now.items() if key in self.before), default=1)
        last, self.images, self.before, self.next_look = self.images, images, now, 2 * images
        if moved > SETTLED:
            return ""
        return f"enough after {images:,} images: since {last:,} no threshold moved by more than {SETTLED:.0%}"


def observe(
    model: onnx.ModelProto,
    tensors: Iterable[str],
    images: Iterable[NDArray[np.uint8]],
    stage: Stage,
    image_name: Callable[[int], str] = "image {}".format,
    settled: Settled | None = None,
) -> Observed:
    """Stream images through the graph and keep a histogram of each tensor.

    Args:
        model: the FP32 graph.
        tensors: float ones, by name.
        images: batches, uint8 (n, H, W, C), n may differ.
        stage: advanced by the number of images.
        image_name: what to call the image of an index, for errors.
        settled: asked after each batch whether that is enough; None takes all images.

    Raises:
        DataError: there are no images, or a tensor holds NaN or infinity.
    """
    totals = {name: Histogram(name) for name in tensors}
    session = open_reference(model, list(totals))

    def look(numbered: tuple[int, NDArray[np.uint8]]) -> tuple[list[Histogram], int]:
        start, batch = numbered
        parts = [Histogram(name) for name in totals]
        for part, values in zip(parts, session.run(None, {IMAGE: batch}), strict=True):
            part.update(values, lambda index: image_name(start + index))
        return parts, len(batch)

    seen = 0
    for parts, count in stream(look, numbered(images)):
        for total, part in zip(totals.values(), parts, strict=True):
            total.merge(part)
        seen += count
        advance_or_stop(stage, count)
        if settled and (reason := settled(totals, seen)):
            stage.note(reason)
            break
    if not seen:
        raise DataError("there are no images to calibrate with", "give a set with at least one image")
    return Observed(totals, seen)


def numbered(images: Iterable[NDArray[np.uint8]]) -> Iterable[tuple[int, NDArray[np.uint8]]]:
    """Each batch with the number of its first image."""
    start = 0
    for batch in images:
        yield start, batch
        start += len(batch)


def scale_of(histogram: Histogram, method: Method) -> TensorScale:
    """The scale of one tensor. The front's pixels less 128 are whole numbers in -128..127: scale 1 is exact."""
    low, high, bins = histogram.minimum, histogram.maximum, bins_of(histogram)
    if histogram.name == FRONT_OFFSET_OUTPUT:
        return TensorScale(low, high, {}, float(LARGEST + 1), 1.0, "exact", bins)
    thresholds = {name: METHODS[name](histogram) for name in get_args(Method)}
    return TensorScale(low, high, thresholds, thresholds[method], step(thresholds[method]), method, bins)


def bins_of(histogram: Histogram) -> Bins | None:
    """The histogram in few bins, to look at; None where every value was 0."""
    if histogram.exponent is None:
        return None
    together = BINS // MOST_BINS
    counts = merged(histogram.counts, together.bit_length() - 1)
    used = np.flatnonzero(counts)[-1] + 1
    return Bins(histogram.width * together, histogram.zeros, tuple(counts[:used].tolist()))


def compare_methods(
    reference: onnx.ModelProto,
    quantized: onnx.ModelProto,
    scales: Mapping[Method, Mapping[str, float]],
    images: Iterable[NDArray[np.uint8]],
    stage: Stage,
) -> dict[Method, float]:
    """The SQNR of the logits in decibels for the scales of each method.

    Args:
        reference: the FP32 graph.
        quantized: the same with Q/DQ, of any scales.
        scales: by method and tensor.
        images: batches, uint8 (n, H, W, C).
        stage: advanced by the number of images.
    """
    logits = logits_of(reference)
    expected = open_reference(reference, [logits])
    opened = open_reference(with_scales_as_inputs(quantized), [logits])
    given = {
        method: {f"{name}/scale": np.array(scale, np.float32) for name, scale in by_tensor.items()}
        for method, by_tensor in scales.items()
    }

    def run(batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        answers = [opened.run(None, {IMAGE: batch, **values})[0] for values in given.values()]
        return expected.run(None, {IMAGE: batch})[0], answers

    errors = {method: TensorError() for method in scales}
    for x, answers in stream(run, images):
        for error, y in zip(errors.values(), answers, strict=True):
            error.update(x, y)
        advance_or_stop(stage, len(x))
    return {method: error.sqnr_db for method, error in errors.items()}


def with_scales_as_inputs(quantized: onnx.ModelProto) -> onnx.ModelProto:
    """A graph with Q/DQ whose activations' scales are given with each call, so that one serves every method."""
    opened = onnx.ModelProto()
    opened.CopyFrom(quantized)
    scales = {node.input[1] for node in opened.graph.node if node.op_type == "QuantizeLinear"}
    kept = [entry for name, entry in initializers(opened.graph).items() if name not in scales]
    del opened.graph.initializer[:]
    opened.graph.initializer.extend(kept)
    opened.graph.input.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, []) for name in sorted(scales)
    )
    return opened


def logits_of(model: onnx.ModelProto) -> str:
    """The tensor to measure errors on: logits where the graph has them, since a softmax hides errors."""
    made = {name for node in model.graph.node for name in node.output}
    return LOGITS if LOGITS in made else model.graph.output[0].name
