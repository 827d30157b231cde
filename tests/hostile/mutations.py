"""One small change of a valid ONNX graph at a time: of its nodes, edges, attributes, shapes, weights, or bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from tests.toolkit.foreign import graphs

Draw = Callable[[Any], Any]
MAKERS = (
    graphs.of_2018, graphs.of_parts, graphs.of_computed_shapes, graphs.of_tensorflow, graphs.of_halves,
    graphs.of_quantized, graphs.of_tomorrow,
)  # fmt: skip
OPERATORS = (
    "Abs", "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "ConstantOfShape", "Conv",
    "ConvTranspose", "CumSum", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "Gemm", "GlobalMaxPool", "GRU",
    "Identity", "LRN", "LSTM", "MatMul", "MaxPool", "MaxUnpool", "NonMaxSuppression", "OneHot", "Pad", "PRelu", "Range",
    "Reshape", "Resize", "RoiAlign", "ScatterND", "Shape", "Slice", "Softmax", "SpaceToDepth", "Split", "Squeeze",
    "Tile", "TopK", "Transpose", "Unsqueeze", "Upsample", "Where", "Magic",
)  # fmt: skip
NAMES = (
    "axis",
    "pads",
    "kernel_shape",
    "strides",
    "dilations",
    "group",
    "perm",
    "to",
    "value",
    "mode",
    "axes",
    "auto_pad",
)
INTS = st.one_of(
    st.integers(-3, 9), st.sampled_from([-(1 << 63), -(1 << 31), 1000, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1])
)
DIMS = st.one_of(st.integers(-1, 40), st.sampled_from([0, 1 << 20, 1 << 31, 1 << 62]))
FLOATS = st.sampled_from([0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), 0.5])
TYPES = st.integers(0, 26)


def one_of(draw: Draw, entries: Any) -> Any:
    """An entry of a field that may be empty."""
    return entries[draw(st.integers(0, len(entries) - 1))] if len(entries) else None


def tensors(model: onnx.ModelProto) -> list[str]:
    """Every name that is there, and one that is not."""
    graph = model.graph
    made = [name for node in graph.node for name in node.output]
    return [*made, *(entry.name for entry in (*graph.input, *graph.initializer)), "absent", ""]


def whole(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Weights that no mutation has broken yet."""
    found = []
    for tensor in model.graph.initializer:
        try:
            numpy_helper.to_array(tensor)
            found.append(tensor)
        except Exception:
            continue
    return found


def drop_node(model: onnx.ModelProto, draw: Draw) -> None:
    del model.graph.node[draw(st.integers(0, len(model.graph.node) - 1))]


def double_node(model: onnx.ModelProto, draw: Draw) -> None:
    model.graph.node.append(one_of(draw, model.graph.node))


def move_node(model: onnx.ModelProto, draw: Draw) -> None:
    node = onnx.NodeProto()
    node.CopyFrom(one_of(draw, model.graph.node))
    model.graph.node.insert(draw(st.integers(0, len(model.graph.node))), node)
    drop_node(model, draw)


def change_operator(model: onnx.ModelProto, draw: Draw) -> None:
    node = one_of(draw, model.graph.node)
    node.op_type = draw(st.sampled_from(OPERATORS))
    if draw(st.booleans()):
        del node.attribute[:]


def change_domain(model: onnx.ModelProto, draw: Draw) -> None:
    one_of(draw, model.graph.node).domain = draw(
        st.sampled_from(["ai.onnx", "com.microsoft", "ai.onnx.ml", "own", "\0"])
    )


def rewire(model: onnx.ModelProto, draw: Draw) -> None:
    node = one_of(draw, model.graph.node)
    names = node.input if draw(st.booleans()) else node.output
    if names:
        names[draw(st.integers(0, len(names) - 1))] = draw(st.sampled_from(tensors(model)))


def swap_inputs(model: onnx.ModelProto, draw: Draw) -> None:
    node = one_of(draw, model.graph.node)
    names = [*node.input][::-1]
    del node.input[:]
    node.input.extend(names)


def add_or_drop_input(model: onnx.ModelProto, draw: Draw) -> None:
    node = one_of(draw, model.graph.node)
    if draw(st.booleans()) or not node.input:
        node.input.append(draw(st.sampled_from(tensors(model))))
    else:
        del node.input[-1]


def add_or_drop_output(model: onnx.ModelProto, draw: Draw) -> None:
    node = one_of(draw, model.graph.node)
    if draw(st.booleans()):
        node.output.append(draw(st.sampled_from(["more", "", *tensors(model)])))
    elif node.output:
        del node.output[-1]


def change_attribute(model: onnx.ModelProto, draw: Draw) -> None:
    """Another value of the same kind."""
    entry = one_of(draw, [entry for node in model.graph.node for entry in node.attribute])
    if entry is None:
        return
    if entry.type == AttributeProto.INTS:
        values = draw(st.lists(INTS, max_size=5))
        if draw(st.booleans()) and len(entry.ints):
            entry.ints[draw(st.integers(0, len(entry.ints) - 1))] = draw(INTS)
        else:
            entry.ints[:] = values
    elif entry.type == AttributeProto.INT:
        entry.i = draw(INTS)
    elif entry.type == AttributeProto.FLOAT:
        entry.f = draw(FLOATS)
    elif entry.type == AttributeProto.STRING:
        entry.s = draw(st.binary(max_size=8))
    elif entry.type == AttributeProto.TENSOR:
        break_tensor(entry.t, draw)


def add_attribute(model: onnx.ModelProto, draw: Draw) -> None:
    value = draw(st.one_of(INTS, FLOATS, st.lists(INTS, min_size=1, max_size=4), st.text(max_size=4)))
    made = helper.make_attribute(draw(st.sampled_from(NAMES)), value)
    one_of(draw, model.graph.node).attribute.append(made)


def confuse_attribute(model: onnx.ModelProto, draw: Draw) -> None:
    """Another kind, name or field."""
    entry = one_of(draw, [entry for node in model.graph.node for entry in node.attribute])
    if entry is None:
        return
    how = draw(st.integers(0, 3))
    if how == 0:
        entry.type = draw(st.sampled_from(AttributeProto.AttributeType.values()))
    elif how == 1:
        entry.name = draw(st.sampled_from(NAMES))
    elif how == 2:
        entry.ref_attr_name = "outer"
    else:
        entry.floats.append(1.0)


def drop_attribute(model: onnx.ModelProto, draw: Draw) -> None:
    node = one_of(draw, [node for node in model.graph.node if node.attribute])
    if node is not None:
        del node.attribute[draw(st.integers(0, len(node.attribute) - 1))]


def break_tensor(tensor: onnx.TensorProto, draw: Draw) -> None:
    """Another type, shape, or number of values: claims that are false, mostly."""
    how = draw(st.integers(0, 6))
    if how == 0:
        tensor.data_type = draw(TYPES)
    elif how == 1:
        tensor.dims[:] = draw(st.lists(DIMS, max_size=5))
    elif how == 2 and len(tensor.dims):
        tensor.dims[draw(st.integers(0, len(tensor.dims) - 1))] = draw(DIMS)
    elif how == 3:
        tensor.raw_data = tensor.raw_data[: draw(st.integers(0, 64))]
    elif how == 4:
        tensor.float_data.append(1.0)
    elif how == 5:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=draw(st.sampled_from(["model.onnx", "../x", "/dev/zero", ""])))
    else:
        tensor.name = draw(st.sampled_from(["", "data", "\0", "x" * 2000, tensor.name + "_"]))


def break_weight(model: onnx.ModelProto, draw: Draw) -> None:
    tensor = one_of(draw, model.graph.initializer)
    if tensor is not None:
        break_tensor(tensor, draw)


def reshape_weight(model: onnx.ModelProto, draw: Draw) -> None:
    """A whole tensor of another shape, type or value: true claims, and graphs that do not fit together."""
    tensor = one_of(draw, whole(model))
    if tensor is None:
        return
    shape = draw(st.lists(st.integers(0, 9), max_size=5))
    kind = draw(st.sampled_from(["f4", "f2", "f8", "i8", "i4", "u1", "i1", "?"]))
    if draw(st.booleans()):
        shape, kind = list(tensor.dims), str(numpy_helper.to_array(tensor).dtype)
    value = draw(st.one_of(FLOATS, INTS))
    with np.errstate(all="ignore"):
        values = np.full(shape, value, object if abs(value) > 1e18 else None).astype("f8").astype(kind)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def change_value(model: onnx.ModelProto, draw: Draw) -> None:
    """One value of a constant of integers: shapes, axes, indices."""
    found = [tensor for tensor in whole(model) if tensor.data_type == TensorProto.INT64]
    tensor = one_of(draw, found)
    if tensor is not None:
        values = numpy_helper.to_array(tensor).copy()
        if values.size:
            values.flat[draw(st.integers(0, values.size - 1))] = draw(INTS)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def change_end(model: onnx.ModelProto, draw: Draw) -> None:
    """Type, shape or name of an input or output."""
    value = one_of(draw, [*model.graph.input, *model.graph.output])
    how = draw(st.integers(0, 3))
    if value is None:
        return
    if how == 0:
        value.type.tensor_type.elem_type = draw(TYPES)
    elif how == 1:
        shape = draw(st.lists(DIMS, max_size=5))
        del value.type.tensor_type.shape.dim[:]
        for size in shape:
            value.type.tensor_type.shape.dim.add(dim_value=size)
    elif how == 2:
        value.name = draw(st.sampled_from(tensors(model)))
    elif len(value.type.tensor_type.shape.dim):
        one_of(draw, value.type.tensor_type.shape.dim).dim_value = draw(DIMS)


def change_versions(model: onnx.ModelProto, draw: Draw) -> None:
    if draw(st.booleans()):
        model.ir_version = draw(st.integers(0, 20))
    elif model.opset_import:
        model.opset_import[0].version = draw(st.integers(0, 30))


def drop_or_double_end(model: onnx.ModelProto, draw: Draw) -> None:
    ends = draw(st.sampled_from([model.graph.input, model.graph.output]))
    if draw(st.booleans()) and len(ends):
        del ends[-1]
    elif len(ends):
        ends.append(ends[0])


MUTATIONS = (
    drop_node, double_node, move_node, change_operator, change_domain, rewire, swap_inputs, add_or_drop_input,
    add_or_drop_output, change_attribute, change_attribute, add_attribute, confuse_attribute, drop_attribute,
    break_weight, reshape_weight, change_value, change_end, change_versions, drop_or_double_end,
)  # fmt: skip


def corrupt(data: bytes, draw: Draw) -> bytes:
    """Flip, insert, drop or repeat some bytes."""
    at = draw(st.integers(0, max(0, len(data) - 1)))
    how = draw(st.integers(0, 3))
    if how == 0:
        return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :] if data else data
    if how == 1:
        return data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at:]
    if how == 2:
        return data[:at] + data[at + draw(st.integers(1, 40)) :]
    return data[: at + 20] + data[at:]


@st.composite
def files(draw: Draw) -> bytes:
    """A graph of another exporter, with one to three things wrong."""
    model = draw(st.sampled_from(MAKERS))()
    for mutate in draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        if len(model.graph.node):
            mutate(model, draw)
    data = model.SerializeToString()
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 3]))):
        data = corrupt(data, draw)
    return data
