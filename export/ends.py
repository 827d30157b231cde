"""The ends of a classifier from elsewhere: what takes the image becomes float32 NCHW, what answers (batch, classes).

Each step changes the model in place.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.graph import attribute, consumers, producers
from runtime.errors import ModelError

IMAGES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8)
#: A number stays the same number behind them.
DRESSING = frozenset({"Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})


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
        raise ModelError(
            f"it has {len(inputs)} inputs ({names}), and a classifier has one",
            "wrap it in a module that takes images alone and holds the others as constants, and export that",
        )
    value: onnx.ValueInfoProto = inputs[0]
    shape, kind = shape_of(value), value.type.tensor_type.elem_type
    if not value.type.tensor_type.HasField("shape"):
        raise ModelError(f"its input '{value.name}' has no shape", "export it with one; open sides may have names")
    if kind not in IMAGES or len(shape) not in (2, 3, 4):
        name = TensorProto.DataType.Name(kind).lower()
        raise ModelError(
            f"its input '{value.name}' is {name} with {len(shape)} dimensions",
            "a classifier of images takes floating point or uint8, (batch, channels, height, width)",
        )
    return value


def take_four_sides(model: onnx.ModelProto, sides: tuple[int, ...]) -> None:
    """Put a Reshape behind a new input with four sides where the old one is (batch, height, width) or (batch, values).

    Args:
        model: the graph.
        sides: of an image, (channels, height, width).
    """
    graph = model.graph
    (old,) = graph.input
    batch, *inner = shape_of(old)
    if len(inner) == len(sides):
        return
    kind = old.type.tensor_type.elem_type
    new = helper.make_tensor_value_info(f"{old.name}_image", kind, [batch, *sides])
    shape = numpy_helper.from_array(
        np.array([0, *sides[1:]] if len(inner) > 1 else [0, -1], np.int64), f"{old.name}/shape"
    )
    graph.initializer.append(shape)
    nodes = [helper.make_node("Reshape", [new.name, shape.name], [old.name], f"{old.name}_reshaped"), *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    old.CopyFrom(new)


def channels_last(shape: tuple[int | None, ...]) -> bool:
    """Whether an input is (batch, height, width, channels), as TensorFlow has it."""
    return len(shape) == 4 and shape[1] not in (1, 3) and shape[3] in (1, 3)


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
    while maker.op_type in DRESSING and maker.input[0] in makers:
        maker = makers[maker.input[0]]
    if maker.op_type in ("ArgMax", "TopK"):
        raise ModelError(
            f"its output '{kept}' is the number of a class, from '{maker.name or maker.output[0]}' ({maker.op_type})",
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
