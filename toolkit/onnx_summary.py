"""What an ONNX file takes and gives, and its nodes with their shapes, parameters and multiply-accumulates.

Read from the file as it stands; nothing is run. Knows nothing of PyTorch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import onnx
from onnx import TensorProto

from calibration.placement import MULTIPLIES, came_quantized, multiply_accumulates
from export.adopt import raise_opset, take_constants_out
from export.graph import attribute, graphs_inside, initializers, producers
from export.onnx_source import read_onnx
from export.own_spec import own_spec
from export.skeleton import infer, skeleton
from export.tensors import require_tensor
from runtime.errors import ModelError
from runtime.text import by
from toolkit.guard import allow

Sides: TypeAlias = tuple[int | str | None, ...]
#: They change how a tensor is stored: the layer behind them has the weight, and tells the type.
STORAGE = ("QuantizeLinear", "DequantizeLinear")
#: Operators that multiply, too, and that nobody here counts.
NOT_COUNTED = re.compile("Conv|Gemm|MatMul|Attention|Einsum|LSTM|GRU|RNN")
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
#: From this opset on, ONNX's inference follows sizes that are computed as `x.view(x.size(0), -1)` is.
FOLLOWED = 14
EIGHT_BITS = (TensorProto.INT8, TensorProto.UINT8)


@dataclass(frozen=True)
class OnnxTensor:
    """An input or an output.

    Attributes:
        name: in the file.
        type: of its elements, such as float32; null where it is no tensor.
        shape: a size, or the name of an open side, or null for one without a name; null where the file has none.
    """

    name: str
    type: str | None
    shape: Sides | None


@dataclass(frozen=True)
class OnnxLayer:
    """A node; those that quantize or dequantize are none, but part of the layer behind them.

    Attributes:
        name: of the node; of its output where it has none.
        operation: for people.
        output: the shape of its first output, a null or a name where a side is open; null where it cannot be told.
        type: of that output, or of the weight where all that it multiplies comes out of Q/DQ; null where unknown.
        parameters: values of its constants that are float or quantized, are no scalars, and belong to no layer before.
        macs: multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul; null where it multiplies uncounted.
        shared_with: the first layer whose parameters it uses too, or None.
    """

    name: str
    operation: str
    output: Sides | None
    type: str | None
    parameters: int
    macs: int | None
    shared_with: str | None


@dataclass(frozen=True)
class OnnxSummary:
    """An ONNX file. Layers are told with 1 for the first side of an input, where that is open.

    Attributes:
        model: the file.
        producer: what wrote it, as it says itself.
        ir_version: of the format.
        opsets: domain -> version; ONNX's own domain is ai.onnx.
        inputs, outputs: as the file has them.
        spec: how it takes images, as of a bundle, where `toolkit export` wrote it into the file.
        layers: in the order in which they run.
        nodes: operator -> how many there are, without constants.
        parameters: over all layers.
        macs: over all layers; null where that of one is.
        weight_bytes: of all constants, by the type that they are stored in.
    """

    model: str
    producer: str
    ir_version: int
    opsets: dict[str, int]
    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    spec: dict[str, Any] | None
    layers: tuple[OnnxLayer, ...]
    nodes: dict[str, int]
    parameters: int
    macs: int | None
    weight_bytes: dict[str, int]


def summarize_onnx(path: Path) -> OnnxSummary:
    """What is in a file.

    Raises:
        ModelError: it cannot be read, or holds what no backend takes.
    """
    model = read_onnx(path, allow)
    take_constants_out(model)
    try:
        spec = own_spec(model) if model.graph.input else None
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", error.hint) from error
    inputs, outputs = (tuple(map(told, values)) for values in (model.graph.input, model.graph.output))
    layers = read_layers(model)
    stored: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        stored[type_name(tensor.data_type) or "?"] += require_tensor(tensor, tensor.name)
    counted = [layer.macs for layer in layers if layer.macs is not None]
    return OnnxSummary(
        model=str(path),
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        ir_version=model.ir_version,
        opsets={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        inputs=inputs,
        outputs=outputs,
        spec=msgspec.to_builtins(spec),
        layers=layers,
        nodes=dict(Counter(map(operator, model.graph.node)).most_common()),
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(counted) if len(counted) == len(layers) else None,
        weight_bytes=dict(stored.most_common()),
    )


def told(value: onnx.ValueInfoProto) -> OnnxTensor:
    """An input or an output."""
    tensor = value.type.tensor_type
    return OnnxTensor(value.name, type_name(tensor.elem_type), sides_of(tensor))


def type_name(kind: int) -> str | None:
    """`float32`; None for what is no tensor, or of no known type."""
    if kind == TensorProto.UNDEFINED or kind not in TensorProto.DataType.values():
        return None
    name = str(TensorProto.DataType.Name(kind)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def sides_of(tensor: onnx.TypeProto.Tensor) -> Sides | None:
    """Each side's size, or its name where it is open; None where nothing is known."""
    return tuple(map(side_of, tensor.shape.dim)) if tensor.HasField("shape") else None


def side_of(side: onnx.TensorShapeProto.Dimension) -> int | str | None:
    """A size, or a name; None for what ONNX's inference calls unk__0, and for less than nothing, which it may find."""
    if side.HasField("dim_value"):
        return side.dim_value if side.dim_value >= 0 else None
    return None if side.dim_param.startswith("unk__") else side.dim_param or None


def read_layers(model: onnx.ModelProto) -> tuple[OnnxLayer, ...]:
    """One for each node but those that only store otherwise. Changes what the model says of its ends."""
    graph = model.graph
    for value in graph.input:
        first = value.type.tensor_type.shape.dim[:1]
        if first and not first[0].HasField("dim_value"):
            first[0].dim_value = 1
    for value in graph.output:
        value.ClearField("type")  # which has names where inference now has sizes
    found = inferred(model)
    constants, made_by = initializers(graph), producers(graph)
    kinds = {name: tensor.elem_type for name, tensor in found.items()}
    kinds |= {name: tensor.data_type for name, tensor in constants.items()}
    shapes = {name: sides_of(tensor) for name, tensor in found.items()}
    shapes |= {name: tuple(tensor.dims) for name, tensor in constants.items()}
    origins: dict[str, str] = {}  # what comes out of Q/DQ -> what was quantized
    owners: dict[str, str] = {}  # a constant -> the first layer that uses it
    layers = []
    for node in graph.node:
        if node.op_type in STORAGE:
            origins[node.output[0]] = origins.get(node.input[0], node.input[0])
            continue
        output = next((name for name in node.output if name), "")
        name = node.name or output
        used = [
            origin
            for origin in dict.fromkeys(origins.get(given, given) for given in node.input)
            if origin in constants and is_parameter(constants[origin], quantized=origin not in node.input)
        ]
        new = [constant for constant in used if constant not in owners]
        shared_with = next((owners[constant] for constant in used if constant in owners), None)
        owners.update(dict.fromkeys(new, name))
        sides = shapes.get(output)
        kind = kinds.get(output, 0)
        if node.op_type in MULTIPLIES and all(came_quantized(given, made_by) for given in node.input[:2]):
            kind = kinds.get(quantized_source(node.input[1], made_by), 0)
        layers.append(
            OnnxLayer(
                name=name,
                operation=describe(node, shapes),
                output=sides,
                type=type_name(kind),
                parameters=sum(prod(constants[constant].dims) for constant in new),
                macs=count_macs(node, shapes),
                shared_with=shared_with,
            )
        )
    return tuple(layers)


def inferred(model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    """Types and shapes of what ONNX can tell; of an old opset, also what it can tell of a newer one alone."""
    found: dict[str, onnx.TypeProto.Tensor] = {}
    for opset in (0, FOLLOWED):
        try:
            more = infer(raise_opset(skeleton(model), opset) if opset else model, data_prop=True)
        except MemoryError:
            raise
        except Exception:  # of a graph whose parts do not fit together, or that is too old to be raised
            continue
        known = {name for name, tensor in found.items() if tensor.HasField("shape")}
        found |= {name: tensor for name, tensor in more.items() if name not in known}
    return found


def is_parameter(tensor: onnx.TensorProto, *, quantized: bool) -> bool:
    """Whether a constant is a weight, rather than a shape, an index or a single factor."""
    return bool(tensor.dims) and (quantized or tensor.data_type in (*FLOATS, *EIGHT_BITS))


def quantized_source(tensor: str, made_by: Mapping[str, onnx.NodeProto]) -> str:
    """What the DequantizeLinear reads that a tensor came out of, and was only moved since."""
    while (maker := made_by[tensor]).op_type != "DequantizeLinear":
        tensor = maker.input[0]
    return str(maker.input[0])


def count_macs(node: onnx.NodeProto, shapes: Mapping[str, Sides | None]) -> int | None:
    """Multiply-accumulates; None where it has some and they cannot be told."""
    if node.op_type not in MULTIPLIES or node.domain:
        return None if NOT_COUNTED.search(node.op_type) or graphs_inside(node) else 0
    known = {}
    for name in (*node.input[:2], node.output[0]):
        sides = shapes.get(name)
        if sides is None or not all(isinstance(side, int) for side in sides):
            return None
        known[name] = sides
    return multiply_accumulates(node, known)  # type: ignore[arg-type]


def operator(node: onnx.NodeProto) -> str:
    """With its domain, where that is not ONNX's own."""
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


def describe(node: onnx.NodeProto, shapes: Mapping[str, Sides | None]) -> str:
    """`Conv 3x3/2, pad 1`: the operator, and what is told of a kernel."""
    kernel: Any = attribute(node, "kernel_shape", ())
    if not kernel and node.op_type in ("Conv", "ConvTranspose"):
        kernel = (shapes.get(node.input[1]) or ())[2:]
    if not kernel:
        return operator(node)
    stride = short(attribute(node, "strides", [1]))
    words = [f"{operator(node)} {by(kernel)}" + (f"/{stride}" if stride != "1" else "")]
    padding = attribute(node, "auto_pad", b"NOTSET").decode().lower().replace("_", " ")
    if padding == "notset":
        padding = short(attribute(node, "pads", [0]))
    for word, said, usual in (
        ("pad", padding, "0"),
        ("dilation", short(attribute(node, "dilations", [1])), "1"),
        ("groups", str(attribute(node, "group", 1)), "1"),
    ):
        if said != usual:
            words.append(f"{word} {said}")
    return ", ".join(words)


def short(sizes: list[int]) -> str:
    """`2` for 2 and 2, `2x1` for 2 and 1."""
    return f"{sizes[0]}" if len(set(sizes)) == 1 else by(sizes)
