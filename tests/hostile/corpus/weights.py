"""Weights that claim what they do not hold, or hold what is no number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.corpus.case import Model, base, graph


def weight_like(change: Callable[[onnx.TensorProto], None]) -> Callable[[], Model]:
    def make() -> Model:
        model = base()
        change(model.graph.initializer[0])
        return model

    return make


def set_dims(*dims: int) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.dims[:] = dims

    return change


def set_type(data_type: int) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.data_type = data_type

    return change


def add_strings(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_type = TensorProto.STRING
    tensor.string_data.extend([b"text"] * 108)


def add_floats(tensor: onnx.TensorProto) -> None:
    tensor.float_data.extend([1.0] * 108)


def make_nan(tensor: onnx.TensorProto) -> None:
    tensor.raw_data = np.full(108, np.nan, "f4").tobytes()


def make_infinite(tensor: onnx.TensorProto) -> None:
    tensor.raw_data = np.full(108, np.inf, "f4").tobytes()


def segmented(tensor: onnx.TensorProto) -> None:
    tensor.segment.begin, tensor.segment.end = 0, 1 << 40


WEIGHTS: dict[str, Callable[[onnx.TensorProto], None]] = {
    "too_short": lambda tensor: setattr(tensor, "raw_data", tensor.raw_data[:-4]),
    "too_long": lambda tensor: setattr(tensor, "raw_data", tensor.raw_data * 2),
    "of_2_gb": set_dims(4, 3, 8192, 8192),
    "of_2_to_the_62": set_dims(1 << 62),
    "beyond_64_bits": set_dims(1 << 62, 1 << 62),
    "negative": set_dims(4, 3, -3, -3),
    "of_unknown_type": set_type(77),
    "of_no_type": set_type(0),
    "of_integers": set_type(TensorProto.INT32),
    "of_strings": add_strings,
    "twice": add_floats,
    "segmented": segmented,
    "nan": make_nan,
    "infinite": make_infinite,
}
for _name, _change in WEIGHTS.items():
    # What is of another type than it should be, is ONNX Runtime's to refuse.
    _words = ("Conv", "conv") if _name in ("of_integers", "of_strings") else ("conv_w", "Conv_conv", "(Conv)")
    graph(*_words, name=f"weight_{_name}")(weight_like(_change))
for _option in ("--int8", "--fp16"):
    graph("conv_w", "Conv_conv", "NaN", options=(_option,), name=f"weight_nan_{_option}")(weight_like(make_nan))


@graph("'sparse' is a sparse tensor")
def sparse_weight() -> Model:
    model = base()
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            numpy_helper.from_array(np.ones(1, "f4"), "sparse"),
            numpy_helper.from_array(np.zeros(1, "i8"), "indices"),
            [1 << 40],
        )
    )
    return model
