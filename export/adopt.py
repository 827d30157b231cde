"""A classifier from elsewhere in the form in which ours come from PyTorch's exporter.

That is: one float32 NCHW input with any batch, one answer (batch, classes), this toolkit's opset, weights as
initializers. Each step changes the model in place.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from export.batch import open_batch
from export.front import FRONT_PREFIX, IMAGE
from export.graph import attribute, consumers, initializers, producers
from export.head import LOGITS, PROBABILITIES
from runtime.errors import ModelError

OLDEST_OPSET = 7
IMAGES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8)
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
        ModelError: there are several, or it is not an image.
    """
    inputs = list(model.graph.input)
    if len(inputs) != 1:
        names = ", ".join(entry.name for entry in inputs) or "none"
        raise ModelError(f"it has {len(inputs)} inputs ({names}), and a classifier has one", "give a classifier")
    value: onnx.ValueInfoProto = inputs[0]
    shape, kind = shape_of(value), value.type.tensor_type.elem_type
    if kind not in IMAGES or len(shape) != 4:
        name = TensorProto.DataType.Name(kind).lower()
        raise ModelError(
            f"its input '{value.name}' is {name} with {len(shape)} dimensions",
            "a classifier of images takes floating point or uint8, (batch, channels, height, width)",
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


def takes_pixels(model: onnx.ModelProto) -> bool:
    """Whether the input is uint8, so that the graph does the arithmetic of preprocessing itself."""
    return bool(model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8)


def take_floats(model: onnx.ModelProto) -> None:
    """Give a graph that takes uint8 a float input. Its own Cast goes; without one, one to uint8 comes in front."""
    graph = model.graph
    (old,) = graph.input
    if not takes_pixels(model):
        return
    users = consumers(graph)[old.name]
    if all(node.op_type == "Cast" and attribute(node, "to", 0) == TensorProto.FLOAT for node in users):
        for node in users:
            node.CopyFrom(helper.make_node("Identity", list(node.input), list(node.output), node.name))
        old.type.tensor_type.elem_type = TensorProto.FLOAT
        return
    new = helper.make_tensor_value_info(f"{old.name}_float", TensorProto.FLOAT, list(shape_of(old)))
    whole = f"{old.name}_whole"
    nodes = [
        helper.make_node("Round", [new.name], [whole], whole),  # a Cast would cut 2.9999998 down to 2
        helper.make_node("Cast", [whole], [old.name], f"{old.name}_uint8", to=TensorProto.UINT8),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    old.CopyFrom(new)


def keep_output(model: onnx.ModelProto, name: str | None) -> None:
    """Leave one output, (batch, classes): trailing sides of 1 are dropped.

    Args:
        model: the graph.
        name: one of its outputs, or any tensor in it; None where it has one alone.

    Raises:
        ModelError: there are several and none is named, none is so called, or it holds the number of a class.
    """
    graph = model.graph
    names = [entry.name for entry in graph.output]
    makers = producers(graph)
    if name is None and len(names) > 1:
        raise ModelError(f"it has {len(names)} outputs: {', '.join(names)}", "name the one with --output-name")
    kept = name or names[0]
    if kept not in makers:
        raise ModelError(f"it has no output '{kept}', but {', '.join(names)}", "name one of these with --output-name")
    maker = makers[kept]
    if maker.op_type in ("ArgMax", "TopK"):
        raise ModelError(
            f"its output '{kept}' is the number of a class, from '{maker.name or kept}' ({maker.op_type})",
            f"--output-name {maker.input[0]} takes what that reads",
        )
    flat = f"{kept}_flat"
    graph.node.append(helper.make_node("Flatten", [kept], [flat], flat, axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(flat, TensorProto.FLOAT, ["batch", None]))


def make_two_classes(model: onnx.ModelProto, kind: str) -> None:
    """Let one number an image, p or x, become an answer of two classes: 1 - p and p, or the logits 0 and x."""
    graph = model.graph
    last = graph.output[0].name
    both = f"{last}_of_two"
    factors, addends = ([[-1, 1]], [[1, 0]]) if kind == "probabilities" else ([[0, 1]], [[0, 0]])
    for name, values in (("factors", factors), ("addends", addends)):
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.float32), f"{both}/{name}"))
    graph.node.append(helper.make_node("Mul", [last, f"{both}/factors"], [f"{both}/product"], f"{both}/product"))
    graph.node.append(helper.make_node("Add", [f"{both}/product", f"{both}/addends"], [both], both))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(both, TensorProto.FLOAT, ["batch", 2]))


def fix_size(model: onnx.ModelProto, size: tuple[int, int], channels: int) -> None:
    """Write the size of the images into an input that leaves it open, as (batch, height, width, channels) or NCHW."""
    (value,) = model.graph.input
    dims = value.type.tensor_type.shape.dim
    places = (3, 1, 2) if channels_last(shape_of(value)) else (1, 2, 3)
    for place, side in zip(places, (channels, *size), strict=True):
        dims[place].dim_value = side
    del model.graph.value_info[:]


def with_batch(model: onnx.ModelProto, batch: int) -> tuple[int, ...]:
    """The shape of an input whose sides are known, with this batch."""
    _, *sides = shape_of(model.graph.input[0])
    return (batch, *(side or 1 for side in sides))


def free_batch(model: onnx.ModelProto, *, opened: bool) -> None:
    """Say that the input takes any batch, and let the nodes take it where they do not yet."""
    (value,) = model.graph.input
    if not opened:
        open_batch(model, with_batch(model, shape_of(value)[0] or 1))
    value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]


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
