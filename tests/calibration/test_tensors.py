"""Which tensor is which: by what it is made of."""

from __future__ import annotations

import numpy as np
import onnx

from calibration.tensors import float_tensors, pair_tensors
from tests.export.graphs import normal, parse

IMAGE = "float[batch,3] image"
GIVES = "float[batch,3] y"


def graph(body: str) -> onnx.ModelProto:
    return parse(body, GIVES, takes=IMAGE, w=normal(3, 3), step=np.array(0.1, np.float32), zero=np.array(0, np.int8))


PLAIN = graph("[fc] m = MatMul (image, w) [r] t = Relu (m) [e] u = Exp (t) [add] y = Add (u, m)")


def test_names_do_not_count_where_what_it_is_made_of_tells() -> None:
    other = graph("[fc] k = MatMul (image, w) [r] u = Relu (k) [e] t = Exp (u) [add] y = Add (t, k)")
    assert pair_tensors(PLAIN, other, {"m": "k"}) == {"image": "image", "m": "k", "t": "u", "u": "t", "y": "y"}


def test_rounding_does_not_count() -> None:
    rounded = graph(
        "[fc] m = MatMul (image, w) [q] q = QuantizeLinear (m, step, zero) [d] d = DequantizeLinear (q, step, zero)"
        "[r] t = Relu (d) [e] u = Exp (t) [add] y = Add (u, d)"
    )
    assert pair_tensors(PLAIN, rounded, {"m": "m"}) == {name: name for name in ("image", "m", "t", "u", "y")}
    assert list(float_tensors(rounded)) == ["m", "t", "u", "y"]


def test_another_operation_is_another_tensor_and_one_operand_is_enough() -> None:
    leaky = graph("[fc] m = MatMul (image, w) [r] t = LeakyRelu (m) [e] u = Exp (t) [add] y = Add (u, m)")
    assert pair_tensors(PLAIN, leaky, {"m": "m"}) == {"image": "image", "m": "m", "y": "y"}
    assert pair_tensors(PLAIN, leaky, {"m": "m", "t": "t"})["u"] == "u"
