"""Weights and biases that make up for rounding, layer by layer, without labels and without training.

The INT8 graph runs once, from layer to layer, for a few images in memory, so that each layer is fitted to what the ones
before it give. Weights are rounded with feedback (see `rounding`). Then the shift of each output channel's mean against
FP32 is taken off the bias. Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, 4.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.parts import Values, parts
from calibration.placement import Plan, QuantizedLayer
from calibration.record import LARGEST
from calibration.rounding import round_with_feedback
from calibration.samples import layer_samples
from export.front import IMAGE
from export.graph import attribute, consumers, free_name, initializers, names_of, producers
from export.reference import open_reference
from runtime.progress import Stage, advance_or_stop
from runtime.streaming import stream


@dataclass(frozen=True)
class Fitted:
    """What is changed in an INT8 graph, by the names of layers.

    Attributes:
        biases: float32 (channels,).
        roundings: by how many steps weights differ from the nearest ones, modulo 256, int8 of the weight's shape.
    """

    biases: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    roundings: dict[str, NDArray[np.int8]] = field(default_factory=dict)


def fit_layers(
    model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    plan: Plan,
    images: Sequence[NDArray[np.uint8]],
    stage: Stage,
    *,
    limit: int,
    feedback: bool = True,
    biases: bool = True,
) -> Fitted:
    """Fit one layer after the other.

    Args:
        model: the FP32 graph.
        quantized: the same with Q/DQ, weights rounded to the nearest.
        plan: what of it has Q/DQ.
        images: batches, uint8 (n, H, W, C).
        stage: advanced by the number of images for each layer.
        limit: the largest whole number of a weight.
        feedback: round weights with feedback, save those that several layers share.
        biases: correct them, save those that are computed, and MatMuls, which have none.
    """
    constants = initializers(model.graph)
    plain = {node.name: node for node in model.graph.node}
    owners = Counter(layer.weight for layer in plan.layers)
    rounds = {
        layer.name
        for layer in plan.layers
        if feedback and owners[layer.weight] == 1 and explicit_padding(plain[layer.name])
    }
    shifts = {layer.name for layer in plan.layers if biases and correctable(plain[layer.name], constants)}
    layers = [layer for layer in plan.layers if layer.name in rounds | shifts]
    wanted = channel_means(model, [plain[layer.name].output[0] for layer in layers], images) if shifts else {}
    work = onnx.ModelProto()
    work.CopyFrom(quantized)
    nodes = {node.name: node for node in work.graph.node}
    made_by, stored = producers(work.graph), initializers(work.graph)
    cut = parts(work, [name for layer in layers for name in (nodes[layer.name].input[0], nodes[layer.name].output[0])])
    live: list[Values] = [{IMAGE: batch} for batch in images]
    fitted = Fitted()
    for layer in layers:
        node = nodes[layer.name]
        live = list(stream(next(cut).runner(), live))
        if layer.name in rounds:
            given = [values[node.input[0]] for values in live]
            weight, scales = (stored[name] for name in made_by[node.input[1]].input[:2])
            fitted.roundings[layer.name] = round_layer(
                node, layer, constants, weight, scales, given, limit, layer.name in shifts
            )
        live = list(stream(next(cut).runner(), live))
        if layer.name in shifts:
            output = node.output[0]
            shift = wanted[output] - mean_of([channel_mean(values[output]) for values in live], images)
            before = numpy_helper.to_array(constants[node.input[2]]) if has_bias(node) else 0
            fitted.biases[layer.name] = np.asarray(before + shift, np.float32)
            for values in live:
                places = [1] * (values[output].ndim - 2)
                values[output] = values[output] + shift.astype(np.float32).reshape(1, -1, *places)
        advance_or_stop(stage, sum(map(len, images)))
    return fitted


def round_layer(
    node: onnx.NodeProto,
    layer: QuantizedLayer,
    constants: Mapping[str, onnx.TensorProto],
    stored: onnx.TensorProto,
    scales: onnx.TensorProto,
    given: Sequence[NDArray[np.float32]],
    limit: int,
    central: bool,
) -> NDArray[np.int8]:
    """Round a layer's weight with feedback, in place; by how many steps it differs from what was there.

    Args:
        node: the layer in the graph with Q/DQ.
        layer: as planned.
        constants: of the FP32 graph.
        stored: the layer's weight, int8.
        scales: of its channels.
        given: batches of the layer's input.
        limit: the largest whole number of a weight.
        central: the layer has a bias that will make up for what the mean input does.
    """
    weight = numpy_helper.to_array(constants[layer.weight])
    axis, groups = layer.channel_axis, attribute(node, "group", 1) if node.op_type == "Conv" else 1
    moved = np.moveaxis(weight, axis, 0)
    rows = moved.reshape(groups, moved.shape[0] // groups, -1)
    steps = numpy_helper.to_array(scales).reshape(rows.shape[:2])
    rounded = round_with_feedback(rows, steps, layer_samples(node, weight.shape, given, central=central), limit)
    new = np.ascontiguousarray(np.moveaxis(rounded.reshape(moved.shape), 0, axis))
    nearest = numpy_helper.to_array(stored)
    stored.CopyFrom(numpy_helper.from_array(new, stored.name))
    return np.asarray(new - nearest)


def with_fitted(quantized: onnx.ModelProto, fitted: Fitted) -> onnx.ModelProto:
    """A copy of an INT8 graph in which layers have other biases, and weights that are rounded otherwise."""
    changed = onnx.ModelProto()
    changed.CopyFrom(quantized)
    graph = changed.graph
    made_by, constants = producers(graph), initializers(graph)
    taken, replaced = names_of(graph), set()
    for node in graph.node:
        if node.name in fitted.roundings:
            stored = constants[made_by[node.input[1]].input[0]]
            steps = numpy_helper.to_array(stored) + fitted.roundings[node.name]  # int8, modulo 256
            stored.CopyFrom(numpy_helper.from_array(np.maximum(steps, -LARGEST), stored.name))
        if node.name in fitted.biases:
            replaced.update(node.input[2:])
            del node.input[2:]
            node.input.append(free_name(f"{node.name}/bias", taken))
            graph.initializer.append(numpy_helper.from_array(fitted.biases[node.name], node.input[2]))
    unused = replaced - consumers(graph).keys()
    kept = [entry for entry in graph.initializer if entry.name not in unused]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return changed


def explicit_padding(node: onnx.NodeProto) -> bool:
    """Whether a layer says itself how its input is padded."""
    return bool(attribute(node, "auto_pad", b"NOTSET") == b"NOTSET")


def correctable(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a layer is a Conv or Gemm whose bias is a constant of a value for each channel, or which has none."""
    if node.op_type not in ("Conv", "Gemm") or attribute(node, "beta", 1.0) != 1:  # which would scale a new bias
        return False
    return not has_bias(node) or (node.input[2] in constants and len(constants[node.input[2]].dims) == 1)


def has_bias(node: onnx.NodeProto) -> bool:
    """Whether a Conv or Gemm has a bias."""
    return len(node.input) > 2 and bool(node.input[2])


def channel_means(
    model: onnx.ModelProto, tensors: Sequence[str], images: Sequence[NDArray[np.uint8]]
) -> dict[str, NDArray[np.float64]]:
    """The mean over images and places of each tensor's channels, float64 (channels,) by tensor."""
    session = open_reference(model, tensors)
    found = stream(lambda batch: [channel_mean(value) for value in session.run(None, {IMAGE: batch})], images)
    by_tensor = zip(*found, strict=True)
    return {name: mean_of(means, images) for name, means in zip(tensors, by_tensor, strict=True)}


def channel_mean(values: NDArray[Any]) -> NDArray[np.float64]:
    """Over images and places: (n, channels, ...) -> (channels,)."""
    return np.asarray(values.mean(axis=(0, *range(2, values.ndim)), dtype=np.float64))


def mean_of(means: Iterable[NDArray[np.float64]], images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The mean over all images, of means over batches of them, which may differ in length."""
    return np.asarray(np.average(list(means), axis=0, weights=[len(batch) for batch in images]))
