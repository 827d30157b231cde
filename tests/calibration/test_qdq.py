"""Q/DQ arithmetic and insertion."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper

from calibration.placement import plan
from calibration.qdq import REDUCED, insert_qdq, quantize_weight

weights = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=4), elements=st.floats(-1e4, 1e4, width=32)
)


@given(weights, st.data())
def test_a_weight_is_off_by_half_a_step_at_most(weight: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, weight.ndim - 1))
    values, scales = quantize_weight(weight, axis)
    assert values.dtype == np.int8
    assert (scales > 0).all()
    assert np.abs(values.astype(int)).max() <= 127
    shape = [1] * weight.ndim
    shape[axis] = -1
    step = scales.astype(np.float64).reshape(shape)
    error = np.abs(values * step - weight.astype(np.float64))
    assert (error <= step / 2 * (1 + 1e-4) + 1e-30).all()


@given(weights, st.data(), st.sampled_from([127, REDUCED]))
def test_clipping_makes_no_channel_worse_and_quantizing_again_changes_nothing(
    weight: np.ndarray, data: st.DataObject, limit: int
) -> None:
    axis = data.draw(st.integers(0, weight.ndim - 1))
    others = tuple(index for index in range(weight.ndim) if index != axis)
    shape = [1] * weight.ndim
    shape[axis] = -1
    errors = []
    for clip in (False, True):
        values, scales = quantize_weight(weight, axis, limit, clip=clip)
        assert values.dtype == np.int8 and np.abs(values.astype(int)).max() <= limit and (scales > 0).all()
        step = scales.astype(np.float64).reshape(shape)
        errors.append(np.square(values * step - weight).sum(axis=others))
        assert (np.rint((values * step).astype(np.float32) / step.astype(np.float32)) == values).all()
    assert (errors[1] <= errors[0]).all()


def test_clipping_gives_up_a_lonely_large_weight() -> None:
    weight = np.append(np.random.default_rng(0).normal(0, 1, 40_000), 6.0).astype(np.float32).reshape(1, -1)
    (plain,), (clipped,) = (quantize_weight(weight, 0, clip=clip)[1] for clip in (False, True))
    assert plain == np.float32(6 / 127) and 0.6 * plain <= clipped < 0.9 * plain


def test_the_reduced_range_uses_7_bits_and_no_pair_of_products_overflows_16_bits() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 500)).astype(np.float32)
    values, scales = quantize_weight(weight, 0, REDUCED)
    assert np.abs(values.astype(int)).max() == REDUCED
    assert 2 * REDUCED * 255 <= np.iinfo(np.int16).max < 2 * (REDUCED + 1) * 255
    assert np.abs(values * scales[:, None] - weight).max() <= scales.max() / 2 * (1 + 1e-4)


def test_rounds_half_to_even() -> None:
    values, scales = quantize_weight(np.array([[127.0, 0.5, 1.5, -0.5]], np.float32), 0)
    assert scales.tolist() == [1.0]
    assert values.tolist() == [[127, 0, 2, 0]]


def test_a_channel_of_zeros_has_scale_1_and_spoils_no_other() -> None:
    values, scales = quantize_weight(np.array([[0, 0], [254, -127]], np.float32), 0)
    assert scales.tolist() == [1, 2]
    assert values.tolist() == [[0, 0], [127, -64]]


@pytest.mark.parametrize("largest", [1e-45, 1e-44, 1e-40, 1.2e-38])
def test_a_channel_of_denormals_is_not_divided_by_zero(largest: float) -> None:
    weight = np.array([[largest, -largest], [1, 0]], np.float32)
    values, scales = quantize_weight(weight, 0)
    assert (scales >= np.finfo(np.float32).tiny).all()
    assert values[1].tolist() == [127, 0]
    assert np.abs(values[0] * scales[0].astype(np.float64) - weight[0]).max() <= scales[0] / 2


RESIDUAL = """<ir_version: 10, opset_import: ["" : 20]>
g (float[N,3] x) => (float[N,2] y)
<float[2,3] w = {0.5,-1,2,0.25,1,-0.75}, float[2] b = {0.1,0.2}, float[3,2] v = {1,2,3,4,5,6}, float[3] one = {1,1,1}> {
  t = Tanh(x)
  fc1 = Gemm<transB = 1>(t, w, b)
  kept = Mul(t, one)
  fc2 = MatMul(kept, v)
  y = Add(fc1, fc2)
}"""


@pytest.fixture
def model() -> onnx.ModelProto:
    parsed = onnx.parser.parse_model(RESIDUAL)
    for node in parsed.graph.node:
        node.name = node.output[0]
    return parsed


@pytest.fixture
def scales() -> dict[str, float]:
    return {name: float(np.float32(1 / 127)) for name in ("t", "kept")}


def test_insertion(model: onnx.ModelProto, scales: dict[str, float]) -> None:
    before = model.SerializeToString(deterministic=True)
    quantized = insert_qdq(model, plan(model), scales)
    nodes = {node.name: node for node in quantized.graph.node}
    constants = {entry.name: numpy_helper.to_array(entry) for entry in quantized.graph.initializer}
    assert model.SerializeToString(deterministic=True) == before
    assert Counter(node.op_type for node in quantized.graph.node) == {
        "QuantizeLinear": 2, "DequantizeLinear": 4, "Tanh": 1, "Gemm": 1, "Mul": 1, "MatMul": 1, "Add": 1
    }  # fmt: skip
    assert nodes["kept"].input[0] == "t"  # not a layer: it reads the float tensor
    assert nodes["fc1"].input[0] == "t/float"
    assert nodes["fc1"].input[2] == "b"
    assert "w" not in constants and "v" not in constants
    assert (constants["w/int8"].dtype, constants["w/scale"].shape, constants["v/scale"].shape) == (np.int8, (2,), (2,))
    assert all((constants[name] == 0).all() for name in constants if name.endswith("zero_point"))
    assert [nodes[f"{name}/dequantize"].attribute[0].i for name in ("w", "v")] == [0, 1]


def test_layers_keep_their_names_and_order(model: onnx.ModelProto, scales: dict[str, float]) -> None:
    quantized = insert_qdq(model, plan(model), scales)
    onnx.checker.check_model(quantized, full_check=True)
    kept = [node.name for node in quantized.graph.node if not node.op_type.endswith("Linear")]
    assert kept == [node.name for node in model.graph.node]
    assert len({node.name for node in quantized.graph.node}) == len(quantized.graph.node)
    assert (quantized.graph.input, quantized.graph.output) == (model.graph.input, model.graph.output)


def test_biases_stay_float_to_the_bit(model: onnx.ModelProto, scales: dict[str, float]) -> None:
    (before,), (after,) = (
        [entry for entry in graph.graph.initializer if entry.name == "b"]
        for graph in (model, insert_qdq(model, plan(model), scales))
    )
    assert before == after


@pytest.mark.parametrize(
    ("body", "axis", "channels"),
    [
        ("g (float[N,1,2,2] x) => (float[N,3,2,2] y) <float[3,1,1,1] w = {1,2,4}> { y = Conv(x, w) }", 0, [1, 2, 4]),
        (
            "g (float[N,2] x) => (float[N,3] y) <float[3,2] w = {1,0,2,0,4,0}> { y = Gemm<transB=1>(x, w) }",
            0,
            [1, 2, 4],
        ),
        ("g (float[N,2] x) => (float[N,3] y) <float[2,3] w = {1,2,4,0,0,0}> { y = Gemm(x, w) }", 1, [1, 2, 4]),
        ("g (float[N,2] x) => (float[N,3] y) <float[2,3] w = {1,2,4,0,0,0}> { y = MatMul(x, w) }", 1, [1, 2, 4]),
    ],
    ids=["Conv", "Gemm-transB", "Gemm", "MatMul"],
)
def test_each_output_channel_has_its_own_scale(body: str, axis: int, channels: list[float]) -> None:
    graph = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 20]>\n' + body)
    graph.graph.node[0].name = "y"
    scale = 0.01
    quantized = insert_qdq(graph, plan(graph), {"x": scale})
    constants = {entry.name: numpy_helper.to_array(entry) for entry in quantized.graph.initializer}
    (dequantize,) = (node for node in quantized.graph.node if node.input[0] == "w/int8")
    assert [(entry.name, entry.i) for entry in dequantize.attribute] == [("axis", axis)]
    assert constants["w/scale"].tolist() == pytest.approx([value / 127 for value in channels])
    assert np.sort(constants["w/int8"].ravel())[-3:].tolist() == [127, 127, 127]


def test_quantized_graph_answers_nearly_as_the_float_one(model: onnx.ModelProto, scales: dict[str, float]) -> None:
    quantized = insert_qdq(model, plan(model), scales)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    one, other = (
        ort.InferenceSession(graph.SerializeToString()).run(None, {"x": x})[0] for graph in (model, quantized)
    )
    difference = np.abs(one - other).max()
    assert 0 < difference < 0.01 * np.abs(one).max()


def test_equal_input_gives_equal_bytes(model: onnx.ModelProto, scales: dict[str, float]) -> None:
    first, second = (insert_qdq(model, plan(model), scales).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_a_shared_weight_is_stored_once() -> None:
    shared = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]>
        g (float[N,2] x) => (float[N,2] y)
        <float[2,2] w = {1,2,3,4}> { a = MatMul(x, w) t = Tanh(a) y = MatMul(t, w) }"""
    )
    for node in shared.graph.node:
        node.name = node.output[0]
    scale = 0.01
    quantized = insert_qdq(shared, plan(shared), {"x": scale, "t": scale})
    assert [entry.name for entry in quantized.graph.initializer].count("w/int8") == 1
    assert [node.input[0] for node in quantized.graph.node].count("w/int8") == 1
    assert [node.input[1] for node in quantized.graph.node if node.op_type == "MatMul"] == ["w/float", "w/float"]
