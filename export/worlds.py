"""Shapes of a graph, and small values made from them, for one size of the batch: node by node, while it is changed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TypeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from export.graph import graphs_inside, initializers

MOST_VALUES = 64  # of a tensor that is worked out: sizes, axes and conditions have fewer


class World:
    """What is known of each tensor when the input has one given shape.

    Args:
        model: its initializers and opsets are taken.
        shape: of its one input, all numbers.
    """

    def __init__(self, model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
        (value,) = model.graph.input
        self.opsets = list(model.opset_import)
        self.versions = {entry.domain: entry.version for entry in self.opsets}
        self.types: dict[str, TypeProto] = {
            value.name: helper.make_tensor_type_proto(value.type.tensor_type.elem_type, shape)
        }
        self.values: dict[str, np.ndarray] = {}
        for tensor in initializers(model.graph).values():
            self.add_constant(tensor)

    def add_constant(self, tensor: onnx.TensorProto) -> None:
        """Know an initializer."""
        self.types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        if np.prod(tensor.dims, dtype=float) <= MOST_VALUES:
            self.values[tensor.name] = numpy_helper.to_array(tensor)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """All numbers; None where one is not known."""
        kind = self.types.get(name)
        if kind is None or not kind.tensor_type.HasField("shape"):
            return None
        dims = kind.tensor_type.shape.dim
        return tuple(entry.dim_value for entry in dims) if all(entry.HasField("dim_value") for entry in dims) else None

    def infer(self, node: onnx.NodeProto) -> dict[str, TypeProto]:
        """The types that a node would give, as far as they can be told."""
        given = [name for name in node.input if name]
        if any(name not in self.types for name in given):
            return {}
        try:
            schema = onnx.defs.get_schema(node.op_type, self.versions.get(node.domain, 1), node.domain)
            data = {name: numpy_helper.from_array(self.values[name]) for name in given if name in self.values}
            return dict(
                shape_inference.infer_node_outputs(
                    schema, node, {name: self.types[name] for name in given}, data, opset_imports=self.opsets
                )
            )
        except (
            onnx.defs.SchemaError,
            onnx.checker.ValidationError,
            shape_inference.InferenceError,
            RuntimeError,
            ValueError,
        ):
            return {}  # whoever needs the shape does without

    def add(self, node: onnx.NodeProto) -> None:
        """Know what a node gives: its shapes, and its values where it works on few of them."""
        made = self.infer(node)
        for name in node.output:
            self.types.pop(name, None)
            self.values.pop(name, None)
        self.types.update({name: kind for name, kind in made.items() if name in node.output})
        self.values.update(self.evaluate(node))

    def evaluate(self, node: onnx.NodeProto) -> dict[str, np.ndarray]:
        """The values that a node gives, where they are few and depend on nothing but shapes and constants."""
        if node.op_type == "Shape" and not node.domain:
            shape = self.shape(node.input[0])
            limits = {entry.name: entry.i for entry in node.attribute}
            if shape is None:
                return {}
            return {node.output[0]: np.array(shape[limits.get("start", 0) : limits.get("end", len(shape))], np.int64)}
        shapes = [self.shape(name) for name in node.output if name]
        if any(shape is None or np.prod(shape, dtype=float) > MOST_VALUES for shape in shapes):
            return {}
        if any(name and name not in self.values for name in node.input) or graphs_inside(node) or is_random(node):
            return {}
        try:
            given = {name: self.values[name] for name in node.input if name}
            answers = ReferenceEvaluator(node, opsets=self.versions).run(None, given)
        except Exception:  # the reference has bugs of its own; a value that is not known is never wrong
            return {}
        return {name: np.asarray(value) for name, value in zip(node.output, answers, strict=False) if name}


def is_random(node: onnx.NodeProto) -> bool:
    """Whether a node gives something else each time."""
    return node.op_type.startswith("Random") or node.op_type in ("Bernoulli", "Multinomial")


def add_all(worlds: Iterable[World], node: onnx.NodeProto) -> None:
    """Let several worlds know a node."""
    for world in worlds:
        world.add(node)
