"""The softmax end: every graph gives probabilities."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from runtime.spec import ModelSpec

LOGITS = "logits"
PROBABILITIES = "probabilities"


def add_softmax(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Append a Softmax to a graph that gives logits, in place; the tensor `logits` stays in it."""
    graph = model.graph
    if spec.output_kind == "logits":
        taken = {node.name for node in graph.node}
        name = "softmax" if "softmax" not in taken else f"{LOGITS}/softmax"  # attention has some of that name
        graph.node.append(helper.make_node("Softmax", [LOGITS], [PROBABILITIES], name, axis=-1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", spec.classes]))
