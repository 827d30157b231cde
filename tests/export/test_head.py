"""The softmax end: every graph gives probabilities, and keeps its logits."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.head import LOGITS, PROBABILITIES, add_softmax
from tests.export.graphs import answer, color_spec, in_bytes, normal, op_types, parse

TAKES = "float[batch,4] image"


def test_a_graph_of_logits_gets_a_softmax_over_the_classes() -> None:
    model = parse("logits = Identity (image)", "float[batch,4] logits", takes=TAKES)
    add_softmax(model, color_spec())
    onnx.checker.check_model(model, full_check=True)
    logits = 3 * normal(5, 4)
    (probabilities,) = answer(model, logits)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert np.array_equal(answer(model, logits, LOGITS)[0], logits)


def test_its_only_output_is_the_probabilities_of_the_classes() -> None:
    model = parse("logits = Identity (image)", "float[n,m] logits", takes=TAKES)
    add_softmax(model, color_spec())
    (output,) = model.graph.output
    assert output == helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", 4])
    assert model.graph.node[-1].name == "softmax"


def test_a_graph_of_probabilities_keeps_its_nodes() -> None:
    model = parse("probabilities = Softmax (image)", "float[batch,4] probabilities", takes=TAKES)
    before = in_bytes(model)
    add_softmax(model, color_spec(output_kind="probabilities"))
    assert op_types(model) == ["Softmax"]
    assert in_bytes(model) == before


def test_a_softmax_that_is_there_already_keeps_its_name() -> None:
    model = parse("weights = Softmax (image) logits = Identity (weights)", "float[batch,4] logits", takes=TAKES)
    model.graph.node[0].name = "softmax"
    add_softmax(model, color_spec())
    assert [node.name for node in model.graph.node].count("softmax") == 1
    assert answer(model, normal(5, 4))[0].shape == (5, 4)  # ONNX Runtime takes no two nodes of one name
