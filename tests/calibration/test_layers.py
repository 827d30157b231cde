"""Layers with weights: what they read and give, and each of them alone."""

from __future__ import annotations

import numpy as np
import onnx

from calibration.layers import find_layers, isolate
from export.front import FRONT_PREFIX
from export.reference import open_reference
from tests.export.graphs import normal, parse

IMAGE = "float[batch,3,6,6] image"
CHAIN = """
    [front_scale] f = Mul (image, one)
    [conv] c = Conv <pads = [1, 1, 1, 1]> (f, w)
    [relu] r = Relu (c)
    [q] q = QuantizeLinear (r, step, zero)
    [dq] d = DequantizeLinear (q, step, zero)
    [pool] p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (d)
    [flat] l = Flatten (p)
    [fc] m = MatMul (l, v)
    [bias] logits = Add (m, b)
"""


def chain() -> onnx.ModelProto:
    model = parse(
        CHAIN,
        "float[batch,4] logits",
        takes=IMAGE,
        one=np.array(2, np.float32),
        w=normal(5, 3, 3, 3),
        step=np.array(0.05, np.float32),
        zero=np.array(0, np.int8),
        v=normal(45, 4, seed=1),
        b=normal(4, seed=2),
    )
    model.graph.node[0].name = f"{FRONT_PREFIX}scale"  # ONNX's text has no slash in names
    return model


def test_a_layer_reads_what_was_computed_before_it_was_moved_or_rounded() -> None:
    conv, fc = find_layers(chain())
    assert (conv.name, conv.inputs, conv.output, conv.weights) == ("conv", ("image",), "c", (3, 3, 3, 5))
    assert (fc.name, fc.inputs, fc.weights) == ("fc", ("r",), (4, 45))


def test_a_bias_that_stands_behind_belongs_to_the_layer() -> None:
    assert find_layers(chain())[1].output == "logits"
    twice = parse(
        "[fc] m = MatMul (image, v) [bias] y = Add (m, b) [other] z = Relu (m)",
        "float[batch,4] y, float[batch,4] z",
        takes="float[batch,3] image",
        v=normal(3, 4),
        b=normal(4),
    )
    assert find_layers(twice)[0].output == "m"


def test_a_product_of_two_activations_reads_both() -> None:
    model = parse(
        "[a] x = Relu (image) [b] y = Tanh (image) [product] z = MatMul (x, y)",
        "float[batch,3,3] z",
        takes="float[batch,3,3] image",
    )
    assert find_layers(model)[0].inputs == ("x", "y")


def test_a_weight_behind_its_dequantization_is_constant() -> None:
    model = parse(
        "[dq] w = DequantizeLinear (stored, step, zero) [fc] y = Gemm (image, w)",
        "float[batch,4] y",
        takes="float[batch,3] image",
        stored=np.ones((3, 4), np.int8),
        step=np.array(1, np.float32),
        zero=np.array(0, np.int8),
    )
    (layer,) = find_layers(model)
    assert (layer.inputs, layer.weights) == (("image",), (3, 4))


def test_a_layer_alone_gives_what_it_gives_in_the_graph() -> None:
    model = chain()
    layers = find_layers(model)
    graph, alone = isolate(model, layers)
    assert alone == layers
    images = normal(2, 3, 6, 6)
    read, conv, logits = open_reference(model, ["r", "c", "logits"]).run(None, {"image": images})
    session = open_reference(graph)
    given = session.run(None, {"given/image": images, "given/r": read})
    np.testing.assert_array_equal(given[0], conv)
    np.testing.assert_allclose(given[1], logits, rtol=1e-6)
    other = session.run(None, {"given/image": images, "given/r": 0 * read})
    np.testing.assert_array_equal(other[0], conv)
    np.testing.assert_allclose(other[1], np.tile(logits[:1] * 0 + normal(4, seed=2), (2, 1)), rtol=1e-6)
