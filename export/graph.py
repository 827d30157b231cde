"""Small questions about an ONNX graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


def initializers(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Constants by name."""
    return {initializer.name: initializer for initializer in graph.initializer}


def producers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The node that makes each tensor."""
    return {output: node for node in graph.node for output in node.output if output}


def graphs_inside(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Such as the branches of an If."""
    return [graph for entry in node.attribute for graph in (*([entry.g] if entry.HasField("g") else []), *entry.graphs)]


def captured(node: onnx.NodeProto) -> Iterator[str]:
    """What the graphs inside a node take from around it."""
    for graph in graphs_inside(node):
        made = {value.name for value in (*graph.input, *graph.initializer)}
        made |= {name for inner in graph.node for name in inner.output}
        for inner in graph.node:
            yield from (name for name in (*inner.input, *captured(inner)) if name not in made)
        yield from (value.name for value in graph.output if value.name not in made)


def rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Let a node, and what is inside it, speak of tensors by other names."""
    for holder in (node.input, node.output):
        holder[:] = [names.get(name, name) for name in holder]
    for graph in graphs_inside(node):
        for inner in graph.node:
            rename(inner, names)
        for value in graph.output:
            value.name = names.get(value.name, value.name)


def consumers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that take each tensor, graphs inside included; a graph's output counts as an unnamed one."""
    used: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in (*node.input, *captured(node)):
            used[name].append(node)
    for output in graph.output:
        used[output.name].append(onnx.NodeProto())
    return used


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute's value, or the default where the node does not have it."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def value_info(name: str, kind: int | None) -> onnx.ValueInfoProto:
    """A tensor of any shape, float32 where its type is not known."""
    return helper.make_tensor_value_info(name, kind or onnx.TensorProto.FLOAT, None)


def names_of(graph: onnx.GraphProto) -> set[str]:
    """All that is called something: tensors and nodes, those of graphs inside too."""
    names = {entry.name for holder in (graph.node, graph.initializer, graph.input) for entry in holder}
    inside = (names_of(inner) for node in graph.node for inner in graphs_inside(node))
    return names.union(*(node.output for node in graph.node), *inside)


def free_name(wanted: str, taken: set[str], endings: Sequence[str] = ("",)) -> str:
    """A name that is not taken with any of some endings, and is from now on with each."""
    while not taken.isdisjoint(wanted + ending for ending in endings):
        wanted += "_"
    taken.update(wanted + ending for ending in endings)
    return wanted


def replace_initializer(graph: onnx.GraphProto, name: str, array: np.ndarray) -> None:
    """Give a constant another value, in its place."""
    initializers(graph)[name].CopyFrom(numpy_helper.from_array(array, name))
