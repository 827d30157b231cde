"""Names that people recognize, and nothing of the machine that exported the graph."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from export.graph import graphs_inside, rename

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
        for inside in graphs_inside(node):
            strip_graph(inside)


def strip(*holders: Any) -> None:
    """Clear the two fields that hold text for people."""
    for holder in holders:
        holder.ClearField("doc_string")
        holder.ClearField("metadata_props")


def name_turned_weights(model: onnx.ModelProto, parameters: Mapping[str, NDArray[np.float32]]) -> None:
    """Call a matrix after the parameter that it is the transpose of.

    PyTorch's exporter turns the weight of a Linear that reads more than two dimensions, and calls it by a number.

    Args:
        model: as it was exported, changed in place.
        parameters: of the module, by their paths; those of two dimensions count.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    unnamed = {
        node.input[1]: numpy_helper.to_array(constants[node.input[1]])
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants and "." not in node.input[1]
    }
    if not unnamed:
        return
    shapes = {matrix.shape for matrix in unnamed.values()}
    turned: dict[tuple[tuple[int, ...], bytes], list[str]] = {}  # untrained layers that were copied have equal weights
    for path, parameter in parameters.items():
        if parameter.ndim == 2 and parameter.T.shape in shapes and path not in constants:
            turned.setdefault(digest(parameter.T), []).append(path)
    renamed = {name: paths.pop(0) for name, matrix in unnamed.items() if (paths := turned.get(digest(matrix)))}
    for name, path in renamed.items():
        constants[name].name = path
    for node in model.graph.node:
        rename(node, renamed)


def digest(matrix: NDArray[np.float32]) -> tuple[tuple[int, ...], bytes]:
    """What two equal matrices have in common."""
    return matrix.shape, sha256(np.ascontiguousarray(matrix).tobytes()).digest()


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
