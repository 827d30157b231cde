"""Makes the graphs in tests/data, which the runtime's tests read without the onnx package.

`python -m tests.export.tiny_graph` writes them again.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.tiny import CLASSES, DATA, PLACEHOLDERS, SIDE, Precision


def make_graph(precision: Precision) -> onnx.ModelProto:
    """The tiny classifier with placeholders for weights; in INT8 its Q/DQ are where `calibration` puts them."""
    constants = {"middle": np.array(128, np.float32), **PLACEHOLDERS[precision]}
    pixels, weight = "flat", "fc.weight"
    quantizers = []
    if precision == "int8":
        # The scale is exact: what comes in are the whole numbers from -128 to 127.
        constants |= {"flat.scale": np.array(1, np.float32), "flat.zero": np.array(0, np.int8)}
        constants |= {"fc.weight.zero": np.zeros(CLASSES, np.int8)}
        flat, fc = ["flat.scale", "flat.zero"], ["fc.weight.scale", "fc.weight.zero"]
        quantizers = [
            helper.make_node("QuantizeLinear", ["flat", *flat], ["flat.int8"]),
            helper.make_node("DequantizeLinear", ["flat.int8", *flat], ["flat.float"]),
            helper.make_node("DequantizeLinear", ["fc.weight", *fc], ["fc.weight.float"], axis=1),
        ]
        pixels, weight = "flat.float", "fc.weight.float"
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["nchw", "middle"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["flat"], axis=1),
        *quantizers,
        helper.make_node("Gemm", [pixels, weight, "fc.bias"], ["logits"], name="fc"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


if __name__ == "__main__":
    for precision in PLACEHOLDERS:
        onnx.save(make_graph(precision), DATA / f"tiny-{precision}.onnx")
