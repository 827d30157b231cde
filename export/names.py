"""Names that people recognize, and nothing of the machine that exported the graph."""

from __future__ import annotations

from typing import Any

import onnx

WEIGHTED = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1, "BatchNormalization": 1}


def strip_metadata(model: onnx.ModelProto) -> None:
    """Remove metadata and documentation everywhere: PyTorch writes paths of local sources into them."""
    strip(model)
    strip_graph(model.graph)


def strip_graph(graph: onnx.GraphProto) -> None:
    """The same for a graph and for the branches of its nodes."""
    strip(graph, *graph.node, *graph.initializer, *graph.input, *graph.output)
    del graph.value_info[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                strip_graph(attribute.g)


def strip(*holders: Any) -> None:
    """Clear the two fields that hold text for people."""
    for holder in holders:
        holder.ClearField("doc_string")
        holder.ClearField("metadata_props")


def name_layers(model: onnx.ModelProto) -> None:
    """Call a layer by the module path of its weight (`conv1.weight` makes `conv1`), any other node by its output.

    A layer from elsewhere, whose weight has no such path, keeps its name.
    """
    initializers = {initializer.name for initializer in model.graph.initializer}
    taken: set[str] = set()
    for node in model.graph.node:
        position = WEIGHTED.get(node.op_type)
        weight = node.input[position] if position is not None and len(node.input) > position else ""
        given = node.name if position is not None and not node.name.startswith("node_") else ""  # PyTorch's are numbers
        path = weight.removesuffix(".weight") if weight in initializers and "." in weight else ""
        wanted = path or given or node.output[0]
        name, count = wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        taken.add(name)
        node.name = name
