"""Shapes that contradict each other, and small files that ask for much."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.corpus.case import Model, base, before_the_end, ended, graph, with_constants
from tests.toolkit.foreign.graphs import Maker


def conv_with(**attributes: Any) -> Model:
    model = base()
    node = model.graph.node[0]
    kept = [entry for entry in node.attribute if entry.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])
    return model


CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "kernel_that_contradicts": {"kernel_shape": [5, 5]},
    "kernel_of_zero": {"kernel_shape": [0, 0]},
    "kernel_negative": {"kernel_shape": [-3, -3]},
    "kernel_of_three_sides": {"kernel_shape": [3, 3, 3]},
    "group_of_zero": {"group": 0},
    "group_negative": {"group": -1},
    "group_of_many": {"group": 1 << 40},
    "strides_of_zero": {"strides": [0, 0]},
    "strides_negative": {"strides": [-1, -1]},
    "dilations_of_zero": {"dilations": [0, 0]},
    "dilations_huge": {"dilations": [1 << 40, 1 << 40]},
    "pads_huge": {"pads": [10**9] * 4},
    "pads_beyond_64_bits": {"pads": [(1 << 63) - 1] * 4},
    "pads_negative": {"pads": [-100] * 4},
    "pads_short": {"pads": [1]},
    "auto_pad_unknown": {"auto_pad": "MAGIC"},
}
for _name, _attributes in CONVOLUTIONS.items():
    graph("Conv_conv", "Conv", name=f"conv_{_name}")(partial(conv_with, **_attributes))


@graph("Conv", "conv")
def weight_that_contradicts() -> Model:
    model = base()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((4, 7, 3, 3), "f4"), "conv_w"))
    return model


@graph("MatMul_logits", "(MatMul)")
def shapes_that_contradict() -> Model:
    make = Maker()
    make.node("Flatten", ["data"], "flat")
    make.node("MatMul", ["flat", make.weight("w", 100, 4)], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]}, ir_version=10)


def input_of(*shape: int | str) -> Callable[[], Model]:
    def make() -> Model:
        model = base()
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("data", TensorProto.FLOAT, shape))
        return model

    return make


for _name, _shape, _words in (
    ("negative", ("N", 3, -16, 16), ("-16",)),
    ("huge", ("N", 3, 1 << 62, 1 << 62), ("too large",)),
    ("large", ("N", 3, 1 << 20, 1 << 20), ("too large",)),
    ("zero", (0, 3, 16, 16), ()),
    ("batch_negative", (-1, 3, 16, 16), ()),
    ("batch_huge", (1 << 40, 3, 16, 16), ("too large",)),
):
    graph(*_words, name=f"input_{_name}")(input_of(*_shape))


BOMBS: dict[str, Callable[[], Model]] = {
    "expand": lambda: with_constants("Expand", ["conv", "s"], {"s": ([1, 4, 1, 1 << 30], "i8")}),
    "tile": lambda: with_constants("Tile", ["conv", "s"], {"s": ([1, 1, 1 << 15, 1 << 15], "i8")}),
    "resize": lambda: with_constants("Resize", ["conv", "", "s"], {"s": ([1, 1, 1e5, 1e5], "f4")}),
    "pad": lambda: with_constants("Pad", ["conv", "s"], {"s": ([0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20], "i8")}),
    "constant_of_shape": lambda: with_constants("ConstantOfShape", ["s"], {"s": ([1, 4, 50_000, 50_000], "i8")}),
    "depth": lambda: with_constants(
        "OneHot", ["i", "d", "v"], {"i": ([[[1]]], "i8"), "d": (1 << 40, "i8"), "v": ([0, 1], "f4")}
    ),
    "range": lambda: with_constants("Range", ["a", "b", "c"], {"a": (0, "f4"), "b": (1e10, "f4"), "c": (1, "f4")}),
    "random": lambda: with_constants("RandomNormal", [], {}, shape=[1, 4, 1 << 20, 1 << 20]),
    "pool": lambda: before_the_end(kind="MaxPool", kernel_shape=[1, 1], pads=[1 << 30] * 4),
    "depth_to_space": lambda: before_the_end(kind="DepthToSpace", blocksize=1 << 30),
    "reshape_overflow": lambda: with_constants("Reshape", ["conv", "s"], {"s": ([1 << 32, 1 << 32, 1, 1], "i8")}),
    "transpose_twice": lambda: before_the_end(kind="Transpose", perm=[0, 0, 0, 0]),
    "gather_beyond": lambda: with_constants("Gather", ["conv", "s"], {"s": ([1 << 40], "i8")}, axis=1),
    "slice_reverse": lambda: with_constants(
        "Slice", ["conv", "a", "b", "x", "z"], {"a": ([0], "i8"), "b": ([9], "i8"), "x": ([1], "i8"), "z": ([0], "i8")}
    ),
    "split_into_nothing": lambda: with_constants("Unsqueeze", ["conv", "s"], {"s": ([99], "i8")}),
    "concat_of_another_axis": lambda: before_the_end(kind="Concat", axis=99),
}  # fmt: skip
for _name, _bomb in BOMBS.items():
    graph(_bomb().graph.node[1].op_type, name=f"bomb_{_name}")(_bomb)


@graph("ConstantOfShape_zeros", "ConstantOfShape")
def bomb_of_computed_shape() -> Model:
    """ConstantOfShape of 10^10 elements, that only a run knows: the shape is a sum of pixels."""
    make = Maker()
    make.conv("data", "conv", 4, 3)
    make.node("ReduceSum", ["data"], "sum", keepdims=0)
    make.node("Abs", ["sum"], "positive")
    make.node("Mul", ["positive", make.constant("many", 1e9, "f4")], "much")
    make.node("Cast", ["much"], "count", to=TensorProto.INT64)
    make.node("Reshape", ["count", make.constant("one", [1])], "shape")
    make.node("ConstantOfShape", ["shape"], "zeros")
    make.node("ReduceSum", ["zeros"], "zero", keepdims=0)
    return ended(make, "Add", ["conv", "zero"])


@graph("(Concat)", "too large")
def doubling() -> Model:
    """Forty Concats, each of a tensor with itself: 2^40 values from a few hundred bytes."""
    make = Maker()
    make.conv("data", "conv", 4, 3)
    last = "conv"
    for index in range(40):
        last = make.node("Concat", [last, last], f"d{index}", axis=3)
    return ended(make, "Relu", [last])


@graph("(ConstantOfShape)", "too large")
def bombs_in_a_row() -> Model:
    """None is too large by itself, but ONNX's shape inference would compute with each of their elements."""
    make = Maker()
    make.conv("data", "conv", 4, 3)
    last = "conv"
    for index in range(30):
        make.node("ConstantOfShape", [make.constant(f"s{index}", [3_000_000])], f"c{index}")
        make.node("ReduceMax", [f"c{index}"], f"m{index}", keepdims=0)
        last = make.node("Add", [last, f"m{index}"], f"a{index}")
    return ended(make, "Relu", [last])


@graph("NaN or infinity", "(Exp)")
def tower_of_powers() -> Model:
    make = Maker()
    last = make.conv("data", "conv", 4, 3)
    for index in range(6):
        last = make.node("Exp", [last], f"e{index}")
    return ended(make, "Relu", [last])


@graph("NaN or infinity", "Log_bad", "(Log)", options=("--int8",))
def logarithm_of_less_than_nothing() -> Model:
    make = Maker()
    make.conv("data", "conv", 4, 3)
    make.node("Abs", ["conv"], "abs")
    make.node("Neg", ["abs"], "less")
    return ended(make, "Log", ["less"])
