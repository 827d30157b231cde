"""Which tensor of a graph is which of another one: by what stands between them and the layers, not by name alone.

Names of tensors are mostly numbers, and one more operation in one graph would shift them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import onnx

from calibration.layers import constant_tensors
from export.float16 import typed_tensors
from export.front import IMAGE
from export.graph import producers

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
ROUNDS = ("QuantizeLinear", "DequantizeLinear", "Cast")


def pair_tensors(a: onnx.ModelProto, b: onnx.ModelProto, known: Mapping[str, str]) -> dict[str, str]:
    """The tensors of two graphs that belong together, in the order of the first one.

    Args:
        a: a graph.
        b: another one.
        known: what belongs together for sure: what layers read and give, the image.

    Returns:
        Tensors of `b` by those of `a`: those that are known, and what the same operation makes of them. Of several
        operands one has to be known, and none may be another one.
    """
    pairs = {IMAGE: IMAGE, **known}
    taken = set(pairs.values())
    candidates: dict[tuple[str, int], list[tuple[str, list[str]]]] = defaultdict(list)
    for output, operation, operands in steps(b):
        candidates[operation, len(operands)].append((output, operands))
    for output, operation, operands in steps(a):
        if output in pairs:
            continue
        wanted = [pairs.get(name) for name in operands]
        fitting = [
            name
            for name, theirs in candidates[operation, len(operands)]
            if name not in taken and any(wanted) and fits(wanted, theirs, taken)
        ]
        if fitting:
            pairs[output] = output if output in fitting else fitting[0]
            taken.add(pairs[output])
    return pairs


def fits(wanted: list[str | None], theirs: list[str], taken: set[str]) -> bool:
    """Whether operands are those that are wanted; one that is not known may be any that belongs to nothing yet."""
    return all(name == want if want else name not in taken for want, name in zip(wanted, theirs, strict=True))


def steps(model: onnx.ModelProto) -> list[tuple[str, str, list[str]]]:
    """The first output of each node that images change, its operation, and what it works on, before it was rounded."""
    made_by, constants = producers(model.graph), constant_tensors(model.graph)
    return [
        (node.output[0], node.op_type, [before_rounding(name, made_by) for name in node.input if name not in constants])
        for node in model.graph.node
        if node.op_type not in ROUNDS and node.output[0] not in constants
    ]


def before_rounding(name: str, made_by: Mapping[str, onnx.NodeProto]) -> str:
    """The tensor that was quantized or converted."""
    while name in made_by and made_by[name].op_type in ROUNDS:
        name = made_by[name].input[0]
    return name


def float_tensors(model: onnx.ModelProto) -> dict[str, str]:
    """The operation that gives each float tensor that images change, in the order of the graph; none that rounds."""
    types, constants = typed_tensors(model), constant_tensors(model.graph)
    return {
        name: node.op_type
        for node in model.graph.node
        for name in node.output
        if node.op_type not in ROUNDS and types.get(name) in FLOATS and name not in constants
    }
