"""ONNX graphs as other people's exporters write them, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str | None]


class Maker:
    """Collects nodes and weights.

    Args:
        seed: of the weights.
        dtype: of the weights.
    """

    def __init__(self, seed: int = 0, dtype: str = "f4") -> None:
        self.rng, self.dtype = np.random.default_rng(seed), dtype
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, *shape: int) -> str:
        """Of the size that keeps activations near 1."""
        values = self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 1)
        self.weights.append(numpy_helper.from_array(values.astype(self.dtype), name))
        return name

    def constant(self, name: str, values: Any, dtype: str = "i8") -> str:
        self.weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str | Sequence[str], **attributes: Any) -> str:
        outputs = [output] if isinstance(output, str) else list(output)
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, f"{kind}_{outputs[0]}", **attributes))
        return outputs[0]

    def conv(self, tensor: str, name: str, maps: int, given: int, side: int = 3, **attributes: Any) -> str:
        inputs = [tensor, self.weight(f"{name}_w", maps, given, side, side), self.weight(f"{name}_b", maps)]
        attributes = {"pads": [side // 2] * 4, "kernel_shape": [side, side], **attributes}
        return self.node("Conv", inputs, name, **attributes)

    def model(
        self,
        image: Shape,
        outputs: dict[str, Shape],
        *,
        opset: int = 13,
        ir_version: int = 8,
        weights_are_inputs: bool = False,
        kind: int = TensorProto.FLOAT,
        domains: Sequence[str] = (),
    ) -> onnx.ModelProto:
        """The whole, with the input `data`."""
        inputs = [helper.make_tensor_value_info("data", kind, image)]
        if weights_are_inputs:
            inputs += [helper.make_tensor_value_info(w.name, w.data_type, list(w.dims)) for w in self.weights]
        answers = [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()]
        graph = helper.make_graph(self.nodes, "graph", inputs, answers, self.weights)
        imports = [
            helper.make_opsetid(domain, version) for domain, version in (("", opset), *((d, 1) for d in domains))
        ]
        model = helper.make_model(graph, opset_imports=imports)
        model.ir_version = ir_version
        return model


def of_2018() -> onnx.ModelProto:
    """Opset 7, IR 3: weights are inputs, the batch is 1, a Sum, a Dropout with its mask, LRN, a Softmax at the end."""
    make = Maker()
    make.conv("data", "conv1", 8, 3, strides=[2, 2])
    make.node("Relu", ["conv1"], "relu1")
    make.node("LRN", ["relu1"], "norm1", size=5, alpha=1e-4, beta=0.75, bias=1.0)
    make.conv("norm1", "conv2", 8, 8)
    make.node("Sum", ["conv2", "norm1"], "sum")
    make.node("MaxPool", ["sum"], "pool", kernel_shape=[2, 2], strides=[2, 2])
    make.node("Reshape", ["pool", make.constant("shape", [1, 512])], "flat")
    make.node("Dropout", ["flat"], ["drop", "mask"], ratio=0.5)
    make.node("Gemm", ["drop", make.weight("fc_w", 10, 512), make.weight("fc_b", 10)], "fc", transB=1)
    make.node("Softmax", ["fc"], "prob", axis=1)
    return make.model([1, 3, 32, 32], {"prob": [1, 10]}, opset=7, ir_version=3, weights_are_inputs=True)


def of_parts() -> onnx.ModelProto:
    """Constant nodes, channel shuffle, depthwise, grouped and transposed convolutions, Concat, Identity, a 1x1 end."""
    make = Maker(1)
    make.nodes.append(
        helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(np.array([0.5], "f4"), "half"))
    )
    make.node("Mul", ["data", "half"], "scaled")
    make.conv("scaled", "stem", 8, 3, strides=[2, 2])
    make.conv("stem", "depthwise", 8, 1, group=8)
    make.conv("depthwise", "grouped", 8, 4, group=2)
    make.node("Reshape", ["grouped", make.constant("split", [1, 2, 4, 16, 16])], "groups")
    make.node("Transpose", ["groups"], "swapped", perm=[0, 2, 1, 3, 4])
    make.node("Reshape", ["swapped", make.constant("joined", [1, 8, 16, 16])], "shuffled")
    make.node("ConvTranspose", ["stem", make.weight("up_w", 8, 4, 2, 2)], "up", strides=[2, 2], kernel_shape=[2, 2])
    make.node("AveragePool", ["up"], "down", kernel_shape=[2, 2], strides=[2, 2])
    make.node("Concat", ["shuffled", "down", "stem"], "concat", axis=1)
    make.node("Identity", ["concat"], "same")
    make.conv("same", "head", 5, 20, side=1)
    make.node("ConstantOfShape", [make.constant("one_shape", [1])], "zero")
    make.node("Add", ["head", "zero"], "added")
    make.node("GlobalAveragePool", ["added"], "answer")
    return make.model([1, 3, 32, 32], {"answer": [1, 5, 1, 1]}, opset=11, ir_version=6)


def of_computed_shapes() -> onnx.ModelProto:
    """As PyTorch exported `x.view(x.size(0), -1)`: Shape, Gather, Unsqueeze, Concat. Two outputs."""
    make = Maker(2)
    make.conv("data", "conv", 4, 1)
    make.node("Relu", ["conv"], "relu")
    make.node("Shape", ["relu"], "shape")
    make.node("Gather", ["shape", make.constant("zero", 0)], "size", axis=0)
    make.node("Unsqueeze", ["size"], "sizes", axes=[0])
    make.node("Concat", ["sizes", make.constant("rest", [-1])], "target", axis=0)
    make.node("Reshape", ["relu", "target"], "features")
    make.node("MatMul", ["features", make.weight("fc_w", 4 * 64, 6)], "product")
    make.node("Add", ["product", make.weight("fc_b", 6)], "logits")
    return make.model(["N", 1, 8, 8], {"logits": ["N", 6], "features": ["N", 256]}, opset=11, ir_version=6)


def of_tensorflow() -> onnx.ModelProto:
    """NHWC images, as tf2onnx writes it."""
    make = Maker(3)
    make.node("Transpose", ["data"], "nchw", perm=[0, 3, 1, 2])
    make.conv("nchw", "image", 4, 3)  # named like an input of ours
    make.node("GlobalAveragePool", ["image"], "pooled")
    make.node("Squeeze", ["pooled", make.constant("axes", [2, 3])], "probabilities")
    return make.model(["N", 24, 16, 3], {"probabilities": ["N", 4]}, opset=13)


def of_halves() -> onnx.ModelProto:
    """Everything in float16, ends included."""
    make = Maker(4, "f2")
    make.conv("data", "conv", 6, 3, side=5)
    make.node("Relu", ["conv"], "relu")
    make.node("GlobalAveragePool", ["relu"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 20, 20], {"logits": ["N", 6]}, kind=TensorProto.FLOAT16)


def of_quantized() -> onnx.ModelProto:
    """With Q/DQ already, as a quantization-aware training leaves it."""
    make = Maker(5)
    make.constant("scale", 0.02, "f4"), make.constant("zero", 0, "i1")
    make.node("QuantizeLinear", ["data", "scale", "zero"], "q")
    make.node("DequantizeLinear", ["q", "scale", "zero"], "dq")
    make.conv("dq", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]})


def of_tomorrow(opset: int = 25) -> onnx.ModelProto:
    """The newest opset that is known here."""
    make = Maker(6)
    make.conv("data", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]}, opset=opset, ir_version=10)


def of_vision() -> onnx.ModelProto:
    """A transformer of one block that was exported for one image: tokens, a class token, attention, all sizes fixed."""
    make = Maker(7)
    make.conv("data", "patches", 8, 3, side=4, strides=[4, 4], pads=[0] * 4)
    make.node("Reshape", ["patches", make.constant("flat", [1, 8, 16])], "sequence")
    make.node("Transpose", ["sequence"], "rows", perm=[0, 2, 1])
    make.node("Concat", [make.weight("token", 1, 1, 8), "rows"], "tokens", axis=1)
    make.node("Add", ["tokens", make.weight("position", 1, 17, 8)], "placed")
    make.node("MatMul", ["placed", make.weight("qkv_w", 8, 24)], "qkv")
    make.node("Reshape", ["qkv", make.constant("heads", [1, 17, 3, 2, 4])], "split")
    make.node("Transpose", ["split"], "three", perm=[2, 0, 3, 1, 4])
    for index, name in enumerate("qkv"):
        make.node("Gather", ["three", make.constant(f"{name}_index", index)], name, axis=0)
    make.node("Transpose", ["k"], "turned", perm=[0, 1, 3, 2])
    make.node("MatMul", ["q", "turned"], "scores")
    make.node("Softmax", ["scores"], "attention", axis=-1)
    make.node("MatMul", ["attention", "v"], "mixed")
    make.node("Transpose", ["mixed"], "back", perm=[0, 2, 1, 3])
    make.node("Reshape", ["back", make.constant("joined", [1, 17, 8])], "together")
    make.node("Gather", ["together", make.constant("first", 0)], "cls", axis=1)
    make.node("Gemm", ["cls", make.weight("head_w", 5, 8), make.weight("head_b", 5)], "logits", transB=1)
    return make.model([1, 3, 16, 16], {"logits": [1, 5]})


def of_four() -> onnx.ModelProto:
    """Four images at a time, and a Reshape that says so."""
    make = Maker(8)
    make.conv("data", "conv", 4, 3)
    make.node("Reshape", ["conv", make.constant("flat", [4, 256])], "features")
    make.node("Gemm", ["features", make.weight("fc_w", 3, 256), make.weight("fc_b", 3)], "logits", transB=1)
    return make.model([4, 3, 8, 8], {"logits": [4, 3]})


def of_squeezed() -> onnx.ModelProto:
    """`x.squeeze()` as PyTorch wrote it: an If that asks whether a side is 1; and the batch of 1 is gone at the end."""
    make = Maker(9)
    make.conv("data", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Shape", ["pooled"], "shape")
    make.node("Gather", ["shape", make.constant("three", 3)], "side", axis=0)
    make.node("Equal", ["side", make.constant("one", 1)], "is_one")
    branches = {}
    for name, kind in (("then_branch", "Squeeze"), ("else_branch", "Identity")):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        branches[name] = helper.make_graph([helper.make_node(kind, ["pooled"], [name], name)], name, [], [value])
    make.node("If", ["is_one"], "squeezed", **branches)
    make.node("MatMul", ["squeezed", make.weight("fc_w", 4, 6)], "logits")
    return make.model([1, 3, 8, 8], {"logits": [6]}, opset=11, ir_version=6)


def of_pixels() -> onnx.ModelProto:
    """uint8 NHWC in, the arithmetic of preprocessing inside, and the number of a class at the end."""
    make = Maker(10)
    make.node("Cast", ["data"], "floats", to=TensorProto.FLOAT)
    make.node("Transpose", ["floats"], "nchw", perm=[0, 3, 1, 2])
    make.node("Mul", ["nchw", make.constant("scale", 1 / 255, "f4")], "scaled")
    make.conv("scaled", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "scores")
    make.node("ArgMax", ["scores"], "class", axis=1)
    model = make.model(["N", 12, 10, 3], {"class": ["N", 1]}, kind=TensorProto.UINT8)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    return model


def of_one(end: str = "Sigmoid") -> onnx.ModelProto:
    """Yes or no: one number an image, a probability or a logit."""
    make = Maker(11)
    make.conv("data", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "flat")
    make.node("Gemm", ["flat", make.weight("fc_w", 1, 4), make.weight("fc_b", 1)], "number", transB=1)
    make.node(end, ["number"], "answer")
    return make.model(["N", 3, 8, 8], {"answer": ["N", 1]})


def of_upsampled(opset: int = 9) -> onnx.ModelProto:
    """`interpolate` as PyTorch wrote it up to opset 10, which knew no half pixels; a global max pool."""
    make = Maker(13)
    make.conv("data", "conv", 4, 3, strides=[2, 2])
    kind = "Upsample" if opset < 10 else "Resize"
    for mode in ("linear", "nearest"):
        scales = make.constant(f"{mode}_scales", [1, 1, 1.5, 1.5], "f4")
        make.node(kind, ["conv", scales], mode, mode=mode)
    make.node("Sub", ["linear", "nearest"], "difference")
    make.node("GlobalMaxPool", ["difference"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]}, opset=opset, ir_version=5)


def of_upsampled_10() -> onnx.ModelProto:
    """The same with opset 10's Resize."""
    return of_upsampled(10)


def of_stored() -> onnx.ModelProto:
    """Weights that are only stored in INT8, per output channel; activations are float."""
    make = Maker(14)
    values = make.rng.integers(-127, 128, (4, 3, 3, 3))
    names = [make.constant("w_int8", values, "i1"), make.constant("w_scale", [0.01, 0.02, 0.03, 0.04], "f4")]
    make.node("DequantizeLinear", [*names, make.constant("w_zero", [0] * 4, "i1")], "w", axis=0)
    make.node("Conv", ["data", "w"], "conv", kernel_shape=[3, 3])
    make.node("GlobalMaxPool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]})


def of_response_in_pieces() -> onnx.ModelProto:
    """Local response normalisation as PyTorch's exporter writes it: squares, their mean over five maps, a power."""
    make = Maker(15)
    make.conv("data", "conv", 8, 3)
    make.node("Relu", ["conv"], "relu")
    make.node("Mul", ["relu", "relu"], "squares")
    make.node("Unsqueeze", ["squares", make.constant("second", [1])], "volume")
    make.node("Pad", ["volume", make.constant("two", [0, 0, 2, 0, 0, 0, 0, 2, 0, 0])], "padded")
    make.node("AveragePool", ["padded"], "means", kernel_shape=[5, 1, 1], strides=[1, 1, 1])
    make.node("Squeeze", ["means", "second"], "maps")
    make.node("Mul", ["maps", make.constant("alpha", 0.5, "f4")], "scaled")
    make.node("Add", ["scaled", make.constant("bias", 2, "f4")], "sum")
    make.node("Pow", ["sum", make.constant("beta", 0.75, "f4")], "power")
    make.node("Div", ["relu", "power"], "normal")
    make.conv("normal", "second_conv", 5, 8, strides=[2, 2])
    make.node("GlobalAveragePool", ["second_conv"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model([1, 3, 16, 16], {"logits": [1, 5]})


def of_rows(image: Shape = ("N", 3 * 12 * 12), *, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """An image's values in a row, as people write a first network; or grey images without a side for channels."""
    make = Maker(16)
    pixels = 3 * 12 * 12 if len(image) == 2 else 12 * 10
    make.node("Cast", ["data"], "floats", to=TensorProto.FLOAT)
    make.node("Flatten", ["floats"], "row")
    make.node("Gemm", ["row", make.weight("fc1_w", 16, pixels), make.weight("fc1_b", 16)], "fc1", transB=1)
    make.node("Tanh", ["fc1"], "tanh")
    make.node("Gemm", ["tanh", make.weight("fc2_w", 5, 16), make.weight("fc2_b", 5)], "logits", transB=1)
    model = make.model(image, {"logits": [image[0], 5]}, kind=kind)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return model


def of_one_row() -> onnx.ModelProto:
    """A row of bytes, a batch of 1."""
    return of_rows([1, 3 * 12 * 12], kind=TensorProto.UINT8)


def of_grey() -> onnx.ModelProto:
    """Grey images, the batch fixed, one side open."""
    return of_rows([2, 12, "W"])
