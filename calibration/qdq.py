"""Inserting QuantizeLinear and DequantizeLinear. The scales are given; nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.placement import Plan
from calibration.record import LARGEST
from export.graph import captured, free_name, initializers, names_of
from export.skeleton import skeleton
from runtime.errors import WeightsError

REDUCED = 64
ENDINGS = ("/int8", "/scale", "/zero_point", "/float", "/quantize", "/dequantize")
CLIPPED_AT = tuple(np.arange(0.99, 0.59, -0.01).tolist())  # shares of a channel's largest magnitude


def insert_qdq(
    model: onnx.ModelProto,
    plan: Plan,
    scales: Mapping[str, float],
    *,
    reduced_range: bool = False,
    clip: bool = False,
    weights: bool = True,
) -> onnx.ModelProto:
    """A copy of the graph with Q/DQ on the plan's activations and int8 weights.

    Activations: per tensor, symmetric, zero point 0. Weights: per output channel, symmetric, stored as int8 with a
    DequantizeLinear. Biases stay float.

    Args:
        model: the FP32 graph.
        plan: what to quantize.
        scales: of one step, for each of `plan.tensors`.
        reduced_range: weights in -64..64 instead of -127..127: see `runtime.cpu.saturates`.
        clip: see `quantize_weight`.
        weights: False leaves them in float32, to see what activations alone do.

    Raises:
        WeightsError: a weight holds NaN or infinity.
    """
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    taken, constants = names_of(graph), initializers(graph)
    places = {node.name: index for index, node in enumerate(graph.node)}
    readers: dict[str, set[int]] = {}  # of an activation, and of a weight along an axis: places of nodes
    owners: dict[tuple[str, int], set[int]] = {}
    for layer in plan.layers:
        readers.setdefault(layer.tensor, set()).add(places[layer.reader])
        owners.setdefault((layer.weight, layer.channel_axis), set()).add(places[layer.name])
    before: dict[str, list[onnx.NodeProto]] = {}  # the first node that needs them -> nodes to put before it

    for tensor, found in readers.items():
        users = [graph.node[place] for place in sorted(found)]
        pair = activation_pair(tensor, free_name(tensor, taken, ENDINGS))
        _, scale, zero_point = pair[0].input
        for node in users:
            replace_input(node, tensor, pair[1].output[0])
        graph.initializer.append(scalar(scale, np.float32(scales[tensor])))
        graph.initializer.append(scalar(zero_point, np.int8(0)))
        before.setdefault(users[0].name, []).extend(pair)

    stored: set[str] = set()
    for (weight, axis), found in owners.items() if weights else ():
        # A tied weight that two layers read along different axes has channels, and so scales, of its own for each.
        prefix = free_name(f"{weight}/axis{axis}" if weight in stored else weight, taken, ENDINGS)
        stored.add(weight)
        names = (f"{prefix}/int8", f"{prefix}/scale", f"{prefix}/zero_point")
        array = numpy_helper.to_array(constants[weight])
        if not np.isfinite(array).all():
            raise WeightsError(f"the weight {weight} holds NaN or infinity", "train the model again, or give others")
        values, channel_scales = quantize_weight(array, axis, REDUCED if reduced_range else LARGEST, clip=clip)
        arrays: tuple[np.ndarray, ...] = (values, channel_scales, np.zeros(len(channel_scales), np.int8))
        graph.initializer.extend(numpy_helper.from_array(part, name) for part, name in zip(arrays, names, strict=True))
        output = f"{prefix}/float"
        dequantize = helper.make_node("DequantizeLinear", names, [output], f"{prefix}/dequantize", axis=axis)
        users = [graph.node[place] for place in sorted(found)]
        for node in users:
            replace_input(node, weight, output)
        before.setdefault(users[0].name, []).append(dequantize)

    nodes = [new for node in graph.node for new in (*before.get(node.name, ()), node)]
    # Only weights go: another constant may be read by the branches of a node.
    used = {name for node in nodes for name in (*node.input, *captured(node))} | {entry.name for entry in graph.output}
    kept = [entry for entry in graph.initializer if entry.name in used or entry.name not in stored]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    onnx.checker.check_model(skeleton(quantized), full_check=True)
    return quantized


def activation_pair(tensor: str, prefix: str) -> tuple[onnx.NodeProto, onnx.NodeProto]:
    """QuantizeLinear and DequantizeLinear of one activation; what they take and give is called after `prefix`."""
    whole, scale, zero_point, output, quantize, dequantize = (prefix + ending for ending in ENDINGS)
    return (
        helper.make_node("QuantizeLinear", [tensor, scale, zero_point], [whole], quantize),
        helper.make_node("DequantizeLinear", [whole, scale, zero_point], [output], dequantize),
    )


def quantize_weight(
    weight: NDArray[np.float32], axis: int, limit: int = LARGEST, *, clip: bool = False
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric, per channel, rounded half to even.

    Args:
        weight: of any shape.
        axis: of the channels.
        limit: the largest whole number to use.
        clip: let each channel's scale be the one with the smallest squared error, rather than that of its largest
            magnitude.

    Returns:
        int8 of the same shape in -limit..limit, and one float32 scale per channel. A channel of zeros has scale 1.
    """
    others = tuple(index for index in range(weight.ndim) if index != axis)
    largest = np.abs(weight.astype(np.float64)).max(axis=others)
    shape = [1] * weight.ndim
    shape[axis] = -1

    def rounded(share: float) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
        """Steps, scales and squared errors of channels that are clipped at a share of their largest magnitude."""
        scales = np.where(largest > 0, share * largest / limit, 1.0).astype(np.float32)
        scales = np.maximum(scales, np.finfo(np.float32).tiny)  # a channel of denormals must not divide by 0
        wide = scales.astype(np.float64).reshape(shape)
        steps = np.clip(np.rint(weight / wide), -limit, limit)
        return steps, scales, np.square(steps * wide - weight).sum(axis=others)

    steps, scales, errors = rounded(1.0)
    for share in CLIPPED_AT if clip else ():
        candidate, their_scales, their_errors = rounded(share)
        better = their_errors < errors
        scales, errors = np.where(better, their_scales, scales), np.where(better, their_errors, errors)
        steps = np.where(better.reshape(shape), candidate, steps)
    return steps.astype(np.int8), scales


def scalar(name: str, value: np.generic) -> onnx.TensorProto:
    """An initializer of no dimensions."""
    return numpy_helper.from_array(np.array(value), name)


def replace_input(node: onnx.NodeProto, old: str, new: str) -> None:
    """Let a node take another tensor wherever it took `old`."""
    for index, name in enumerate(node.input):
        if name == old:
            node.input[index] = new
