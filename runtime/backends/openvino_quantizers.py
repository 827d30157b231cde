"""Q/DQ pairs of an ONNX graph as OpenVINO's own quantizers, before it compiles the graph.

It reads a pair as FakeQuantize, Convert to int8, Convert, Subtract and Multiply. Where a Concat stands before one, it
moves the FakeQuantize to the Concat's inputs and forgets the scale: the tensor is rounded to whole numbers, and nothing
is said (seen with 2026.4.1). As one FakeQuantize, which is how its own tools write a pair, it takes the same way and
keeps the scale. Both give the same values.

x86 CPUs multiply unsigned integers by signed ones. TensorRT takes signed activations alone, so that is what a graph
holds; here they become unsigned: see `unsigned_range`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.cpu import X86, cpu_identity

if TYPE_CHECKING:
    import openvino as ov

LEVELS = 256
MOVES = frozenset({"MaxPool", "AvgPool", "ReduceMax", "ReduceMean", "Reshape", "Transpose", "Squeeze", "Unsqueeze"})
PARTS = frozenset({"Split", "VariadicSplit"})
PREPARES = frozenset({"Convert", "Add", "Subtract", "Multiply", "Divide", "Reshape", "Transpose"})
INTEGER_RANGES = {"i8": (-128, 127), "u8": (0, 255)}
# What activations give at least. A SiLU is a product, of a tensor and its own sigmoid.
LOWEST = {"Relu": 0.0, "Sigmoid": 0.0, "HardSigmoid": 0.0, "HSwish": -0.375, "Gelu": -0.1701}
LOWEST_SILU = -0.2785
GATES = frozenset({"Sigmoid", "HardSigmoid"})  # from 0 to 1
FLOATS = frozenset({"f16", "f32", "f64"})
# Whose values numpy knows; it gets others, such as bf16, as they are stored.
NUMBERS = FLOATS | {"i8", "u8", "i32", "i64"}


def fuse_quantizers(openvino: Any, model: ov.Model, floats: Collection[str] = ()) -> int:
    """Make one FakeQuantize of every pair, in place.

    Args:
        openvino: the package.
        model: as it was read.
        floats: names of nodes that multiply in float32; what goes to them alone is not quantized.

    Returns:
        How many pairs there were.
    """
    count = 0
    seen, lowest = depends_on_image(model), lowest_values(model)
    for multiply in model.get_ordered_ops():
        pair = find_pair(multiply) if multiply.get_type_name() == "Multiply" else None
        # One that is computed from shapes alone, such as a position's sine, is folded, which fails for a FakeQuantize.
        if pair is None or pair[0].get_friendly_name() not in seen:
            continue
        quantize, low, high = pair
        symmetric = np.isclose(low.item() * 127, high.item() * -128)
        # Other ranges may stand for a ReLU, which some tools leave to the quantizer's limits.
        if symmetric and feeds_alone(multiply.output(0), floats):
            hand_over(multiply.output(0), quantize.input_value(0))
            count += 1
            continue
        kind = quantize.get_output_element_type(0).to_dtype()
        given = [quantize.input_value(index) for index in range(3)]
        if symmetric:
            least = lowest.get(given[0].get_node().get_name(), -math.inf)  # of a quantizer that was just made
            low, high = (np.full_like(low, limit) for limit in unsigned_range(given[0], high.item() / 127, least))
            given[1:] = [openvino.opset13.constant(limit.astype(kind)) for limit in (low, high)]
        limits = [openvino.opset13.constant(limit.astype(kind)) for limit in (low, high)]
        fused = openvino.opset13.fake_quantize(*given, *limits, LEVELS)
        wanted = multiply.get_output_element_type(0)
        if wanted != fused.get_output_element_type(0):  # a float16 graph quantizes in float32
            fused = openvino.opset13.convert(fused, wanted.to_string())
        fused.set_friendly_name(multiply.get_friendly_name())
        hand_over(multiply.output(0), fused.output(0))
        count += 1
    if count:
        model.validate_nodes_and_infer_types()
    return count


def hand_over(old: ov.Output, new: ov.Output) -> None:
    """Whatever read one tensor reads another one."""
    for user in old.get_target_inputs():
        user.replace_source_output(new)


def feeds_alone(value: ov.Output, names: Collection[str]) -> bool:
    """Whether a tensor, moved or pooled or not, goes to nodes of these names, and nowhere else."""
    users = [(user.get_node(), user.get_index()) for user in value.get_target_inputs()]
    return bool(users) and all(
        node.get_friendly_name() in names
        or (node.get_type_name() in MOVES and index == 0 and feeds_alone(node.output(0), names))
        for node, index in users
    )


def unsigned_range(value: ov.Output, scale: float, lowest: float) -> tuple[float, float]:
    """What 256 levels of an activation that is quantized to int8 should span, so that they are uint8.

    What is never negative takes all levels for what int8 has 128 for, and so half the rounding error; what is hardly
    ever negative, as behind a SiLU, most of them. What else may be negative gets -127..128 steps instead of -128..127,
    with the same values between: only so does OpenVINO see a zero point. An image keeps its range, in which -128 is
    black.

    Args:
        value: the activation.
        scale: of one step of int8.
        lowest: what the activation is at least.
    """
    high = 127 * scale
    if lowest >= 0:
        return 0, high
    if cpu_identity()["machine"] not in X86:
        return -128 * scale, high
    zero = math.ceil((LEVELS - 1) / (1 - high / lowest))  # a whole number of steps
    if zero < 127:
        return -high * zero / (LEVELS - 1 - zero), high
    return (-128 * scale, high) if comes_from_image(value) else (-high, 128 * scale)


def lowest_values(model: ov.Model) -> dict[str, float]:
    """What every node gives at least, whatever the image, as far as the nodes say that make it, by its own name.

    What files call nodes may be the same of two.
    """
    lowest: dict[str, float] = {}
    for node in model.get_ordered_ops():
        given = [lowest[value.get_node().get_name()] for value in node.input_values()]
        lowest[node.get_name()] = lowest_of(node, given)
    return lowest


def lowest_of(node: ov.Node, given: Sequence[float]) -> float:
    """What a node gives at least; minus infinity where that is not known.

    Args:
        node: any.
        given: what each of its inputs is at least.
    """
    kind, values = node.get_type_name(), node.input_values()
    if kind in MOVES or kind in PARTS:
        return given[0]
    if kind == "Concat":
        return min(given)
    if kind in ("Maximum", "Minimum"):
        limits = [constant(value.get_node()) for value in values]
        known = [low if limit is None else float(limit.min()) for low, limit in zip(given, limits, strict=True)]
        return max(known) if kind == "Maximum" else min(known)
    if kind == "Multiply":
        for gate, other, low in ((values[0], values[1], given[1]), (values[1], values[0], given[0])):
            if gate.get_node().get_type_name() in GATES:
                own = gate.get_node().get_type_name() == "Sigmoid" and gate.get_node().input_value(0) == other
                return LOWEST_SILU if own else min(low, 0)
    return LOWEST.get(kind, -math.inf)


def comes_from_image(value: ov.Output) -> bool:
    """Whether a tensor is the image, moved, converted or normalized."""
    node = value.get_node()
    while node.get_type_name() in PREPARES:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Parameter")


def depends_on_image(model: ov.Model) -> set[str]:
    """The nodes whose values depend on the image's, and not on its shape alone, by name."""
    names: set[str] = set()
    for node in model.get_ordered_ops():
        given = {value.get_node().get_friendly_name() for value in node.input_values()}
        if node.get_type_name() == "Parameter" or (node.get_type_name() != "ShapeOf" and given & names):
            names.add(node.get_friendly_name())
    return names


def find_pair(multiply: ov.Node) -> tuple[ov.Node, NDArray[Any], NDArray[Any]] | None:
    """The FakeQuantize of the pair that ends here, and the smallest and largest value that the pair gives.

    None where this is no such pair, where its integers are not all of int8 or uint8, or its scale is not one number.
    """
    scale, node = constant(multiply.input_value(1).get_node()), multiply.input_value(0).get_node()
    zero: NDArray[Any] | None = np.zeros(1, np.float32)
    if node.get_type_name() == "Subtract":
        zero, node = constant(node.input_value(1).get_node()), node.input_value(0).get_node()
    if scale is None or zero is None or scale.size != 1 or zero.size != 1 or node.get_type_name() != "Convert":
        return None
    to_integers = node.input_value(0).get_node()
    if to_integers.get_type_name() != "Convert":
        return None
    limits = INTEGER_RANGES.get(to_integers.get_output_element_type(0).to_string())
    quantize = to_integers.input_value(0).get_node()
    if limits is None or quantize.get_type_name() != "FakeQuantize":
        return None
    given = [constant(quantize.input_value(index).get_node()) for index in (3, 4)]
    if any(one is None or one.size != 1 or one.item() != limit for one, limit in zip(given, limits, strict=True)):
        return None
    low, high = ((np.float32(limit) - zero.astype(np.float32)) * scale.astype(np.float32) for limit in limits)
    return quantize, low, high


def constant(node: ov.Node) -> NDArray[np.float32] | None:
    """The values of a constant, made float, shifted, scaled or reshaped; None of anything else."""
    kind, held = node.get_type_name(), node.get_output_element_type(0).to_string()
    if kind == "Constant":
        return np.asarray(node.data, np.float32) if held in NUMBERS else None
    if held not in FLOATS or kind not in ("Convert", "Subtract", "Multiply", "Reshape"):
        return None
    values = constant(node.input_value(0).get_node())
    if values is None or kind == "Convert":
        return values
    if kind == "Reshape":
        return values.reshape(node.get_output_shape(0))
    other = constant(node.input_value(1).get_node())
    if other is None:
        return None
    return values * other if kind == "Multiply" else values - other
