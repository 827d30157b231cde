"""Bias correction: what quantizing does to the mean of a layer's outputs is taken off its bias, which costs nothing.

Rounding and clipping shift the mean of each output channel. Layers are corrected in the order of the graph, each with
what the corrected ones before it give: the INT8 graph runs once, from layer to layer, for a few images in memory.
Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.streaming import stream
from export.float16 import typed_tensors
from export.front import IMAGE
from export.graph import initializers
from export.reference import open_reference
from runtime.progress import Stage, advance_or_stop

Values: TypeAlias = dict[str, NDArray[Any]]


def correct_biases(
    model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    layers: Iterable[str],
    images: Sequence[NDArray[np.uint8]],
    stage: Stage,
) -> dict[str, NDArray[np.float32]]:
    """The corrected bias of each layer.

    Args:
        model: the FP32 graph.
        quantized: the same with Q/DQ.
        layers: those with Q/DQ.
        images: batches, uint8 (n, H, W, C).
        stage: advanced by the number of images for each layer.

    Returns:
        By layer, float32 (channels,), without those whose bias is computed, and MatMuls, which have none.
    """
    constants, names = initializers(model.graph), set(layers)
    nodes = [node for node in model.graph.node if node.name in names and correctable(node, constants)]
    if not nodes:
        return {}
    wanted = channel_means(model, [node.output[0] for node in nodes], images)
    corrected = {}
    live: list[Values] = [{IMAGE: batch} for batch in images]
    for node, part in zip(nodes, parts(quantized, [node.output[0] for node in nodes]), strict=True):
        live = list(stream(part.runner(), live))
        output = node.output[0]
        shift = wanted[output] - mean_of([channel_mean(values[output]) for values in live], images)
        before = numpy_helper.to_array(constants[node.input[2]]) if has_bias(node) else 0
        corrected[node.name] = np.asarray(before + shift, np.float32)
        for values in live:
            values[output] = values[output] + shift.astype(np.float32).reshape(1, -1, *[1] * (values[output].ndim - 2))
        advance_or_stop(stage, sum(map(len, images)))
    return corrected


@dataclass(frozen=True)
class Part:
    """A stretch of a graph that ends with a layer.

    Attributes:
        model: its nodes.
        inputs: tensors that it reads.
        outputs: those that it makes and that it or what comes later is asked for.
        kept: tensors from before that are still needed after it.
    """

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kept: tuple[str, ...]

    def runner(self) -> Callable[[Values], Values]:
        """From the values of all tensors that are needed from here on to those that are needed afterwards."""
        session = open_reference(self.model)

        def run(values: Values) -> Values:
            made = session.run(self.outputs, {name: values[name] for name in self.inputs})
            return {**{name: values[name] for name in self.kept}, **dict(zip(self.outputs, made, strict=True))}

        return run


def parts(model: onnx.ModelProto, ends: Sequence[str]) -> Iterator[Part]:
    """Cut a graph behind the nodes that make some tensors, given in the order of the graph; the rest is left out."""
    graph, constants, types = model.graph, initializers(model.graph), typed_tensors(model)
    nodes = list(graph.node)
    places = {name: index for index, node in enumerate(nodes) for name in node.output}
    live, start = {entry.name for entry in graph.input}, 0
    for number, end in enumerate(ends):
        stop = places[end] + 1
        stretch = nodes[start:stop]
        later = {name for node in nodes[stop : places[ends[-1]] + 1] for name in node.input}
        made = [name for node in stretch for name in node.output if name]
        read = dict.fromkeys(name for node in stretch for name in node.input if name)
        inputs = tuple(name for name in read if name not in made and name not in constants)
        outputs = tuple(name for name in made if name == end or name in later)
        used = onnx.GraphProto(name=f"part {number}")
        used.node.extend(stretch)
        used.initializer.extend(constants[name] for name in read if name in constants)
        used.input.extend(value_info(name, types) for name in inputs)
        used.output.extend(value_info(name, types) for name in outputs)
        part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=used)
        yield Part(part, inputs, outputs, tuple(sorted(live & later)))
        live = (live | set(outputs)) & later
        start = stop


def value_info(name: str, types: Mapping[str, int]) -> onnx.ValueInfoProto:
    """A tensor of any shape, float32 where its type is not known."""
    return onnx.helper.make_tensor_value_info(name, types.get(name, onnx.TensorProto.FLOAT), None)


def correctable(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a layer is a Conv or Gemm whose bias is a constant of a value for each channel, or which has none."""
    if node.op_type not in ("Conv", "Gemm"):
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


def with_biases(quantized: onnx.ModelProto, biases: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """A copy of an INT8 graph in which layers have other biases.

    Args:
        quantized: the graph.
        biases: by layer, float32 (channels,).
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(quantized)
    graph = corrected.graph
    replaced = set()
    for node in graph.node:
        if node.name in biases:
            replaced.update(node.input[2:])
            del node.input[2:]
            node.input.append(f"{node.name}/bias")
            graph.initializer.append(numpy_helper.from_array(biases[node.name], node.input[2]))
    unused = replaced - {name for node in graph.node for name in node.input}
    kept = [entry for entry in graph.initializer if entry.name not in unused]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return corrected
