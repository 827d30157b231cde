"""If nodes whose condition is settled by constants and shapes: their branch takes their place.

PyTorch's older exporter wrote one for every `squeeze`: "is this side 1?" is a question that an image's size answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import onnx

from export.graph import attribute, graphs_inside, rename
from export.worlds import World, add_all
from runtime.errors import ModelError


def inline_branches(model: onnx.ModelProto, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Replace every If by its branch, in place.

    Args:
        model: with one input; branches may stand in branches.
        shapes: of the input, for several batches: a condition that they do not agree on is not settled.

    Returns:
        Whether there was one.

    Raises:
        ModelError: a condition is not settled, or a node has another kind of graph inside, as Loop and Scan have.
    """
    graph = model.graph
    if not any(graphs_inside(node) for node in graph.node):
        return False
    worlds = [World(model, shape) for shape in shapes]
    waiting, kept = deque(graph.node), []
    taken = {name for node in graph.node for name in node.output} | {tensor.name for tensor in graph.initializer}
    while waiting:
        node = waiting.popleft()
        if not graphs_inside(node):
            add_all(worlds, node)
            kept.append(node)
            continue
        branch = settled_branch(node, worlds)
        nodes, constants = spliced(node, branch, taken)
        taken.update(name for inner in nodes for name in inner.output)
        taken.update(tensor.name for tensor in constants)
        graph.initializer.extend(constants)
        for world in worlds:
            for tensor in constants:
                world.add_constant(tensor)
        waiting.extendleft(reversed(nodes))
    del graph.node[:]
    graph.node.extend(kept)
    return True


def settled_branch(node: onnx.NodeProto, worlds: Sequence[World]) -> onnx.GraphProto:
    """The branch that an If takes in all worlds.

    Raises:
        ModelError: it is no If, or takes different ones, or nobody can tell.
    """
    name = f"its node '{node.name or node.output[0]}' ({node.op_type})"
    if node.op_type != "If" or node.domain:
        raise ModelError(f"{name} has a graph inside", "export it without loops: in evaluation mode")
    conditions = {bool(world.values[node.input[0]]) if node.input[0] in world.values else None for world in worlds}
    if len(conditions) > 1 or None in conditions:
        why = "depends on the size of the batch" if None not in conditions else "is not settled by constants and shapes"
        raise ModelError(
            f"{name} has a graph inside, and its condition {why}",
            "export it without: in evaluation mode, with conditions that are constants",
        )
    branch: onnx.GraphProto = attribute(node, "then_branch" if conditions.pop() else "else_branch", None)
    if branch is None or len(branch.output) != len(node.output):
        raise ModelError(f"{name} lacks a branch that gives what it gives", "export it again")
    return branch


def spliced(
    node: onnx.NodeProto, branch: onnx.GraphProto, taken: set[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """A branch's nodes and constants, by names that are free, giving what the If gave."""
    made = {name for inner in branch.node for name in inner.output if name} | {t.name for t in branch.initializer}
    renamed: dict[str, str] = {}
    for name in made:
        new = name
        while new in taken:
            new = f"{node.output[0]}/{new}"
        renamed[name] = new
    nodes = []
    for inner in branch.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(inner)
        rename(copy, renamed)
        nodes.append(copy)
    constants = []
    for tensor in branch.initializer:
        copied = onnx.TensorProto()
        copied.CopyFrom(tensor)
        copied.name = renamed[tensor.name]
        constants.append(copied)
    for outer, given in zip(node.output, branch.output, strict=True):
        nodes.append(onnx.helper.make_node("Identity", [renamed.get(given.name, given.name)], [outer]))
    return nodes, constants
