"""calibration.json: the thresholds, what they were taken from, and how to take them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
import onnx
from msgspec import Meta, Struct
from numpy.typing import NDArray

from calibration.errors import measure_sqnr
from calibration.observers import METHODS, Histogram
from calibration.placement import Plan
from calibration.qdq import LARGEST, insert_qdq
from export.front import FRONT_OFFSET_OUTPUT, IMAGE
from export.head import LOGITS
from export.reference import open_reference
from runtime import canonical
from runtime.datasets import Dataset, batches, split_held_out
from runtime.errors import DataError
from runtime.folder import write_atomically
from runtime.manifest import Count, Sha256
from runtime.progress import Progress, Stage, advance_or_stop
from runtime.spec import ModelSpec

BATCH = 32

Method: TypeAlias = Literal["minmax", "entropy"]
RequestedMethod: TypeAlias = Literal["auto", "minmax", "entropy"]


class TensorScale(Struct, frozen=True, forbid_unknown_fields=True):
    """One activation.

    Attributes:
        minimum, maximum: seen on the images.
        threshold: the largest magnitude that INT8 represents.
        scale: of one step: threshold / 127, or 1 where the tensor holds whole numbers.
        source: how the threshold was found; `exact` needs no images.
    """

    minimum: float
    maximum: float
    threshold: Annotated[float, Meta(gt=0)]
    scale: Annotated[float, Meta(gt=0)]
    source: Literal["minmax", "entropy", "exact"]

    def __post_init__(self) -> None:
        if self.minimum > self.maximum:
            raise ValueError(f"the minimum {self.minimum} is larger than the maximum {self.maximum}")


class Calibration(Struct, frozen=True, forbid_unknown_fields=True):
    """calibration.json.

    Attributes:
        schema_version: of this form.
        requested: the method that was asked for.
        method: the one that found the thresholds.
        compared: for `auto`, the SQNR of the logits on the held-out images by method, in decibels; empty otherwise.
        images: how many the thresholds were taken from.
        reduced_range: INT8 weights use 7 of their 8 bits.
        held_out: how many others methods were compared on.
        images_digest: sha256 over all of them and their labels.
        model_digest: sha256 of the FP32 graph.
        tensors: by name.
    """

    schema_version: Literal[2]
    requested: RequestedMethod
    method: Method
    compared: dict[Method, float]
    images: Annotated[int, Meta(ge=1)]
    held_out: Count
    reduced_range: bool
    images_digest: Sha256
    model_digest: Sha256
    tensors: dict[str, TensorScale]


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
    """

    fp32_path: Path
    plan: Plan
    dataset: Dataset
    spec: ModelSpec
    method: RequestedMethod
    reduced_range: bool


def calibrate(request: CalibrationRequest, progress: Progress) -> Calibration:
    """Find a scale for every activation of the plan.

    Three quarters of the images give the histograms. Where a method is to be chosen, each one's INT8 graph is compared
    with the FP32 one on the other quarter, and the one whose logits differ least is taken.

    Raises:
        DataError: an image cannot be read, there is none, or a tensor holds NaN or infinity.
    """
    plan, spec, method, reduced_range = request.plan, request.spec, request.method, request.reduced_range
    model = onnx.load(request.fp32_path)
    seen, held_out = split_held_out(request.dataset)
    with progress.stage("calibrate", len(seen)) as stage:
        histograms = observe(model, plan.tensors, batches(seen, spec, BATCH), stage)
    methods = get_args(Method) if method == "auto" else (method,)
    scales = {name: {tensor: scale_of(histogram, name) for tensor, histogram in histograms.items()} for name in methods}
    compared: dict[Method, float] = {}
    if len(methods) > 1:
        logits = logits_of(model)
        with progress.stage("compare methods", len(methods) * len(held_out)) as stage:
            for name in methods:
                quantized = insert_qdq(model, plan, scales[name], reduced_range=reduced_range)
                errors = measure_sqnr(model, quantized, [logits], batches(held_out, spec, BATCH), stage)
                compared[name] = errors[logits]
            stage.note("SQNR of the logits: " + ", ".join(f"{name} {value:.1f} dB" for name, value in compared.items()))
    chosen = max(compared, key=lambda name: compared[name]) if compared else methods[0]
    return Calibration(
        schema_version=2,
        requested=method,
        method=chosen,
        compared=compared,
        images=len(seen),
        held_out=len(held_out),
        reduced_range=reduced_range,
        images_digest=request.dataset.digest(),
        model_digest=canonical.digest_file(request.fp32_path),
        tensors=scales[chosen],
    )


def observe(
    model: onnx.ModelProto, tensors: Iterable[str], images: Iterable[NDArray[np.uint8]], stage: Stage
) -> dict[str, Histogram]:
    """Stream images through the graph and keep a histogram of each tensor.

    Args:
        model: the FP32 graph.
        tensors: float ones, by name.
        images: batches, uint8 (n, H, W, C), n may differ.
        stage: advanced by the number of images.

    Raises:
        DataError: there are no images, or a tensor holds NaN or infinity.
    """
    seen = 0
    histograms = {name: Histogram(name) for name in tensors}
    session = open_reference(model, list(histograms))
    for batch in images:
        for histogram, values in zip(histograms.values(), session.run(None, {IMAGE: batch}), strict=True):
            histogram.update(values)
        seen += len(batch)
        advance_or_stop(stage, len(batch))
    if not seen:
        raise DataError("there are no images to calibrate with", "give a set with at least one image")
    return histograms


def scale_of(histogram: Histogram, method: Method) -> TensorScale:
    """The scale of one tensor. The front's pixels less 128 are whole numbers in -128..127: scale 1 is exact."""
    if histogram.name == FRONT_OFFSET_OUTPUT:
        return TensorScale(histogram.minimum, histogram.maximum, float(LARGEST + 1), 1.0, "exact")
    threshold = METHODS[method](histogram)
    # Rounded to float32 as the graph holds it, so that file and graph agree to the last bit; a denormal is no 0.
    scale = float(max(np.float32(threshold / LARGEST), np.finfo(np.float32).tiny))
    return TensorScale(histogram.minimum, histogram.maximum, threshold, scale, method)


def logits_of(model: onnx.ModelProto) -> str:
    """The tensor to measure errors on: logits where the graph has them, since a softmax hides errors."""
    made = {name for node in model.graph.node for name in node.output}
    return LOGITS if LOGITS in made else model.graph.output[0].name


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write calibration.json in canonical form."""
    write_atomically(path, canonical.to_bytes(calibration))


def read_calibration(path: Path) -> Calibration:
    """Read calibration.json.

    Raises:
        DataError: it cannot be read, or is not what `write_calibration` writes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "give a calibration.json") from error
    return parse_calibration(data, path)


def parse_calibration(data: bytes, name: Path) -> Calibration:
    """The content of a calibration.json.

    Raises:
        DataError: it is not what `write_calibration` writes; the message begins with `name`.
    """
    return canonical.from_bytes(data, Calibration, name, DataError, "calibrate again")
