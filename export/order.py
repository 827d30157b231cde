"""The nodes of an ONNX graph from elsewhere in order, each behind those that it needs."""

from __future__ import annotations

import heapq

import onnx

from export.describe import described, shown
from export.graph import captured
from runtime.errors import ModelError

MOST_EDGES = 200_000


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those that it needs.

    Raises:
        ModelError: two make the same tensor, one needs what nobody makes, or needs itself in the end.
    """
    given = {entry.name for entry in (*graph.input, *graph.initializer)}
    if len({entry.name for entry in graph.input}) < len(graph.input):
        raise ModelError("two of its inputs have the same name", "export it again")
    makers: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in makers or name in given:
                other = described(graph.node[makers[name]]) if name in makers else "an input or a weight"
                raise ModelError(f"{described(node)} makes {shown(name)}, as does {other}", "export it again")
            makers[name] = index
    needs = [set(filter(None, (*node.input, *captured(node)))) - given for node in graph.node]
    if sum(len(node.input) for node in graph.node) > MOST_EDGES:
        raise ModelError(f"its nodes have more than {MOST_EDGES:,} inputs", "give a classifier")
    for node, names in zip(graph.node, needs, strict=True):
        for name in sorted(names - makers.keys()):
            raise ModelError(f"{described(node)} needs {shown(name)}, which nothing makes", "export it again")
    for entry in graph.output:
        if entry.name not in makers and entry.name not in given:
            raise ModelError(f"its output {shown(entry.name)} is made by nothing", "export it again")
    order = in_order([{makers[name] for name in names} for names in needs])
    if len(order) < len(needs):
        index = next(iter(set(range(len(needs))) - set(order)))
        for _ in needs:  # back along what is missing: in the end it goes round
            index = next(makers[name] for name in sorted(needs[index]) if makers[name] not in set(order))
        raise ModelError(f"{described(graph.node[index])} needs its own output in the end", "export it again")
    if order != sorted(order):
        nodes = [graph.node[index] for index in order]
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def in_order(needs: list[set[int]]) -> list[int]:
    """Indices, each behind those that it needs, else as they came; those on a ring are left out."""
    users: dict[int, list[int]] = {}
    for index, needed in enumerate(needs):
        for other in needed:
            users.setdefault(other, []).append(index)
    missing = [len(needed) for needed in needs]
    ready = [index for index, count in enumerate(missing) if not count]
    order = []
    while ready:
        order.append(heapq.heappop(ready))
        for user in users.get(order[-1], ()):
            missing[user] -= 1
            if not missing[user]:
                heapq.heappush(ready, user)
    return order
