"""Which node of a graph ONNX Runtime refuses or dies of, where it does not say."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from export.adopt import take_constants_out
from export.describe import described
from export.onnx_source import read_onnx
from export.reference import open_reference
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
    if NAMED.search(said) or any(f"({name})" in said or f'"{name}"' in said for name in nodes):
        return explained(error, nodes)
    node = first_refused(model)
    return said if node is None else f"{described(node)}: {said}"


def first_refused(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The last node of the shortest beginning of the graph that ONNX Runtime does not open; None where it opens all."""

    def refused(part: onnx.ModelProto) -> bool:
        try:
            open_reference(part)
        except Exception:  # ONNX Runtime has many kinds
            return True
        return False

    return first_bad(model, refused)


def first_crashing(path: Path) -> str:
    """The node near which ONNX Runtime crashes, with its operator, as child processes find out; empty for none."""
    model = read_onnx(path)
    take_constants_out(model)
    node = first_bad(model, crashes)
    return "" if node is None else described(node)


def first_bad(model: onnx.ModelProto, bad: Callable[[onnx.ModelProto], bool]) -> onnx.NodeProto | None:
    """The last node of the shortest beginning of the graph that is bad; None where the whole is not."""
    least, most = 0, len(model.graph.node)
    if not bad(beginning(model, most)):
        return None
    while least + 1 < most:
        middle = (least + most) // 2
        least, most = (least, middle) if bad(beginning(model, middle)) else (middle, most)
    node: onnx.NodeProto = model.graph.node[most - 1]
    return node


def beginning(model: onnx.ModelProto, count: int) -> onnx.ModelProto:
    """The graph of the first nodes alone; what none of them takes are its outputs."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.node[count:]
    taken = {name for node in part.graph.node for name in node.input}
    made = (name for node in part.graph.node for name in node.output if name)
    del part.graph.output[:]
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in taken)
    return part


def crashes(model: onnx.ModelProto) -> bool:
    """Whether a process dies that opens a graph and runs it on zeros."""
    child = os.fork()
    if not child:
        try:
            session = open_reference(model)
            session.run(None, {entry.name: zeros(entry.type, entry.shape) for entry in session.get_inputs()})
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def zeros(kind: str, shape: list[int | str | None]) -> np.ndarray:
    """Of a type as ONNX Runtime calls it; open sides are 2."""
    dtype = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(kind, np.float32)
    return np.zeros([size if isinstance(size, int) and size > 0 else 2 for size in shape], dtype)
