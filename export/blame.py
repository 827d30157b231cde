"""Which node of a graph ONNX Runtime refuses, where its message does not say."""

from __future__ import annotations

import re

import onnx

from export.reference import open_reference
from export.validate import described
from runtime.errors import first_line

NAMED = re.compile(r"Name:'([^']+)'")


Nodes = dict[str, str]  # the name of each node, and of the first tensor that it makes: the node in a message


def nodes_of(model: onnx.ModelProto) -> Nodes:
    """What ONNX Runtime may call the nodes of a graph."""
    return {name: described(node) for node in model.graph.node for name in (*node.output[:1], node.name) if name}


def explained(error: Exception, nodes: Nodes) -> str:
    """What ONNX Runtime said, in a line, with the node: its optimizations rename it after what it makes."""
    said = first_line(error)
    found = NAMED.search(said)
    name = found[1].removesuffix("_nchwc") if found else ""
    return f"{nodes[name]}: {said}" if name in nodes and f"'{name}' (" not in said else said


def explained_opening(model: onnx.ModelProto, error: Exception) -> str:
    """The same for a graph, its nodes in order, that ONNX Runtime does not open: it often names no node then."""
    said, nodes = first_line(error), nodes_of(model)
    if NAMED.search(said) or any(name in said for name in nodes):
        return explained(error, nodes)
    node = first_refused(model)
    return said if node is None else f"{described(node)}: {said}"


def first_refused(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The last node of the shortest beginning of the graph that is refused; None where none is."""
    least, most = 0, len(model.graph.node)
    if opens(model, most):
        return None
    while least + 1 < most:
        middle = (least + most) // 2
        least, most = (middle, most) if opens(model, middle) else (least, middle)
    node: onnx.NodeProto = model.graph.node[most - 1]
    return node


def opens(model: onnx.ModelProto, count: int) -> bool:
    """Whether ONNX Runtime opens the graph of the first nodes alone."""
    beginning = onnx.ModelProto()
    beginning.CopyFrom(model)
    del beginning.graph.node[count:]
    made = {name: None for node in beginning.graph.node for name in node.output if name}
    taken = {name for node in beginning.graph.node for name in node.input}
    del beginning.graph.output[:]
    beginning.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in taken)
    try:
        open_reference(beginning)
    except Exception:  # ONNX Runtime has many kinds
        return False
    return True
