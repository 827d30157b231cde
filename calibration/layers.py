"""The layers of a graph that have weights: what they read, what they give, and each of them alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx

from calibration.placement import PASSES_SCALE, inferred_shapes
from export.float16 import typed_tensors
from export.front import FRONT_PREFIX
from export.graph import consumers, initializers, producers, value_info

WITH_WEIGHTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: What stands between the values that a layer reads and the layer: it moves, rounds or converts them.
CARRIES = PASSES_SCALE | {"QuantizeLinear", "DequantizeLinear", "Cast", "Dropout"}
BEFORE_BIAS = ("Cast", "QuantizeLinear", "DequantizeLinear", "Add")
GIVEN = "given/"


@dataclass(frozen=True)
class Layer:
    """A layer with weights.

    Attributes:
        name: of its node.
        operation: of its node.
        output: the tensor that it gives, its bias included.
        inputs: the tensors that it reads, before pooling, reshaping, quantizing and the front.
        weights: the sizes of its weight in ascending order, however it lies.
        shape: of the output for one image; empty where it is not known.
    """

    name: str
    operation: str
    output: str
    inputs: tuple[str, ...]
    weights: tuple[int, ...]
    shape: tuple[int, ...] = ()


def find_layers(model: onnx.ModelProto) -> tuple[Layer, ...]:
    """Every layer with weights, in the order of the graph."""
    graph = model.graph
    made_by, used_by, constants = producers(graph), consumers(graph), constant_tensors(graph)
    shapes = inferred_shapes(model)
    layers = []
    for node in graph.node:
        if node.op_type not in WITH_WEIGHTS or len(node.input) < 2:
            continue
        read = [name for name in node.input if name and name not in constants]
        sources = dict.fromkeys(source_of(name, made_by, constants) for name in read)
        weights = tuple(sorted(shapes.get(node.input[1], ())))
        output = with_bias(node.output[0], used_by, constants)
        layers.append(Layer(node.name or node.output[0], node.op_type, output, tuple(sources), weights))
    return tuple(layers)


def constant_tensors(graph: onnx.GraphProto) -> set[str]:
    """Tensors that no image changes: constants, and what is computed of them alone."""
    found = set(initializers(graph)) - {entry.name for entry in graph.input}
    for node in graph.node:
        if all(not name or name in found for name in node.input):
            found.update(name for name in node.output if name)
    return found


def source_of(name: str, made_by: dict[str, onnx.NodeProto], constants: set[str]) -> str:
    """Where the values of a tensor were computed, or the image."""
    while (node := made_by.get(name)) is not None:
        carries = node.op_type in CARRIES or node.name.startswith(FRONT_PREFIX)
        if not carries or node.input[0] in constants or any(i and i not in constants for i in node.input[1:]):
            break
        name = node.input[0]
    return name


def with_bias(output: str, used_by: dict[str, list[onnx.NodeProto]], constants: set[str]) -> str:
    """The tensor behind the Add of a constant, where one follows: the same layer elsewhere has its bias inside."""
    name = output
    while len(used_by[name]) == 1 and used_by[name][0].op_type in BEFORE_BIAS:
        (node,) = used_by[name]
        name = node.output[0]
        if node.op_type == "Add":
            return name if any(entry in constants for entry in node.input) else output
    return output


def isolate(model: onnx.ModelProto, layers: Sequence[Layer]) -> tuple[onnx.ModelProto, tuple[Layer, ...]]:
    """A graph in which every layer reads values that are given to it, so that none sees the errors of those before it.

    Args:
        model: any graph.
        layers: of it.

    Returns:
        The graph: its inputs are `given/` and the name of each tensor that is read, its outputs those of the layers.
        And the layers in it: one that reads more than its inputs is left out.
    """
    made_by, constants = producers(model.graph), constant_tensors(model.graph)
    taken: set[str] = set()
    alone = []
    for layer in layers:
        needed = nodes_between(layer, made_by, constants)
        if needed is not None:
            taken |= needed
            alone.append(layer)
    stops = dict.fromkeys(name for layer in alone for name in layer.inputs)
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    del graph.graph.node[:], graph.graph.input[:], graph.graph.output[:], graph.graph.value_info[:]
    for node in model.graph.node:
        if node.output[0] in taken or node.output[0] in constants:
            graph.graph.node.append(node)
            for index, name in enumerate(node.input):
                if name in stops:
                    graph.graph.node[-1].input[index] = GIVEN + name
    types = typed_tensors(model)
    graph.graph.input.extend(value_info(GIVEN + name, types.get(name)) for name in stops)
    outputs = dict.fromkeys(layer.output for layer in alone)
    graph.graph.output.extend(value_info(name, types.get(name)) for name in outputs)
    return graph, tuple(alone)


def nodes_between(layer: Layer, made_by: dict[str, onnx.NodeProto], constants: Iterable[str]) -> set[str] | None:
    """The first output of every node from a layer's inputs to its output; None where more than its inputs is read."""
    found: set[str] = set()
    open_ends = [layer.output]
    while open_ends:
        name = open_ends.pop()
        node = made_by.get(name)
        if node is None:
            return None
        if node.output[0] in found:
            continue
        found.add(node.output[0])
        open_ends += [i for i in node.input if i and i not in constants and i not in layer.inputs]
    return found
