"""Matrix products of INT8 as convolutions of one pixel, before OpenVINO compiles a graph.

Without VNNI, OpenVINO gives a product to a routine that reads 2 GB of weights a second on one core, and a convolution
to one that reads them as fast as memory gives them (15 GB/s, with 2026.4.1): docs/benchmarks.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.backends.openvino_quantizers import MOVES, constant, hand_over

if TYPE_CHECKING:
    import openvino as ov


def products_as_convolutions(openvino: Any, model: ov.Model) -> int:
    """Replace the products of a quantized tensor with stored INT8 weights, in place.

    Args:
        openvino: the package.
        model: with its quantizers fused.

    Returns:
        How many were replaced.
    """
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or node.get_attributes()["transpose_a"] or not quantized(node):
            continue
        ends, kind = node.get_output_partial_shape(0), node.get_output_element_type(0).to_string()
        if ends.rank.is_dynamic or sum(not end.is_static for end in ends) > 1 or kind != "f32":
            continue  # a reshape finds one length
        stored = stored_weights(node)
        if stored is None:
            continue
        product, answer = as_convolution(openvino.opset13, node.input_value(0), *stored)
        product.set_friendly_name(node.get_friendly_name())
        hand_over(node.output(0), answer.output(0))
        count += 1
    if count:
        model.validate_nodes_and_infer_types()
    return count


def quantized(product: ov.Node) -> bool:
    """Whether what a product multiplies with its weights comes from a quantizer, and was only moved or pooled since."""
    node = product.input_value(0).get_node()
    while node.get_type_name() in MOVES:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "FakeQuantize")


def stored_weights(product: ov.Node) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """A product's weights, int8 (outputs, inputs), and the scale of each output; None where it has no such."""
    multiply = product.input_value(1).get_node()
    if multiply.get_type_name() != "Multiply" or len(multiply.get_output_partial_shape(0)) != 2:
        return None
    node, scale = multiply.input_value(0).get_node(), constant(multiply.input_value(1).get_node())
    zero: Any = np.zeros(1)
    if node.get_type_name() == "Subtract":
        node, zero = node.input_value(0).get_node(), constant(node.input_value(1).get_node())
    source = node.input_value(0).get_node() if node.get_type_name() == "Convert" else node
    if source.get_type_name() != "Constant" or source.get_output_element_type(0).to_string() != "i8":
        return None
    if scale is None or zero is None or zero.any():
        return None
    weights = np.asarray(source.data)
    if not product.get_attributes()["transpose_b"]:
        weights, scale = weights.T, scale.T
    if scale.size > 1 and scale.shape != (len(weights), 1):
        return None
    return np.ascontiguousarray(weights), np.broadcast_to(scale, (len(weights), 1)).astype(np.float32)


def as_convolution(
    ops: Any, given: ov.Output, weights: NDArray[np.int8], scales: NDArray[np.float32]
) -> tuple[ov.Node, ov.Node]:
    """The product (..., inputs) x weights^T: the convolution, and its answer in the product's shape.

    Rows of a batch are the rows of one image, which is fastest; others, such as tokens, are images of one pixel each,
    which moves nothing.
    """
    outputs, inputs = weights.shape

    def reshaped(value: ov.Output | ov.Node, *ends: int) -> ov.Node:
        return ops.reshape(value, np.array(ends, np.int64), True)

    ends = list(given.get_partial_shape())[:-1]
    batch = len(ends) == 1
    kernel = ops.convert(ops.constant(weights.reshape(outputs, inputs, 1, 1)), "f32")
    kernel = ops.multiply(kernel, ops.constant(scales.reshape(outputs, 1, 1, 1)))
    value = ops.transpose(given, np.array([1, 0])) if batch else given
    value = reshaped(value, 1, inputs, -1, 1) if batch else reshaped(value, -1, inputs, 1, 1)
    product = ops.convolution(value, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    if batch:
        return product, ops.transpose(reshaped(product, outputs, -1), np.array([1, 0]))
    return product, reshaped(product, *(end.get_length() if end.is_static else -1 for end in ends), outputs)
