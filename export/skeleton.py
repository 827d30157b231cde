"""A graph without the values of its large constants: all that ONNX's own inference and rules look at, in a few kB.

Both copy a model whole, twice; that of AlexNet has 244 MB.
"""

from __future__ import annotations

import math

import onnx
from onnx import helper

from export.tensors import FEW


def skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, large constants and those in files beside it becoming inputs of their types and shapes."""
    small = onnx.ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
    small.functions.extend(model.functions)
    graph = small.graph
    graph.name = model.graph.name or "skeleton"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    inputs = {entry.name for entry in graph.input}
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL and math.prod(tensor.dims) <= FEW:
            graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return small


def infer(model: onnx.ModelProto, *, data_prop: bool = False) -> dict[str, onnx.TypeProto.Tensor]:
    """The types and shapes of all tensors that ONNX can tell, large constants included."""
    graph = onnx.shape_inference.infer_shapes(skeleton(model), data_prop=data_prop).graph
    return {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input, *graph.output)}
