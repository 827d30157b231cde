"""A classifier from elsewhere in the form in which ours come from PyTorch's exporter.

That is: one float32 NCHW input with any batch, one answer (batch, classes), this toolkit's opset, weights as
initializers. Each step changes the model in place.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference, version_converter

from export.front import FRONT_PREFIX, IMAGE
from export.graph import attribute, consumers, initializers
from export.head import LOGITS, PROBABILITIES
from runtime.errors import ModelError

OLDEST_OPSET = 7
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
RESERVED = (IMAGE, LOGITS, PROBABILITIES)


def take_constants_out(model: onnx.ModelProto) -> None:
    """Initializers are no inputs, as they were up to IR 3, and Constant nodes become initializers."""
    graph = model.graph
    constants = initializers(graph)
    inputs = [entry for entry in graph.input if entry.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    kept = []
    for node in graph.node:
        tensor = constant_of(node) if node.op_type == "Constant" and not node.domain else None
        if tensor is None:
            kept.append(node)
        else:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)


def constant_of(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The tensor of a Constant node; None where it is sparse or holds strings."""
    for entry in node.attribute:
        if entry.name == "value":
            copy = onnx.TensorProto()
            copy.CopyFrom(entry.t)
            return copy
        dtype = {"value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}.get(entry.name)
        if dtype:
            return numpy_helper.from_array(np.array(helper.get_attribute_value(entry), dtype))
    return None


def opset_of(model: onnx.ModelProto) -> int:
    """Of ONNX's own operators."""
    return next((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def raise_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The same model with at least this opset.

    Raises:
        ModelError: it is older than what is known here, or an operator in it cannot be raised.
    """
    found = opset_of(model)
    if found >= opset:
        return model
    if found < OLDEST_OPSET:
        raise ModelError(f"its opset is {found}, and {OLDEST_OPSET} is the oldest one read here", "export it again")
    model.ir_version = max(model.ir_version, 4)  # from there on, initializers are no inputs
    try:
        return version_converter.convert_version(model, opset)
    except Exception as error:  # the converter raises plain RuntimeErrors
        raise ModelError(
            f"its opset {found} cannot be raised to {opset}: {str(error).strip().splitlines()[0]}",
            f"export it again with opset {opset}",
        ) from error


def has_float16(model: onnx.ModelProto) -> bool:
    """Whether weights or images are float16, so that answers are no more exact than that."""
    graph = model.graph
    kinds = {tensor.data_type for tensor in graph.initializer}
    return TensorProto.FLOAT16 in kinds | {entry.type.tensor_type.elem_type for entry in graph.input}


def make_float32(model: onnx.ModelProto) -> None:
    """Float16 and double tensors, casts and ends become float32."""
    graph = model.graph
    others = (TensorProto.FLOAT16, TensorProto.DOUBLE)
    for tensor in graph.initializer:
        if tensor.data_type in others:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for node in graph.node:
        for entry in node.attribute:
            if entry.name in ("to", "dtype") and entry.i in others:
                entry.i = TensorProto.FLOAT
            if entry.HasField("t") and entry.t.data_type in others:
                entry.t.CopyFrom(
                    numpy_helper.from_array(numpy_helper.to_array(entry.t).astype(np.float32), entry.t.name)
                )
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in others:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del graph.value_info[:]


def shape_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Sizes, None where one is open."""
    return tuple(entry.dim_value or None for entry in value.type.tensor_type.shape.dim)


def image_input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The one input.

    Raises:
        ModelError: there are several, or it is not an image in floating point.
    """
    inputs = list(model.graph.input)
    if len(inputs) != 1:
        names = ", ".join(entry.name for entry in inputs) or "none"
        raise ModelError(f"it has {len(inputs)} inputs ({names}), and a classifier has one", "give a classifier")
    value: onnx.ValueInfoProto = inputs[0]
    shape, kind = shape_of(value), value.type.tensor_type.elem_type
    if kind not in FLOATS or len(shape) != 4:
        name = TensorProto.DataType.Name(kind).lower()
        raise ModelError(
            f"its input '{value.name}' is {name} with {len(shape)} dimensions",
            "a classifier of images takes floating point (batch, channels, height, width)",
        )
    return value


def channels_last(shape: tuple[int | None, ...]) -> bool:
    """Whether an input is (batch, height, width, channels), as TensorFlow has it."""
    return shape[1] not in (1, 3) and shape[3] in (1, 3)


def take_channels_first(model: onnx.ModelProto) -> None:
    """Put a Transpose behind a new NCHW input where the old one is NHWC."""
    graph = model.graph
    (old,) = graph.input
    shape = shape_of(old)
    if not channels_last(shape):
        return
    new = helper.make_tensor_value_info(f"{old.name}_nchw", TensorProto.FLOAT, [shape[i] for i in (0, 3, 1, 2)])
    nodes = [helper.make_node("Transpose", [new.name], [old.name], f"{old.name}_nhwc", perm=[0, 2, 3, 1]), *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    old.CopyFrom(new)


def keep_output(model: onnx.ModelProto, name: str | None) -> None:
    """Leave one output, (batch, classes): trailing sides of 1 are dropped.

    Raises:
        ModelError: there are several and none is named, or none is so called.
    """
    graph = model.graph
    names = [entry.name for entry in graph.output]
    if name is None and len(names) > 1:
        raise ModelError(f"it has {len(names)} outputs: {', '.join(names)}", "name the one with --output-name")
    if name is not None and name not in names:
        raise ModelError(f"it has no output '{name}', but {', '.join(names)}", "name one of these with --output-name")
    (kept,) = [entry for entry in graph.output if entry.name == (name or names[0])]
    flat = f"{kept.name}_flat"
    graph.node.append(helper.make_node("Flatten", [kept.name], [flat], flat, axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(flat, TensorProto.FLOAT, ["batch", None]))


def free_batch(model: onnx.ModelProto) -> None:
    """Open the batch of an input where it is fixed, and of every Reshape that names it."""
    graph = model.graph
    (value,) = graph.input
    batch = shape_of(value)[0]
    if batch is not None:
        shapes = {
            entry.name: shape_of(entry)
            for entry in (*shape_inference.infer_shapes(model).graph.value_info, *graph.input)
        }
        constants = initializers(graph)
        for node in graph.node:
            if node.op_type != "Reshape" or node.input[1] not in constants or attribute(node, "allowzero", 0):
                continue
            target = numpy_helper.to_array(constants[node.input[1]]).copy()
            first = (shapes.get(node.input[0]) or (None,))[0]
            if target.ndim == 1 and len(target) and target[0] == batch and (first == batch or -1 not in target):
                target[0] = 0 if first == batch else -1
                opened = numpy_helper.from_array(target, f"{node.output[0]}_shape")
                graph.initializer.append(opened)
                node.input[1] = opened.name
    value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]


def give_way(model: onnx.ModelProto, output: str) -> None:
    """Rename tensors that are called as ours will be, and the output to `output`."""
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    renamed = {
        name: f"model/{name}" for name in taken if name in RESERVED or name.startswith((FRONT_PREFIX, f"{IMAGE}_minus"))
    }
    renamed[graph.output[0].name] = output
    for holder in (*graph.initializer, *graph.input, *graph.output):
        holder.name = renamed.get(holder.name, holder.name)
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)


def bypass_idle(model: onnx.ModelProto) -> None:
    """Take out what does nothing when a model answers: Identity, and Dropout outside of training."""
    graph = model.graph
    used, constants = consumers(graph), initializers(graph)
    same: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = same.get(name, name)
        if not node.domain and is_idle(node, constants) and not any(name in used for name in node.output[1:]):
            same[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def is_idle(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node's first output is its first input."""
    if node.op_type != "Dropout":
        return node.op_type == "Identity"
    training = node.input[2] if len(node.input) > 2 else ""
    return not training or (training in constants and not numpy_helper.to_array(constants[training]).any())


def drop_unused(model: onnx.ModelProto) -> None:
    """Remove nodes and constants that the output does not need."""
    graph = model.graph
    needed = {entry.name for entry in graph.output}
    kept = []
    for node in reversed(graph.node):  # a graph is in order: who needs a tensor stands behind who makes it
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
