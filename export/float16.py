"""A float32 graph, with or without Q/DQ, to float16: constants converted, and a Cast where the two types meet.

Left in float32: the front (its whole numbers become float16 behind it), Softmax and LRN, operators for which ONNX knows
no float16, and the nodes that the caller names. Weights that are stored as int8 stay so; the scales become float16.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.front import FRONT_OFFSET_OUTPUT, FRONT_PREFIX, FRONT_SCALED_OUTPUT
from export.graph import (
    captured,
    consumers,
    free_name,
    graphs_inside,
    initializers,
    names_of,
    producers,
    rename,
    replace_initializer,
)
from export.skeleton import infer, skeleton
from runtime.errors import ExportError

LARGEST = float(np.finfo(np.float16).max)
INT8_REACH = 128  # steps of a scale that an int8 tensor spans
LARGEST_LOSS = 0.01  # of a constant's norm; rounding normal numbers loses 0.0003
SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)
#: Five squares of LRN's overflow from 115 on; a softmax in float16 would hide what logits tell.
FLOAT32_OPERATORS = frozenset({"LRN", "Softmax", "LogSoftmax"})
#: Their attributes say that they give float32.
FLOAT32_SOURCES = frozenset({"Cast", "Constant", "ConstantOfShape", "EyeLike", "RandomNormal", "RandomUniform"})
FRONT_STEPS = 128


def scale_front(model: onnx.ModelProto) -> onnx.ModelProto:
    """Divide the front's whole numbers by 128, and multiply the first layer's weight by it: both exact.

    Folded weights are in units of pixels; a twentieth of lenet's first layer would be subnormal in float16.

    Args:
        model: a float32 graph. One whose front is not folded into its first layer, or whose first layer shares its
            weight, is left as it is.

    Returns:
        A changed copy; its first layer reads the tensor `FRONT_SCALED_OUTPUT`.
    """
    scaled = onnx.ModelProto()
    scaled.CopyFrom(model)
    graph = scaled.graph
    users = consumers(graph).get(FRONT_OFFSET_OUTPUT, [])
    if len(users) != 1 or users[0].op_type != "Conv":
        return scaled
    (conv,) = users
    constant = fixed_constants(graph).get(conv.input[1])
    if constant is None or len(consumers(graph)[conv.input[1]]) > 1:
        return scaled
    weight = numpy_helper.to_array(constant)
    replace_initializer(graph, conv.input[1], weight * np.float32(FRONT_STEPS))
    graph.initializer.append(numpy_helper.from_array(np.array(1 / FRONT_STEPS, np.float32), "front/step"))
    multiply = helper.make_node(
        "Mul", [FRONT_OFFSET_OUTPUT, "front/step"], [FRONT_SCALED_OUTPUT], f"{FRONT_PREFIX}step"
    )
    graph.node.insert(list(graph.node).index(conv), multiply)
    conv.input[0] = FRONT_SCALED_OUTPUT
    return scaled


def to_float16(model: onnx.ModelProto, keep: Mapping[str, str]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A copy of a graph in float16.

    Args:
        model: float32, opset 19 or newer where it holds Q/DQ (older ones have no float16 scales).
        keep: nodes that stay float32, with the reason.

    Raises:
        ExportError: what came of it is not valid.

    Returns:
        The graph, and every Conv, Gemm and MatMul that stays float32, with the reason.
    """
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    graph = converted.graph
    for index, node in enumerate(graph.node):
        node.name = node.name or f"unnamed/{index}"
    kept = kept_nodes(converted, keep)
    types = float_tensors(converted)
    constants = fixed_constants(graph)
    taken = names_of(graph)
    casts: dict[tuple[str, int], str] = {}  # (tensor, type) -> the tensor's copy in that type
    nodes: list[onnx.NodeProto] = []

    def in_type(name: str, wanted: int) -> str:
        """The name of a float tensor in a type; a constant is converted, another tensor gets one Cast."""
        if types[name] == wanted:
            return name
        if (name, wanted) not in casts:
            other = free_name(f"{name}/{'float16' if wanted == TensorProto.FLOAT16 else 'float32'}", taken)
            casts[name, wanted] = other
            if name in constants:
                array = numpy_helper.to_array(constants[name])
                graph.initializer.append(numpy_helper.from_array(array.astype(np.float16), other))
            else:
                nodes.append(helper.make_node("Cast", [name], [other], other, to=wanted))
        return casts[name, wanted]

    for node in graph.node:
        wanted = TensorProto.FLOAT if node.name in kept else TensorProto.FLOAT16
        for index, name in enumerate(node.input):
            if name in types:
                takes = wanted if index not in float32_inputs(node, converted) else TensorProto.FLOAT
                node.input[index] = in_type(name, takes)
        if wanted == TensorProto.FLOAT:
            rename(node, {name: in_type(name, TensorProto.FLOAT) for name in captured(node) if name in types})
        else:
            types.update({name: wanted for name in float16_outputs(node, converted) if name in types})
        nodes.append(node)

    for output in graph.output:  # stays float32, under its name
        if types.get(output.name) == TensorProto.FLOAT16:
            maker = next(node for node in nodes if output.name in node.output)
            half = free_name(f"{output.name}/float16", taken)
            for node in nodes:
                node.input[:] = [half if name == output.name else name for name in node.input]
            maker.output[:] = [half if name == output.name else name for name in maker.output]
            nodes.append(helper.make_node("Cast", [half], [output.name], f"{output.name}/cast", to=TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unused_constants(graph)
    try:
        onnx.checker.check_model(skeleton(converted), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the float16 graph is not valid: {error}", "build it with --fp32 or --int8 alone") from error
    layers = {node.name for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    return converted, {name: reason for name, reason in kept.items() if name in layers}


def kept_nodes(model: onnx.ModelProto, keep: Mapping[str, str]) -> dict[str, str]:
    """The nodes that stay float32, with the reason."""
    graph = model.graph
    constants = fixed_constants(graph)
    typed = typed_tensors(model)
    made_by, used_by = producers(graph), consumers(graph)
    kept = dict(keep)
    for node in graph.node:
        if node.name in kept:
            continue
        if node.name.startswith(FRONT_PREFIX):
            kept[node.name] = "it belongs to the front"
        elif node.op_type in FLOAT32_OPERATORS | FLOAT32_SOURCES or graphs_inside(node):
            kept[node.name] = f"{node.op_type} is kept in float32"
        elif not typed.keys() >= {name for name in (*node.input, *node.output) if name}:
            kept[node.name] = "ONNX cannot tell the types of its tensors"
        elif not knows_float16(node, model):
            kept[node.name] = f"{node.op_type} is not defined for float16"
        else:
            reason = unfit_constant(node, constants)
            if reason:
                kept[node.name] = reason
    # A layer whose int8 weight has a scale that float16 cannot hold goes with its DequantizeLinear.
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.name in kept:
            for user in used_by[node.output[0]]:
                kept.setdefault(user.name, kept[node.name])
    # Q takes what the node before it gives, and DQ gives what the nodes behind it take: no Cast between.
    for node in graph.node:
        source = made_by.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        if source is not None and source.name in kept:
            kept.setdefault(node.name, kept[source.name])
    for node in graph.node:
        users = used_by[node.output[0]] if node.op_type == "DequantizeLinear" else []
        if users and all(user.name in kept for user in users):
            kept.setdefault(node.name, kept[users[0].name])
    return kept


def unfit_constant(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> str:
    """Why a node's constants cannot be float16; empty where they can."""
    for index, name in enumerate(node.input):
        if name not in constants or constants[name].data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(constants[name]).astype(np.float64)
        finite = values[np.isfinite(values)]
        if not finite.size:
            continue
        is_scale = node.op_type in ("QuantizeLinear", "DequantizeLinear") and index == 1
        reached = np.abs(finite).max() * (INT8_REACH if is_scale else 1)
        if reached > LARGEST:
            return f"its constant {name} reaches {reached:.3g}, and float16 ends at {LARGEST:.0f}"
        if is_scale and finite.min() < SMALLEST_NORMAL:
            return f"the scale {name} is {finite.min():.3g}, too small for float16"
        norm = float(np.linalg.norm(finite))
        lost = float(np.linalg.norm(finite - finite.astype(np.float16)))
        if lost > LARGEST_LOSS * norm:
            return f"its constant {name} is too small for float16, which loses {100 * lost / norm:.0f} % of it"
    return ""


def fixed_constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Constants by name, without those that a caller may replace."""
    given = {entry.name for entry in graph.input}
    return {name: constant for name, constant in initializers(graph).items() if name not in given}


def float_tensors(model: onnx.ModelProto) -> dict[str, int]:
    """The float32 tensors of a graph, constants included, by name."""
    return {name: kind for name, kind in typed_tensors(model).items() if kind == TensorProto.FLOAT}


def typed_tensors(model: onnx.ModelProto) -> dict[str, int]:
    """The tensors of a graph whose types ONNX can tell, constants included."""
    types = {name: found.elem_type for name, found in infer(model).items()}
    types.update({entry.name: entry.data_type for entry in model.graph.initializer})
    return types


def knows_float16(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    """Whether ONNX defines a node for float16, as far as its first output goes."""
    schema = schema_of(node, model)
    types = schema.outputs[0].types if schema is not None else {"tensor(float)"}
    return "tensor(float16)" in types or "tensor(float)" not in types


def float32_inputs(node: onnx.NodeProto, model: onnx.ModelProto) -> set[int]:
    """The inputs of a node that ONNX defines for float32 alone, as the scales of Resize."""
    schema = schema_of(node, model)
    if schema is None:
        return set()
    return {
        index
        for index in range(len(node.input))
        if "tensor(float16)" not in schema.inputs[min(index, len(schema.inputs) - 1)].types
    }


def float16_outputs(node: onnx.NodeProto, model: onnx.ModelProto) -> list[str]:
    """The outputs of a float16 node that may be float16: LayerNormalization's mean may not."""
    schema = schema_of(node, model)
    if schema is None:
        return []
    last = len(schema.outputs) - 1
    return [
        name for index, name in enumerate(node.output) if "tensor(float16)" in schema.outputs[min(index, last)].types
    ]


def schema_of(node: onnx.NodeProto, model: onnx.ModelProto) -> onnx.defs.OpSchema | None:
    """ONNX's definition of an operator; None for a foreign one."""
    version = next((entry.version for entry in model.opset_import if entry.domain == node.domain), 0)
    try:
        return onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return None


def drop_unused_constants(graph: onnx.GraphProto) -> None:
    """Remove the constants that no node reads and no caller may replace."""
    used = {name for node in graph.node for name in (*node.input, *captured(node))}
    used |= {value.name for value in (*graph.output, *graph.input)}
    left = [entry for entry in graph.initializer if entry.name in used]
    del graph.initializer[:]
    graph.initializer.extend(left)
