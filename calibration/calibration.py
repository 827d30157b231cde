"""From images to the thresholds of every activation, in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
from msgspec import structs
from numpy.typing import NDArray

from calibration.batch_size import batch_size
from calibration.fitting import fit_layers, with_fitted
from calibration.judging import chosen, compare_methods, judge
from calibration.observers import BINS, Histogram, merged
from calibration.options import CalibrationOptions, Method
from calibration.placement import Plan, inferred_shapes
from calibration.qdq import REDUCED, insert_qdq
from calibration.quantize import to_int8
from calibration.record import (
    LARGEST,
    MOST_BINS,
    SCHEMA_VERSION,
    Bins,
    Calibration,
    TensorScale,
    of_method,
    step,
)
from calibration.rounding import pack
from calibration.thresholds import METHODS
from export.front import FRONT_OFFSET_OUTPUT, IMAGE
from export.reference import open_reference
from runtime import canonical
from runtime.datasets import Dataset, batches, first, image_digests, split_held_out
from runtime.errors import DataError
from runtime.progress import Progress, Stage, advance_or_stop
from runtime.spec import ModelSpec
from runtime.streaming import stream

MOST_FITTED_TO, MEMORY_BYTES = 48, 512 << 20  # of activations
MOST_JUDGES = 128  # of fitted layers
JUDGED_AT_ONCE = 4  # images: more take more memory, and no less time
MOST_COMPARED = 512  # images: a quarter of a large set would take longer than the thresholds
FIRST_LOOK = 64
PLAIN = CalibrationOptions()
SETTLED = 0.02


@dataclass(frozen=True)
class CalibrationRequest:
    """What to calibrate, and how.

    Attributes:
        fp32_path: the graph.
        plan: says which tensors.
        dataset: the images.
        spec: of the model.
        reduced_range: of the weights, whatever the options say: see `insert_qdq`.
        options: how; how many images is said by `dataset`.
    """

    fp32_path: Path
    plan: Plan
    dataset: Dataset
    spec: ModelSpec
    reduced_range: bool
    options: CalibrationOptions = PLAIN

    @property
    def methods(self) -> tuple[Method, ...]:
        """Those that come into question."""
        return get_args(Method) if self.options.method in (None, "auto") else (self.options.method,)

    @cached_property
    def digests(self) -> list[bytes]:
        """Of the images, in the order of the set."""
        return image_digests(self.dataset)

    @cached_property
    def halves(self) -> tuple[Dataset, Dataset]:
        """The images to look at, and those that are held out."""
        return split_held_out(self.dataset, self.digests)


def calibrate(request: CalibrationRequest, progress: Progress) -> Calibration:
    """Find a scale for every activation of the plan.

    Three quarters of the images give the histograms. Where a method is to be chosen, each one's INT8 graph is compared
    with the FP32 one on the other quarter: see `judging.chosen`. Images are taken in the order of their digests:
    however a set is ordered, what comes of it is the same.

    Raises:
        DataError: an image cannot be read, there is none, or a tensor holds NaN or infinity; it names both.
    """
    plan, spec, methods, options = request.plan, request.spec, request.methods, request.options
    model = onnx.load(request.fp32_path)
    seen, held_out = request.halves
    size = batch_size(model, plan.tensors)
    settled = Settled(methods) if options.images == "auto" else None
    with progress.stage("calibrate", len(seen)) as stage:
        images = batches(seen, spec, size)
        observed = observe(model, plan.tensors, images, stage, seen.image_name, settled)
    made = stream(lambda histogram: scale_of(histogram, methods[0]), observed.histograms.values())
    seen_scales = dict(zip(observed.histograms, made, strict=True))
    scales = {name: of_method(seen_scales, name) for name in methods}
    method, compared = methods[0], {}
    if len(methods) > 1:
        judges = first(held_out, MOST_COMPARED)
        with progress.stage("compare methods", len(judges)) as stage:
            steps = {name: {key: entry.scale for key, entry in found.items()} for name, found in scales.items()}
            quantized = insert_qdq(model, plan, steps[methods[0]], weights=False)  # whose errors would hide the others
            found = compare_methods(model, quantized, steps, batches(judges, spec, min(size, JUDGED_AT_ONCE)), stage)
            method, compared = chosen(found), {name: round(float(values.mean()), 2) for name, values in found.items()}
            said = ", ".join(f"{name} {value:.1f} dB" for name, value in compared.items())
            stage.note(f"mean SQNR of an image's logits: {said}")
    calibration = Calibration(
        schema_version=SCHEMA_VERSION,
        requested=options.requested,
        method=method,
        compared=compared,
        images=observed.images,
        held_out=min(len(held_out), MOST_COMPARED),
        reduced_range=request.reduced_range,
        tensors=scales[method],
        biases={},
        roundings={},
        clipped_weights=options.clip_weights,
        budget=None,
        **digests_of(request, model),
    )
    return with_fitted_layers(request, calibration, progress)


def with_fitted_layers(request: CalibrationRequest, calibration: Calibration, progress: Progress) -> Calibration:
    """The same calibration with weights and biases that make up for rounding, where they do on held-out images.

    Args:
        request: the graph and the images, and what is to be fitted.
        calibration: its scales, and the range of weights.
        progress: told of every step.

    Raises:
        DataError: an image cannot be read.
    """
    model, plan, spec = onnx.load(request.fp32_path), request.plan, request.spec
    plain = structs.replace(calibration, biases={}, roundings={})
    if request.options.rounding == "nearest" and not request.options.correct_biases:
        return plain
    quantized = to_int8(model, plan, plain)
    seen, held_out = request.halves
    size = batch_size(model, [node.output[0] for node in model.graph.node])
    images = list(batches(first(seen, images_in_memory(model)), spec, size))
    with progress.stage("fit layers", len(plan.layers) * sum(map(len, images))) as stage:
        fitted = fit_layers(
            model,
            quantized,
            plan,
            images,
            stage,
            limit=REDUCED if calibration.reduced_range else LARGEST,
            feedback=request.options.rounding == "feedback",
            biases=request.options.correct_biases,
        )
    judges = first(held_out, MOST_JUDGES)
    with progress.stage("judge fitted layers", len(judges)) as stage:
        graphs = {"before": quantized, "after": with_fitted(quantized, fitted)}
        found = judge(model, graphs, batches(judges, spec, min(size, JUDGED_AT_ONCE)), stage)
        before, after = (float(found[name].mean()) for name in graphs)
        stage.note(f"fitted layers take the mean SQNR of an image's logits from {before:.1f} to {after:.1f} dB")
        if after <= before:
            stage.note("so they stay as they are")
            return plain
    return structs.replace(
        plain,
        biases={name: tuple(bias.tolist()) for name, bias in fitted.biases.items()},
        roundings={name: pack(steps) for name, steps in fitted.roundings.items()},
    )


def images_in_memory(model: onnx.ModelProto) -> int:
    """How many images layers are fitted to: their activations, of which few are needed at a time, are kept."""
    largest = max((int(np.prod(shape[1:])) for shape in activations(model)), default=1)
    return min(max(MEMORY_BYTES // (4 * 3 * largest), 4), MOST_FITTED_TO)


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
        "images_digest": hashlib.sha256(b"".join(sorted(request.digests))).hexdigest(),
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
            of_images = values.shape[:1] == (len(batch),)  # and not of windows, of which an image has several
            part.update(values, (lambda index: image_name(start + index)) if of_images else None)
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
