"""What OpenVINO's runtime model tells: the type that each layer is executed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.backend import WINOGRAD

if TYPE_CHECKING:
    import openvino as ov

INTEGER_TYPES = ("i8", "u8")
# They hold or move values, and compute none.
MOVING_TYPES = frozenset({"Const", "Convert", "Input", "Output", "Reorder", "Reshape", "Transpose"})
# OpenVINO's name for the scaling that it moves behind a matrix product once that takes integers.
TURNED = "/transpose_b"
SCALED_AFTERWARDS = ("/DequantizationMultiply", "/WithoutBiases/DequantizationMultiply")
#: Our name for the product that does a convolution's work, behind the convolution's.
BY_TILES = "/by_tiles"
PRODUCTS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})


def executed_types(compiled: ov.CompiledModel) -> dict[str, str]:
    """The type of each layer, from the runtime model. A node made of several layers speaks for all of them.

    A `Subgraph` does not: it is code generated for a chain of layers (lenet's last ones, on one thread), and its type
    is that of its float ends, while the matrix products inside may take integers. A layer in there is INT8 where its
    scaling was moved behind it; where that does not show and integers come in, the type is unknown.
    """
    products: dict[str, str] = {}
    others: dict[str, str] = {}  # such as the scaling behind a product, which may have its name
    for node in compiled.get_runtime_model().get_ops():
        if runtime_info(node, "layerType") in MOVING_TYPES:
            continue
        layers = runtime_info(node, "originalLayersNames").split(",")
        precision = runtime_info(node, "runtimePrecision")
        executed = "int8" if precision in INTEGER_TYPES else {"f32": "fp32", "f16": "fp16"}.get(precision, precision)
        chain = runtime_info(node, "layerType") == "Subgraph" and any(
            runtime_info(value.get_node(), "runtimePrecision") in INTEGER_TYPES for value in node.input_values()
        )
        # A matrix product may have lost its name to its scaling, and its weight's turning still has it.
        turned = [value.get_node().get_friendly_name() for value in node.input_values()] if not chain else []
        layers += [name.removesuffix(TURNED) for name in turned if name.endswith(TURNED)]
        for layer in filter(None, layers):
            if not chain:
                types = products if runtime_info(node, "layerType") in PRODUCTS else others
                kind = WINOGRAD if layer.endswith(BY_TILES) and executed == "fp32" else executed
                types[layer] = types[without_additions(layer)] = kind
            else:
                others[layer] = "int8" if any(layer + suffix in layers for suffix in SCALED_AFTERWARDS) else "unknown"
    return {**others, **products}


def without_additions(name: str) -> str:
    """The layer that a node with this name is of: OpenVINO takes scaling and bias out of it, and we its product."""
    for addition in ("/DequantizationMultiply", BY_TILES, "/WithoutBiases"):
        name = name.removesuffix(addition)
    return name


def runtime_info(node: ov.Node, key: str) -> str:
    """What the runtime model notes about a node; empty where it notes nothing."""
    info = node.get_rt_info()
    return str(info[key].astype(str)) if key in info else ""
