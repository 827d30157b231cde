"""Float16 graphs: what is converted, what is not, and one Cast where they meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from export.float16 import scale_front, to_float16
from export.front import FRONT_OFFSET_OUTPUT, FRONT_SCALED_OUTPUT
from export.reference import open_reference
from tests.export.graphs import answer, constant_names, distance, normal, op_types, parse

FLOATS = "float[batch,4] image"
OUTPUT = "float[batch,4] y"


def types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}


def test_layers_and_their_constants_are_float16_and_the_ends_stay_float32() -> None:
    model = parse("[a] t = Gemm (image, w, b) [c] y = Tanh (t)", OUTPUT, takes=FLOATS, w=normal(4, 4), b=normal(4))
    before = model.SerializeToString(deterministic=True)
    half, kept = to_float16(model, {})
    assert model.SerializeToString(deterministic=True) == before
    assert kept == {}
    assert op_types(half) == ["Cast", "Gemm", "Tanh", "Cast"]
    assert [node.name for node in half.graph.node if node.op_type in ("Gemm", "Tanh")] == ["a", "c"]
    assert {entry.data_type for entry in half.graph.initializer} == {TensorProto.FLOAT16}
    assert (types(half)["t"], types(half)["y"], types(half)["image"]) == (10, 1, 1)
    images = normal(32, 4)
    assert 0 < distance(answer(model, images)[0], answer(half, images)[0]) < 2e-3


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_softmax_stays_float32_between_two_casts(operator: str) -> None:
    model = parse(
        f"[a] t = Gemm (image, w) [s] u = {operator} (t) [b] y = Gemm (u, w)", OUTPUT, takes=FLOATS, w=normal(4, 4)
    )
    half, _ = to_float16(model, {})
    assert op_types(half) == ["Cast", "Gemm", "Cast", operator, "Cast", "Gemm", "Cast"]


def test_lrn_stays_float32_since_its_squares_overflow() -> None:
    takes, output = "float[batch,8,3,3] image", "float[batch,8,3,3] y"
    body = "[c] t = Conv (image, w) [n] y = LRN <size=5, alpha=0.0005, beta=0.75, bias=2.0> (t)"
    model = parse(body, output, takes=takes, w=normal(8, 8, 1, 1) * np.float32(100))
    half, _ = to_float16(model, {})
    assert op_types(half) == ["Cast", "Conv", "Cast", "LRN"]
    images = normal(2, 8, 3, 3)
    assert distance(answer(model, images)[0], answer(half, images)[0]) < 2e-3


def test_a_tensor_that_several_nodes_read_is_cast_once() -> None:
    body = "[s] t = Softmax (image) [a] u = Gemm (t, w) [b] v = Gemm (t, w) [c] y = Add (u, v)"
    half, _ = to_float16(parse(body, OUTPUT, takes=FLOATS, w=normal(4, 4)), {})
    assert op_types(half) == ["Softmax", "Cast", "Gemm", "Gemm", "Add", "Cast"]
    assert constant_names(half) == {"w/float16"}


def test_a_constant_that_both_types_read_is_kept_in_both() -> None:
    body = "[a] t = Gemm (image, w) [b] y = Gemm (t, w)"
    half, kept = to_float16(parse(body, OUTPUT, takes=FLOATS, w=normal(4, 4)), {"b": "because"})
    assert kept == {"b": "because"}
    assert constant_names(half) == {"w", "w/float16"}
    assert op_types(half) == ["Cast", "Gemm", "Cast", "Gemm"]


def test_batch_norm_is_converted_whole() -> None:
    takes, output = "float[batch,3,2,2] image", "float[batch,3,2,2] y"
    body = "[c] t = Conv (image, w) [n] y = BatchNormalization (t, one, two, mean, variance)"
    numbers = {name: np.abs(normal(3, seed=index)) for index, name in enumerate(("one", "two", "mean", "variance"))}
    half, _ = to_float16(parse(body, output, takes=takes, w=normal(3, 3, 1, 1), **numbers), {})
    assert {entry.data_type for entry in half.graph.initializer} == {TensorProto.FLOAT16}


def test_inputs_that_are_defined_for_float32_alone_stay_so() -> None:
    takes, output = "float[batch,1,2,2] image", "float[batch,1,4,4] y"
    body = '[c] t = Conv (image, w) [r] y = Resize <mode = "nearest"> (t, , scales)'
    scales = np.array([1, 1, 2, 2], np.float32)
    half, _ = to_float16(parse(body, output, takes=takes, w=normal(1, 1, 1, 1), scales=scales), {})
    assert {entry.name: entry.data_type for entry in half.graph.initializer} == {"scales": 1, "w/float16": 10}


def test_branches_read_the_float32_tensors_of_their_surroundings() -> None:
    body = """[fc] t = Gemm (image, w) [c] yes = Less (one, two) [if] y = If (yes) <
        then_branch = one_way () => (float[batch,4] p) { [p] p = Add (t, two) },
        else_branch = other_way () => (float[batch,4] q) { [q] q = Mul (t, two) }>"""
    numbers = {"one": np.array(1, np.float32), "two": np.array(2, np.float32)}
    model = parse(body, OUTPUT, takes=FLOATS, w=normal(4, 4), **numbers)
    half, _ = to_float16(model, {})
    assert distance(answer(model, normal(8, 4))[0], answer(half, normal(8, 4))[0]) < 2e-3


def test_what_branches_read_is_cast_in_its_order() -> None:
    """And not in that of a set, which is another one in each process: the same model gives the same bytes."""
    names = [f"t{number}" for number in range(8)]
    inputs = " ".join(f"{name} = Relu (image)" for name in names)
    body = f"""{inputs} y = If (yes) <
        then_branch = one_way () => (float[batch,3,6,5] p) {{ p = Sum ({", ".join(names)}) }},
        else_branch = other_way () => (float[batch,3,6,5] q) {{ q = Sum ({", ".join(reversed(names))}) }}>"""
    half, _ = to_float16(parse(body, "float[batch,3,6,5] y", yes=np.array(True)), {})
    assert [node.input[0] for node in half.graph.node if node.op_type == "Cast" and node.input[0] in names] == names


def test_an_output_that_is_read_inside_too_keeps_its_name_and_type() -> None:
    body = "[a] y = Gemm (image, w) [b] z = Tanh (y)"
    model = parse(body, f"{OUTPUT}, float[batch,4] z", takes=FLOATS, w=normal(4, 4))
    half, _ = to_float16(model, {})
    assert [(output.name, output.type.tensor_type.elem_type) for output in half.graph.output] == [("y", 1), ("z", 1)]
    for one, other in zip(answer(model, normal(8, 4)), answer(half, normal(8, 4)), strict=True):
        assert distance(one, other) < 2e-3


def test_lenet_halves_and_its_front_stays_exact(lenet_fp32: Path) -> None:
    model = onnx.load(lenet_fp32)
    half, kept = to_float16(model, {})
    assert kept == {}
    assert len(half.SerializeToString()) < 0.52 * len(model.SerializeToString())
    images = np.arange(256, dtype=np.uint8).repeat(4).reshape(1, 32, 32, 1)
    (front,) = answer(half, images, f"{FRONT_OFFSET_OUTPUT}/float16")
    assert np.array_equal(np.sort(np.unique(front)), np.arange(-128, 128))


def test_the_front_is_scaled_exactly(lenet_fp32: Path) -> None:
    model = onnx.load(lenet_fp32)
    scaled = scale_front(model)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), np.uint8)
    front, logits = answer(scaled, images, FRONT_SCALED_OUTPUT, "logits")
    assert front.min() >= -1 and front.max() <= 127 / 128
    assert np.array_equal(logits, answer(model, images, "logits")[0])
    weights = [
        numpy_helper.to_array(entry)
        for graph in (model, scaled)
        for entry in graph.graph.initializer
        if entry.name == "conv1.weight"
    ]
    assert np.array_equal(weights[0] * 128, weights[1])


def test_a_front_that_is_not_folded_is_left_alone() -> None:
    model = parse("[a] y = Gemm (image, w)", OUTPUT, takes=FLOATS, w=normal(4, 4))
    assert scale_front(model) == model


def test_a_scale_that_float16_cannot_hold_keeps_its_layer_in_float32() -> None:
    body = """[q] i = QuantizeLinear (image, s, z) [d] f = DequantizeLinear (i, s, z)
              [dw] g = DequantizeLinear (w, ws, wz) [a] y = MatMul (f, g)"""
    model = parse(
        body, OUTPUT, takes=FLOATS, s=np.array(0.1, np.float32), z=np.array(0, np.int8),
        w=np.ones((4, 4), np.int8), ws=np.array(1e-6, np.float32), wz=np.array(0, np.int8),
    )  # fmt: skip
    half, kept = to_float16(model, {})
    assert kept == {"a": "the scale ws is 1e-06, too small for float16"}
    assert TensorProto.FLOAT16 not in {entry.data_type for entry in half.graph.initializer if entry.name == "ws"}
    assert np.array_equal(answer(model, normal(4, 4))[0], answer(half, normal(4, 4))[0])


def test_a_weight_that_callers_may_replace_is_cast_and_not_frozen() -> None:
    model = parse("[a] y = Gemm (image, w)", OUTPUT, takes=f"{FLOATS}, float[4,4] w", w=normal(4, 4))
    half, _ = to_float16(model, {})
    images, other = normal(4, 4), normal(4, 4, seed=3)
    for given in ({}, {"w": other}):
        one, two = (open_reference(graph).run(None, {"image": images, **given})[0] for graph in (model, half))
        assert distance(one, two) < 2e-3


def test_a_first_weight_that_is_read_again_is_not_scaled(lenet_fp32: Path) -> None:
    model = onnx.load(lenet_fp32)
    model.graph.node.append(onnx.helper.make_node("Identity", ["conv1.weight"], ["again"], "again"))
    assert scale_front(model) == model


@pytest.mark.parametrize("factor", [1e-7, 1e-9])
def test_a_weight_that_float16_would_lose_keeps_its_layer_in_float32(factor: float) -> None:
    big = np.array(1 / factor, np.float32)
    model = parse(
        "[a] t = Gemm (image, w) [b] y = Mul (t, big)",
        OUTPUT,
        takes=FLOATS,
        w=normal(4, 4) * np.float32(factor),
        big=big,
    )
    half, kept = to_float16(model, {})
    assert "too small for float16" in kept["a"]
    assert distance(answer(model, normal(8, 4))[0], answer(half, normal(8, 4))[0]) < 2e-3


def test_an_epsilon_that_would_become_0_keeps_its_node_in_float32() -> None:
    body = "[m] m = ReduceMean <keepdims=1> (image) [s] s = Sub (m, m) [e] d = Add (s, epsilon) [q] y = Div (image, d)"
    model = parse(body, OUTPUT, takes=FLOATS, epsilon=np.array(1e-12, np.float32))
    half, _ = to_float16(model, {"q": "its activations"})
    assert np.isfinite(answer(half, normal(4, 4))[0]).all()


def test_a_scale_whose_values_would_overflow_keeps_its_layer_in_float32() -> None:
    body = "[dw] g = DequantizeLinear (w, ws, wz) [a] y = MatMul (image, g)"
    model = parse(
        body, OUTPUT, takes=FLOATS,
        w=np.full((4, 4), 100, np.int8), ws=np.array(2000, np.float32), wz=np.array(0, np.int8),
    )  # fmt: skip
    half, kept = to_float16(model, {})
    assert "float16 ends at" in kept["a"]
    assert np.array_equal(answer(model, normal(4, 4))[0], answer(half, normal(4, 4))[0])


def test_what_onnx_cannot_type_stays_float32() -> None:
    model = parse("[a] t = Gemm (image, w) [f] u = Gelu (t) [b] y = Gemm (u, w)", OUTPUT, takes=FLOATS, w=normal(4, 4))
    model.graph.node[1].domain = "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    half, kept = to_float16(model, {})
    assert "cannot tell" in kept["b"]
    assert distance(answer(model, normal(4, 4))[0], answer(half, normal(4, 4))[0]) < 2e-3


def test_the_statistics_of_a_layer_normalization_stay_float32() -> None:
    body = "[n] n, mean = LayerNormalization (image, one) [a] y = Mul (n, mean)"
    model = parse(body, OUTPUT, takes=FLOATS, one=np.ones(4, np.float32))
    half, _ = to_float16(model, {})
    assert types(half)["n"] == TensorProto.FLOAT16 and types(half)["mean"] == TensorProto.FLOAT


def test_nodes_without_names_are_told_apart() -> None:
    model = parse("t = Gemm (image, w) u = Softmax (t) y = Gemm (u, w)", OUTPUT, takes=FLOATS, w=normal(4, 4))
    half, kept = to_float16(model, {})
    assert kept == {} and op_types(half).count("Cast") == 4
