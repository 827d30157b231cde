"""A classifier from elsewhere in the form in which ours come from PyTorch's exporter.

That is: one float32 NCHW input with any batch, one answer (batch, classes), this toolkit's opset, weights as
initializers. Each step changes the model in place.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator

from export.batch import open_batch
from export.ends import shape_of, with_batch
from export.front import FRONT_PREFIX, IMAGE
from export.graph import consumers, initializers
from export.head import LOGITS, PROBABILITIES
from export.worlds import is_random
from runtime.errors import ModelError

OLDEST_OPSET = 7
SAYS_COORDINATES = 11  # the first opset in which a Resize says how it takes pixels
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
        raised = version_converter.convert_version(model, opset)
    except Exception as error:  # the converter raises plain RuntimeErrors
        raise ModelError(
            f"its opset {found} cannot be raised to {opset}: {str(error).strip().splitlines()[0]}",
            f"export it again with opset {opset}",
        ) from error
    if found < SAYS_COORDINATES:
        keep_coordinates(raised)
    return raised


def keep_coordinates(model: onnx.ModelProto) -> None:
    """Let a Resize that was an Upsample, or of opset 10, take pixels as those did: the converter forgets it."""
    for node in model.graph.node:
        if node.op_type == "Resize" and not node.domain:
            said = {entry.name for entry in node.attribute}
            for name, value in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")):
                if name not in said:
                    node.attribute.append(helper.make_attribute(name, value))


def fold_stored_weights(model: onnx.ModelProto) -> None:
    """Weights that are only stored as integers become float; a graph whose activations are quantized too stays."""
    graph = model.graph
    if any(node.op_type == "QuantizeLinear" for node in graph.node):
        return
    constants = initializers(graph)
    kept = []
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(not name or name in constants for name in node.input):
            given = {name: numpy_helper.to_array(constants[name]) for name in node.input if name}
            (array,) = ReferenceEvaluator(node, opsets={"": opset_of(model)}).run(None, given)
            graph.initializer.append(numpy_helper.from_array(np.asarray(array, np.float32), node.output[0]))
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def refuse_moody(model: onnx.ModelProto) -> None:
    """Refuse a node that answers an image otherwise each time, or otherwise among other images.

    Raises:
        ModelError: there is one; it is named.
    """
    for node in model.graph.node:
        name = f"its node '{node.name or node.output[0]}' ({node.op_type})"
        if is_random(node):
            raise ModelError(f"{name} is random", "export it in evaluation mode")
        if node.op_type == "DynamicQuantizeLinear":
            raise ModelError(
                f"{name} takes its scale from all images of a batch", "give the float model: --int8 quantizes it"
            )


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


def free_batch(model: onnx.ModelProto, *, opened: bool) -> None:
    """Say that the input takes any batch, and let the nodes take it where they do not yet."""
    (value,) = model.graph.input
    if not opened:
        open_batch(model, with_batch(model, shape_of(value)[0] or 1))
    value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]


def give_way(model: onnx.ModelProto, output: str) -> None:
    """Rename tensors and nodes that are called as ours will be, and the output to `output`."""
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    ours = [name for name in taken if name in RESERVED or name.startswith((FRONT_PREFIX, f"{IMAGE}_minus"))]
    renamed = {name: free_name(name, taken) for name in ours}
    renamed[graph.output[0].name] = output
    for holder in (*graph.initializer, *graph.input, *graph.output):
        holder.name = renamed.get(holder.name, holder.name)
    for node in graph.node:
        if node.name.startswith(FRONT_PREFIX):
            node.name = f"model/{node.name}"
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)


def free_name(name: str, taken: set[str]) -> str:
    """What to call a tensor instead; what was renamed before, in an export of an export, is called so already."""
    free = f"model/{name}"
    while free in taken:
        free = f"model/{free}"
    return free


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
