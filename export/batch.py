"""A batch that was fixed when a model was exported, opened.

Such a graph names its batch not only at the input: a Reshape has it in its target, a token of one row is concatenated,
the sizes of a Resize begin with it. So shapes are told node by node for two sizes of the batch. Where the two differ
lies a tensor's batch; a node that does not follow is changed so that it does. Nothing is proved by that: the answers
are compared with those of the original afterwards, one image at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.graph import attribute, initializers
from export.worlds import World, add_all

# They move and repeat values, and make none but ConstantOfShape.
SPREADING = frozenset(
    ["ConstantOfShape", "Expand", "Tile", "Concat", "Slice", "Unsqueeze", "Squeeze", "Transpose", "Reshape", "Identity"]
)
ZERO = numpy_helper.from_array(np.zeros(1, np.float32))


class Opening:
    """A graph while its batch is being opened.

    Attributes:
        graph: the graph.
        fixed: its shapes with the batch that it was exported for.
        more: the same with twice as many images.
        nodes: those that are done, in order.
        makers: the one that makes each tensor.
        outer: how often a side holds the batch, where that is not once: 197 for a side of the first row of all images,
            then the second row of all, ...; a side of 64 windows of the first image, then of the next, holds it once.
    """

    def __init__(self, model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
        self.graph = model.graph
        self.image = model.graph.input[0].name
        self.batch = shape[0]
        self.fixed, self.more = World(model, shape), World(model, (2 * shape[0], *shape[1:]))
        self.nodes: list[onnx.NodeProto] = []
        self.makers: dict[str, onnx.NodeProto] = {}
        self.outer: dict[str, int] = {}
        self.constants = initializers(model.graph)

    def axis(self, name: str) -> int | None:
        """Where a tensor's batch lies; None where it has none, or its shape is not known."""
        few, many = self.fixed.shape(name), self.more.shape(name)
        if few is None or many is None or len(few) != len(many):
            return None
        return next((index for index, (one, other) in enumerate(zip(few, many, strict=True)) if one != other), None)

    def add(self, node: onnx.NodeProto) -> None:
        """Take a node as it is now."""
        add_all((self.fixed, self.more), node)
        self.nodes.append(node)
        self.makers.update(dict.fromkeys(node.output, node))
        inherited = {self.side(name): self.outer[name] for name in node.input if name in self.outer}
        for name in node.output:
            if name not in self.outer and self.side(name) in inherited:
                self.outer[name] = inherited[self.side(name)]

    def side(self, name: str) -> int:
        """The length of the side that holds the batch; 0 where none does."""
        axis, shape = self.axis(name), self.fixed.shape(name)
        return 0 if axis is None or shape is None else shape[axis]

    def is_zero(self, name: str) -> bool:
        """Whether a tensor is made of zeros, however they were spread out."""
        if name in self.constants:
            return not numpy_helper.to_array(self.constants[name]).any()
        maker = self.makers.get(name)
        if maker is None or maker.op_type not in SPREADING:
            return False
        if maker.op_type == "ConstantOfShape":
            return not np.any(numpy_helper.to_array(attribute(maker, "value", ZERO)))
        given = maker.input if maker.op_type == "Concat" else maker.input[:1]
        return all(self.is_zero(part) for part in given)

    def constant(self, name: str, values: Sequence[int]) -> str:
        """A new initializer of whole numbers."""
        tensor = numpy_helper.from_array(np.array(values, np.int64), name)
        self.graph.initializer.append(tensor)
        for world in (self.fixed, self.more):
            world.add_constant(tensor)
        return name

    def vector(self, name: str, values: Sequence[int], place: int, source: str) -> str:
        """Whole numbers, as a tensor of the graph, with the size of the batch in one place.

        It is read off `source` where that has the batch first: of the image, which then had one more reader, the front
        could not be folded into the first layer.
        """
        shape = self.fixed.shape(source)
        if self.axis(source) != 0 or shape is None or shape[0] != self.batch:
            source = self.image
        self.add(helper.make_node("Shape", [source], [f"{name}/shape"], f"{name}/shape"))
        first = self.constant(f"{name}/first", [0])
        self.add(helper.make_node("Gather", [f"{name}/shape", first], [f"{name}/batch"], f"{name}/batch", axis=0))
        parts = [
            self.constant(f"{name}/before", values[:place]),
            f"{name}/batch",
            self.constant(f"{name}/after", values[place + 1 :]),
        ]
        self.add(helper.make_node("Concat", parts, [name], name, axis=0))
        return name


def open_batch(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Let a graph take any batch, as far as that can be done node by node, in place.

    Args:
        model: with one input and no graphs inside its nodes, opset 13 or newer.
        shape: of the input, all numbers, the fixed batch first.
    """
    opening = Opening(model, shape)
    for node in model.graph.node:
        if not node.domain and node.op_type in FOLLOW:
            FOLLOW[node.op_type](opening, node)
        opening.add(node)
    del model.graph.node[:]
    model.graph.node.extend(opening.nodes)


def follow_reshape(opening: Opening, node: onnx.NodeProto) -> None:
    """Leave the batch open in a target that names it."""
    axis, given = opening.axis(node.input[0]), opening.fixed.shape(node.input[0])
    fixed, more = (shape_in(world.infer(node).get(node.output[0])) for world in (opening.fixed, opening.more))
    if axis is None or given is None or fixed is None:
        return
    before = prod(given[:axis]) * opening.outer.get(node.input[0], 1)
    target = [*fixed]
    if len(target) == 1 and before == 1 and opening.batch == 1:
        target = [1, *target]  # `x.view(-1)` of one image
    place = batch_place(before, target)
    outer = before // prod(target[:place])
    if outer > 1:
        opening.outer[node.output[0]] = outer
    if more == tuple(size * (2 if index == place else 1) for index, size in enumerate(target)):
        return
    target[place] = -1
    node.input[1] = opening.constant(f"{node.output[0]}/shape", target)
    del node.attribute[:]  # allowzero: no side is 0


def batch_place(before: int, target: Sequence[int]) -> int:
    """The side of a Reshape's target that takes in the batch.

    Elements keep their order, so it is the side that begins where the batch began, or that holds this place. Where that
    is the last of several, it is the one before: a batch multiplies rows, not what a row holds.

    Args:
        before: how many elements an image's batch stands behind.
        target: the sides for the fixed batch.
    """
    places = [place for place in range(len(target)) if prod(target[:place]) <= before]
    place = next((place for place in places if prod(target[:place]) == before), places[-1])
    last = len(target) - 1
    return last - 1 if place == last > 0 and target[last] != 1 else place


def shape_in(kind: onnx.TypeProto | None) -> tuple[int, ...] | None:
    """The shape in a type, all numbers; None where one is not known."""
    if kind is None or not all(entry.HasField("dim_value") for entry in kind.tensor_type.shape.dim):
        return None
    return tuple(entry.dim_value for entry in kind.tensor_type.shape.dim)


def follow_flatten(opening: Opening, node: onnx.NodeProto) -> None:
    """Keep images apart where one was flattened whole."""
    if opening.axis(node.input[0]) == 0 and attribute(node, "axis", 1) == 0:
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("axis", 1))


def follow_squeeze(opening: Opening, node: onnx.NodeProto) -> None:
    """Keep a batch of 1 where all sides of 1 are dropped, or that one is named."""
    axis, shape = opening.axis(node.input[0]), opening.fixed.shape(node.input[0])
    if axis is None or shape is None or opening.batch != 1 or shape[axis] != 1:
        return
    axes = list(range(len(shape)))
    if len(node.input) > 1 and node.input[1]:
        named = opening.fixed.values.get(node.input[1])
        if named is None:
            return
        axes = sorted(int(index) % len(shape) for index in named.reshape(-1))
    kept = [index for index in axes if shape[index] == 1 and index != axis]
    del node.input[1:]
    if kept:
        node.input.append(opening.constant(f"{node.output[0]}/axes", kept))
    else:
        node.op_type = "Identity"


def follow_concat(opening: Opening, node: onnx.NodeProto) -> None:
    """Repeat a constant of one row, such as a class token, for every image."""
    axes = {opening.axis(name) for name in node.input} - {None}
    along = attribute(node, "axis", 0)
    if len(axes) != 1 or opening.batch != 1:
        return
    (axis,) = axes
    of_images = next(name for name in node.input if opening.axis(name) is not None)
    for index, name in enumerate(node.input):
        shape = opening.fixed.shape(name)
        if axis is None or shape is None or opening.axis(name) is not None or along % len(shape) == axis:
            continue
        repeats = opening.vector(f"{node.output[0]}/repeats{index}", [1] * len(shape), axis, of_images)
        repeated = f"{node.output[0]}/repeated{index}"
        opening.add(helper.make_node("Tile", [name, repeats], [repeated], repeated))
        node.input[index] = repeated


def follow_resize(opening: Opening, node: onnx.NodeProto) -> None:
    """Let the sizes of a Resize begin with the batch."""
    sizes = opening.fixed.values.get(node.input[3]) if len(node.input) > 3 and node.input[3] else None
    if sizes is None or opening.axis(node.input[0]) != 0 or len(sizes) < 3 or sizes[0] != opening.batch:
        return
    node.input[3] = opening.vector(f"{node.output[0]}/sizes", [int(size) for size in sizes], 0, node.input[0])


def follow_recurrent(opening: Opening, node: onnx.NodeProto) -> None:
    """Drop a first state of zeros, which is what a network without one begins with."""
    for index in (5, 6):
        if len(node.input) > index and opening.is_zero(node.input[index]):
            node.input[index] = ""


FOLLOW: dict[str, Callable[[Opening, onnx.NodeProto], None]] = {
    "Reshape": follow_reshape,
    "Flatten": follow_flatten,
    "Squeeze": follow_squeeze,
    "Concat": follow_concat,
    "Resize": follow_resize,
    "LSTM": follow_recurrent,
    "GRU": follow_recurrent,
    "RNN": follow_recurrent,
}
