"""A model to ONNX graphs: exported once, and converted to each precision that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from msgspec import structs
from numpy.typing import NDArray
from torch import nn

from calibration.batch_size import batch_size
from calibration.budget import BudgetRequest, meet_budget
from calibration.cache import cached_calibration, given_calibration
from calibration.calibration import MOST_COMPARED, CalibrationRequest
from calibration.errors import measure_sqnr
from calibration.judging import logits_of
from calibration.options import CalibrationOptions
from calibration.placement import Plan, integer_operators, plan, weights_of_7_bits, without_layers
from calibration.quantize import HALVED, QUANTIZED, at_precision, require_quantizable
from calibration.ranges import wide_nodes
from calibration.record import Calibration
from export.graph import producers
from export.module import ExportResult, export_graph, export_module
from runtime.candidate import Graph
from runtime.datasets import Dataset, Subset, batches, evenly_spaced, first, split_held_out
from runtime.errors import ExportError, ModelError
from runtime.manifest import GraphError, LayerEntry
from runtime.probe import PROBE_IMAGES
from runtime.progress import Progress
from runtime.spec import BatchRange, ModelSpec, Precision
from runtime.text import counted
from toolkit.foreign.module import ForeignModule
from toolkit.foreign.onnx import ForeignOnnx
from toolkit.zoo import ZooModel
from toolkit.zoo.weights import make_with_weights

FEW_IMAGES = 32
FEWEST_JUDGES, MOST_JUDGES = 256, 4096
Model: TypeAlias = ZooModel | ForeignModule | ForeignOnnx


@dataclass(frozen=True)
class Source:
    """Where graphs come from.

    Attributes:
        model: with its weights.
        pool: the images that there are; parity and probe take some of them.
        options: how many of them thresholds, ranges and errors are taken from, and how.
        batch: sizes to serve.
        reduced_range: INT8 weights use 7 of their 8 bits, so that no CPU overflows.
        cache_dir: where calibrations are kept; None keeps none.
        calibration: a calibration.json to take thresholds from; None calibrates.
        images_named: the images were named, so that this file has to be made from them.
        max_drop: what INT8 may lose: layers are given back to float until it does not lose more; None gives none back.
    """

    model: Model
    pool: Dataset
    options: CalibrationOptions
    batch: BatchRange
    reduced_range: bool
    cache_dir: Path | None
    calibration: Path | None = None
    images_named: bool = False
    max_drop: float | None = None

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    @cached_property
    def images(self) -> Dataset:
        """What is calibrated with, evenly spaced."""
        return evenly_spaced(self.pool, self.options.most_images)

    @cached_property
    def held_out(self) -> Dataset:
        """Those of the images that give no thresholds. Every image is read to find them."""
        return split_held_out(self.images)[1]

    @property
    def judges(self) -> Dataset:
        """Images that give no thresholds, to judge a budget: others of the pool, else those that are held out."""
        if not isinstance(self.images, Subset) or len(self.pool) - len(self.images) < FEWEST_JUDGES:
            return self.held_out
        others = sorted({*range(len(self.pool))} - {*self.images.indices})
        return evenly_spaced(Subset(self.pool, tuple(others)), MOST_JUDGES)

    @property
    def samples(self) -> NDArray[np.uint8]:
        """Enough images for the largest batch and for the probe, uint8 (n, H, W, C)."""
        count = max(self.batch.largest, PROBE_IMAGES)
        return next(batches(evenly_spaced(self.pool, count), self.spec, count))


@dataclass(frozen=True)
class Graphs:
    """What was made.

    Attributes:
        by_precision: the reference first: FP32, or the INT8 graph of a model that came with Q/DQ.
        calibration: that the INT8 graphs were made with; None where none was needed.
        came_reduced: the model came with INT8 weights of 7 bits.
        all_int8: by precision, what a graph would be without the layers that a budget gave back to float.
        integer_operators: those that the model came with and that take integers as they are.
    """

    by_precision: dict[Precision, Graph]
    calibration: Calibration | None
    came_reduced: bool = False
    all_int8: Mapping[Precision, Graph] = field(default_factory=dict)
    integer_operators: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """For the user."""
        images = self.calibration.images if self.calibration else FEW_IMAGES
        few = f"thresholds come from {counted(images, 'image')} alone, a quarter is held out: give some hundred"
        operators = (
            f"it came with {', '.join(self.integer_operators)}, which few engines but ONNX Runtime have, and of which "
            "no layer is told: give the float model, or one with Q/DQ (QuantFormat.QDQ of ONNX Runtime's tools)"
        )
        said = {few: images < FEW_IMAGES, operators: bool(self.integer_operators)}
        return tuple(warning for warning, applies in said.items() if applies)

    @property
    def reduced_range(self) -> bool:
        """Whether INT8 weights use 7 of their 8 bits."""
        return self.came_reduced or (self.calibration is not None and self.calibration.reduced_range)


def export_fp32(source: Source, samples: NDArray[np.uint8], path: Path, progress: Progress) -> ExportResult:
    """The FP32 graph, held to PyTorch's answers on some images, uint8 (n, H, W, C).

    Raises:
        ToolkitError: weights or images that do not fit, or an export that fails or answers otherwise.
    """
    model = source.model
    if isinstance(model, ForeignOnnx):
        try:
            return export_graph(
                model.graph, model.original, model.front, samples, path, source.batch, progress, model.tolerance
            )
        except ExportError as error:
            raise ExportError(f"{model.origin}: {error.message}", error.hint) from error
    return export_module(module_of(model), source.spec, samples, path, source.batch, progress)


def module_of(model: ZooModel | ForeignModule) -> nn.Module:
    """The PyTorch module, with its weights and in evaluation mode."""
    module = make_with_weights(model) if isinstance(model, ZooModel) else model.module
    return module.eval()


def make_graphs(
    source: Source,
    fp32_path: Path,
    precisions: Sequence[Precision],
    progress: Progress,
    *,
    all_of_them: bool = True,
) -> Graphs:
    """The FP32 graph and the others that are wanted, as files beside it; of a model that came with Q/DQ, INT8 alone.

    Args:
        source: the images and how to calibrate with them.
        fp32_path: the FP32 graph.
        precisions: those that are wanted.
        progress: told of every step.
        all_of_them: False leaves INT8 out where there is nothing to quantize.

    Raises:
        DataError: an image cannot be read, or a tensor holds NaN or infinity.
        ModelError: INT8 is wanted, and there is no layer that can be quantized; or it is not, and the model has Q/DQ.
    """
    model = onnx.load(fp32_path)
    planned = plan(model)
    calibration = whole = None
    if planned.quantized_already:
        precisions = [precision for precision in precisions if precision in QUANTIZED]
        if not precisions:
            raise ModelError(
                f"{source.spec.name} came with Q/DQ, which says what runs in INT8",
                "build it with --int8, or with --int8 --fp16; for another precision, export it again without Q/DQ",
            )
    elif not all_of_them and not planned.layers:
        precisions = [precision for precision in precisions if precision not in QUANTIZED]
    if QUANTIZED.intersection(precisions) and not planned.quantized_already:
        calibration = calibrate_graph(source, fp32_path, progress)
        if source.max_drop is not None:
            request = BudgetRequest(calibration_request(source, fp32_path), source.max_drop, source.judges)
            whole, calibration = calibration, meet_budget(request, calibration, progress)
    in_float = calibration.in_float if calibration else ()
    wide: dict[str, str] = {}
    if HALVED.intersection(precisions):
        with progress.stage("look for what float16 cannot hold", len(source.images)) as stage:
            size = batch_size(model, (name for node in model.graph.node for name in node.output))
            wide = wide_nodes(model, batches(source.images, source.spec, size), stage)
    reference: Precision = "int8" if planned.quantized_already else "fp32"
    made = {reference: Graph(fp32_path, layer_entries(planned, reference, {}), GraphError(None, 0))}
    all_int8 = {}
    for precision in precisions:
        if precision == reference:
            continue
        converted, kept = at_precision(model, precision, calibration, wide)
        path = fp32_path.with_name(f"{precision}.onnx")
        path.write_bytes(converted.SerializeToString(deterministic=True))
        layers = layer_entries(planned, precision, kept, in_float)
        made[precision] = with_errors(Graph(path, layers, GraphError(None, 0)), model, converted, source, progress)
        if in_float and precision in QUANTIZED:
            converted, _ = at_precision(model, precision, whole, wide)
            path = fp32_path.with_name(f"{precision}-all.onnx")
            path.write_bytes(converted.SerializeToString(deterministic=True))
            all_int8[precision] = Graph(path, layer_entries(planned, precision, kept), GraphError(None, 0))
    reduced = planned.quantized_already and weights_of_7_bits(model)
    return Graphs(made, calibration, reduced, all_int8, integer_operators(model))


def calibrate_graph(source: Source, fp32_path: Path, progress: Progress) -> Calibration:
    """The thresholds of the FP32 graph, from the file that was given, or from the cache where they are there.

    Raises:
        DataError: an image cannot be read, or a tensor holds NaN or infinity; the file does not fit.
        ModelError: there is no layer that can be quantized.
    """
    request = calibration_request(source, fp32_path)
    require_quantizable(request.plan, source.spec.name)
    if source.calibration:
        return given_calibration(source.calibration, request, progress, images_named=source.images_named)
    return cached_calibration(request, source.cache_dir, progress)


def calibration_request(source: Source, fp32_path: Path) -> CalibrationRequest:
    """What is to be calibrated, and how."""
    return CalibrationRequest(
        fp32_path,
        plan(onnx.load(fp32_path)),
        source.images,
        source.spec,
        source.reduced_range,
        source.options,
    )


def layer_entries(
    planned: Plan, precision: Precision, kept: dict[str, str], in_float: Sequence[str] = ()
) -> tuple[LayerEntry, ...]:
    """What a graph asks of each layer that could be quantized.

    Args:
        planned: what is quantized in INT8.
        precision: of the graph.
        kept: what a float16 graph keeps in float32, with the reason.
        in_float: what a budget gave back to float.
    """
    rest = "fp16" if precision in HALVED else "fp32"
    planned = without_layers(planned, in_float if precision in QUANTIZED else ())
    entries = []
    for layer in planned.layers:
        asked = "int8" if precision in QUANTIZED else "fp32" if layer.name in kept else rest
        entries.append(LayerEntry(layer.name, layer.macs, asked, "unknown", kept.get(layer.name, "")))
    for skipped in planned.skipped:
        asked, reason = ("fp32", kept[skipped.name]) if skipped.name in kept else (rest, skipped.reason)
        entries.append(LayerEntry(skipped.name, skipped.macs, asked, "unknown", reason))
    return tuple(entries)


def with_errors(
    graph: Graph, fp32: onnx.ModelProto, converted: onnx.ModelProto, source: Source, progress: Progress
) -> Graph:
    """The same with the error of each layer and of the logits, on the images that gave no thresholds."""
    outputs = {node.name: node.output[0] for node in producers(fp32.graph).values()}
    logits = logits_of(fp32)
    tensors = [*dict.fromkeys([*(outputs[layer.name] for layer in graph.layers), logits])]
    held_out = first(source.held_out, MOST_COMPARED)
    with progress.stage(f"measure errors of {graph.path.stem}", len(held_out)) as stage:
        images = batches(held_out, source.spec, batch_size(fp32, tensors))
        sqnr = measure_sqnr(fp32, converted, tensors, images, stage)
    layers = tuple(structs.replace(layer, sqnr_db=sqnr[outputs[layer.name]]) for layer in graph.layers)
    return Graph(graph.path, layers, GraphError(sqnr[logits], len(held_out)))
