"""Where Q/DQ goes."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from calibration.placement import plan

HEADER = '<ir_version: 10, opset_import: ["" : 20]>\n'


def parse(body: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEADER + body)
    for node in model.graph.node:
        node.name = node.output[0]
    return model


def test_lenet_layers_and_their_multiply_accumulates(lenet_fp32: Path) -> None:
    planned = plan(onnx.load(lenet_fp32))
    assert {layer.name: layer.macs for layer in planned.layers} == {
        "conv1": 117_600,
        "conv2": 240_000,
        "fc1": 48_000,
        "fc2": 10_080,
        "fc3": 840,
    }
    assert planned.skipped == ()
    assert not planned.quantized_already


def test_every_side_of_an_output_counts() -> None:
    model = parse("g (float[12,5,8] a, float[12,8,5] b) => (float[12,5,5] y) { y = MatMul(a, b) }")
    assert [layer.macs for layer in plan(model).skipped] == [12 * 5 * 5 * 8]


def test_moves_back_before_pool_and_reshape() -> None:
    model = parse(
        """g (float[N,1,4,4] x) => (float[N,2] y)
        <float[2,4] w = {1,2,3,4,5,6,7,8}, int64[2] shape = {0, 4}> {
          t = Tanh(x)
          p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(t)
          r = Reshape(p, shape)
          y = Gemm<transB = 1>(r, w)
        }"""
    )
    (layer,) = plan(model).layers
    assert (layer.tensor, layer.reader, layer.channel_axis, layer.macs) == ("t", "p", 0, 8)


def test_moves_back_through_flatten_and_pool_before_a_matrix() -> None:
    model = parse(
        """g (float[N,1,4,4] x) => (float[N,3] y)
        <float[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}> {
          t = Tanh(x)
          p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(t)
          f = Flatten<axis = 1>(p)
          y = MatMul(f, w)
        }"""
    )
    (layer,) = plan(model).layers
    assert (layer.tensor, layer.reader, layer.channel_axis, layer.macs) == ("t", "p", 1, 12)


@pytest.mark.parametrize("between", ["AveragePool<kernel_shape = [2,2], strides = [2,2]>(t)", "Tanh(t)", "Relu(t)"])
def test_does_not_move_back_before_what_computes_values(between: str) -> None:
    model = parse(
        f"""g (float[N,1,4,4] x) => (float[N,1,M,M] y)
        <float[1,1,1,1] w = {{2}}> {{ t = Tanh(x) p = {between} y = Conv(p, w) }}"""
    )
    (layer,) = plan(model).layers
    assert (layer.tensor, layer.reader) == ("p", "y")


def test_stops_at_a_tensor_that_the_graph_gives_out() -> None:
    model = parse(
        """g (float[N,1,4,4] x) => (float[N,1,2,2] y, float[N,1,2,2] p)
        <float[1,1,1,1] w = {2}> {
          t = Tanh(x)
          p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(t)
          y = Conv(p, w)
        }"""
    )
    (layer,) = plan(model).layers
    assert (layer.tensor, layer.reader) == ("p", "y")


def test_stops_where_a_tensor_has_another_consumer() -> None:
    model = parse(
        """g (float[N,1,4,4] x) => (float[N,1,2,2] y, float[N,1,2,2] z)
        <float[1,1,1,1] w = {2}> {
          t = Tanh(x)
          p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(t)
          y = Conv(p, w)
          z = Tanh(p)
        }"""
    )
    (layer,) = plan(model).layers
    assert (layer.tensor, layer.reader) == ("p", "y")


def test_a_tensor_of_two_layers_is_calibrated_once() -> None:
    model = parse(
        """g (float[N,2] x) => (float[N,2] y, float[N,2] z)
        <float[2,2] a = {1,2,3,4}, float[2,2] b = {1,2,3,4}> { t = Tanh(x) y = MatMul(t, a) z = MatMul(t, b) }"""
    )
    planned = plan(model)
    assert planned.tensors == ("t",)
    assert [layer.channel_axis for layer in planned.layers] == [1, 1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("g (float[N,2] x, float[2,2] w) => (float[N,2] y) { y = MatMul(x, w) }", "not constant"),
        ("g (float[2,N] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}> { y = Gemm<transA = 1>(x, w) }", "transposes"),
        ("g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}> { y = Gemm<alpha = 2.0>(x, w) }", "scales"),
        ("g (float[N,1,2] x) => (float[N,1,2] y) <float[1,2,2] w = {1,2,3,4}> { y = MatMul(x, w) }", "not a matrix"),
        (
            "g (float[N,2] x) => (float[2,2] y) "
            "<float[2,2] v = {1,2,3,4}, float[2,2] w = {1,2,3,4}> { y = MatMul(v, w) }",
            "input is constant",
        ),
    ],
)
def test_a_layer_that_cannot_be_quantized_says_why(body: str, reason: str) -> None:
    planned = plan(parse(body))
    assert planned.layers == ()
    assert [reason in layer.reason for layer in planned.skipped] == [True]


def test_a_graph_with_qdq_is_recognized(lenet_bundle: Path) -> None:
    assert plan(onnx.load(lenet_bundle / "model.onnx")).quantized_already


def test_a_transposed_convolution_is_skipped_and_counted() -> None:
    model = parse(
        """g (float[N,2,3,3] x) => (float[N,1,6,6] y)
        <float[2,1,2,2] w = {1,2,3,4,5,6,7,8}> {
          y = ConvTranspose<kernel_shape = [2,2], strides = [2,2]>(x, w)
        }"""
    )
    (layer,) = plan(model).skipped
    assert (layer.name, layer.macs, layer.reason) == ("y", 18 * 4, "a transposed convolution stays in float")


def test_a_global_max_pool_passes_the_scale() -> None:
    model = parse(
        """g (float[N,2,3,3] x) => (float[N,2] y)
        <float[2,2] w = {1,2,3,4}> {
          t = Tanh(x)
          p = GlobalMaxPool(t)
          f = Flatten<axis = 1>(p)
          y = MatMul(f, w)
        }"""
    )
    (layer,) = plan(model).layers
    assert (layer.tensor, layer.reader) == ("t", "p")
