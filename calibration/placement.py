"""Where Q/DQ goes: the inputs of Conv, Gemm and MatMul, moved back before pooling and reshaping."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from export.graph import attribute, consumers, initializers, producers
from export.skeleton import infer

# Quantizing commutes exactly with these: they select or move values, and compute none.
PASSES_SCALE = frozenset(
    {
        "MaxPool",
        "GlobalMaxPool",
        "ReduceMax",
        "ReduceMin",
        "Reshape",
        "Flatten",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Identity",
    }
)

#: The operators whose multiply-accumulates are counted.
MULTIPLIES = ("Conv", "ConvTranspose", "Gemm", "MatMul")

# How names of operators begin that take integers as they are, without Q/DQ around them.
TAKES_INTEGERS = ("QLinear", "QGemm", "ConvInteger", "MatMulInteger")

GIVEN_BACK = "given back to float for the accuracy budget"


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer that will run in INT8.

    Attributes:
        name: of its node.
        tensor: the activation that gets the Q/DQ pair.
        reader: the node that takes the quantized tensor: the layer, or the first pool or reshape before it.
        weight: its initializer.
        channel_axis: the weight's output channels.
        macs: multiply-accumulates for one image.
    """

    name: str
    tensor: str
    reader: str
    weight: str
    channel_axis: int
    macs: int


@dataclass(frozen=True)
class SkippedLayer:
    """A layer that stays in float, and why."""

    name: str
    macs: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """What will be quantized.

    Attributes:
        layers: those that will, in the order of the graph.
        skipped: those that have a kernel but cannot be.
        quantized_already: the graph came with Q/DQ, and stays as it is; `layers` are then those that have it.
    """

    layers: tuple[QuantizedLayer, ...]
    skipped: tuple[SkippedLayer, ...]
    quantized_already: bool = False

    @property
    def tensors(self) -> tuple[str, ...]:
        """The activations to calibrate, each once, in the order of the graph."""
        return tuple(dict.fromkeys(layer.tensor for layer in self.layers))


def plan(model: onnx.ModelProto) -> Plan:
    """Decide for each Conv, Gemm and MatMul whether and where it is quantized."""
    graph = model.graph
    shapes = inferred_shapes(model)
    given = {entry.name for entry in graph.input}  # an initializer that a caller may replace is no constant
    constants = {name: tensor for name, tensor in initializers(graph).items() if name not in given}
    made_by, used_by = producers(graph), consumers(graph)
    already = any(node.op_type == "QuantizeLinear" for node in graph.node)
    layers, skipped = [], []
    for node in graph.node:
        if node.op_type not in MULTIPLIES:
            continue
        macs = multiply_accumulates(node, shapes)
        if already and all(came_quantized(name, made_by) for name in node.input[:2]):
            layers.append(QuantizedLayer(node.name, node.input[0], node.name, node.input[1], 0, macs))
            continue
        reason = "the graph came with Q/DQ, and has none here" if already else reason_against(node, constants)
        if reason:
            skipped.append(SkippedLayer(node.name, macs, reason))
            continue
        tensor, reader = node.input[0], node
        while (producer := made_by.get(tensor)) is not None and producer.op_type in PASSES_SCALE:
            if len(used_by[tensor]) > 1:
                break
            tensor, reader = producer.input[0], producer
        layers.append(
            QuantizedLayer(node.name, tensor, reader.name, node.input[1], channel_axis(node, constants), macs)
        )
    return Plan(tuple(layers), tuple(skipped), already)


def without_layers(plan: Plan, names: Collection[str]) -> Plan:
    """The same plan, some of its layers left in float."""
    kept = tuple(layer for layer in plan.layers if layer.name not in names)
    given_back = tuple(SkippedLayer(layer.name, layer.macs, GIVEN_BACK) for layer in plan.layers if layer.name in names)
    return replace(plan, layers=kept, skipped=(*plan.skipped, *given_back))


def came_quantized(tensor: str, made_by: dict[str, onnx.NodeProto]) -> bool:
    """Whether a tensor is dequantized, and only moved since."""
    while (maker := made_by.get(tensor)) is not None and maker.op_type in PASSES_SCALE:
        tensor = maker.input[0]
    return maker is not None and maker.op_type == "DequantizeLinear"


def integer_operators(model: onnx.ModelProto) -> tuple[str, ...]:
    """The operators of a graph that take integers as they are, as those of ONNX Runtime's QOperator form do."""
    return tuple(sorted({node.op_type for node in model.graph.node if node.op_type.startswith(TAKES_INTEGERS)}))


def weights_of_7_bits(model: onnx.ModelProto) -> bool:
    """Whether the INT8 weights that a graph came with keep to -64..64, so that no CPU overflows."""
    constants = initializers(model.graph)
    stored = [
        constants[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    ]
    kept = (TensorProto.INT8, TensorProto.INT32)  # a bias may be of 32 bits
    return (
        bool(stored)
        and not integer_operators(model)
        and all(
            tensor.data_type in kept
            and (tensor.data_type != TensorProto.INT8 or np.abs(numpy_helper.to_array(tensor).astype(int)).max() <= 64)
            for tensor in stored
        )
    )


def reason_against(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> str:
    """Why a layer cannot be quantized; empty where it can."""
    if node.op_type == "ConvTranspose":
        return "a transposed convolution stays in float"
    if node.input[1] not in constants:
        return "its weight is not constant"
    if node.input[0] in constants:
        return "its input is constant"
    if constants[node.input[1]].data_type != onnx.TensorProto.FLOAT:
        return "its weight is not float32"
    if node.op_type == "MatMul" and len(constants[node.input[1]].dims) != 2:
        return "its weight is not a matrix"
    has_bias = len(node.input) > 2 and node.input[2]
    if node.op_type == "Gemm" and (
        attribute(node, "transA", 0)
        or attribute(node, "alpha", 1.0) != 1
        or (has_bias and attribute(node, "beta", 1.0) != 1)
    ):
        return "its Gemm transposes its input, or scales its output"
    return ""


def channel_axis(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> int:
    """The axis of the weight's output channels."""
    if node.op_type == "MatMul":
        return len(constants[node.input[1]].dims) - 1
    return 0 if node.op_type == "Conv" or attribute(node, "transB", 0) else 1


def multiply_accumulates(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """Outputs times the length of the sum that makes each, with the batch of these shapes; 0 where they are unknown."""
    output, weight = shapes.get(node.output[0]), shapes.get(node.input[1])
    if not output or not weight:
        return 0
    if node.op_type == "Conv":
        return int(np.prod(output)) * int(np.prod(weight[1:]))
    if node.op_type == "ConvTranspose":
        return int(np.prod(shapes.get(node.input[0], (1,)))) * int(np.prod(weight[1:]))
    inner = (
        weight[1] if node.op_type == "Gemm" and attribute(node, "transB", 0) else weight[-2 if len(weight) > 1 else 0]
    )
    return int(np.prod(output)) * int(inner)


def inferred_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor, an unknown size (the batch) as 1."""
    shapes = {initializer.name: tuple(initializer.dims) for initializer in model.graph.initializer}
    for name, found in infer(model, data_prop=True).items():
        shapes[name] = tuple(entry.dim_value or 1 for entry in found.shape.dim)
    return shapes
