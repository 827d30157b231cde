"""A classifier of AlexNet's size with random weights, as ONNX, in FP32 and INT8: what the benchmarks run at size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibration.options import CalibrationOptions
from runtime.datasets import ArrayDataset
from runtime.progress import SilentProgress
from runtime.spec import ModelSpec, Preprocess, Resize, classifier_spec

SIDE = 227
CLASSES = 1000
# Output channels, kernel, stride, padding, and whether a 3x3 pooling of stride 2 follows.
CONVOLUTIONS = (
    (96, 11, 4, 0, True),
    (256, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)
FULLY_CONNECTED = (4096, 4096, CLASSES)
CALIBRATION_IMAGES = 4


def make_spec() -> ModelSpec:
    preprocess = Preprocess("rgb", (Resize(SIDE, SIDE),), (0.0,) * 3, (1.0,) * 3)
    return classifier_spec("alexnet-size", height=SIDE, width=SIDE, classes=CLASSES, preprocess=preprocess)


def write_fp32(path: Path) -> None:
    """uint8 NHWC `image` to `probabilities`, 62 million weights."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], name="front/cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], name="front/transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["nchw", "middle"], ["centred"], name="front/sub"),
    ]
    weights = [numpy_helper.from_array(np.array(128, np.float32), "middle")]

    def parameters(name: str, shape: tuple[int, ...], gain: float) -> list[str]:
        deviation = gain / np.sqrt(np.prod(shape[1:]))
        weights.append(numpy_helper.from_array(rng.normal(0, deviation, shape).astype(np.float32), f"{name}.weight"))
        weights.append(numpy_helper.from_array(np.zeros(shape[0], np.float32), f"{name}.bias"))
        return [f"{name}.weight", f"{name}.bias"]

    value, channels = "centred", 3
    for number, (filters, kernel, stride, padding, pooled) in enumerate(CONVOLUTIONS, 1):
        name = f"conv{number}"
        gain = 1 / 74 if number == 1 else 2**0.5  # a random pixel less 128 has a deviation of 74
        inputs = [value, *parameters(name, (filters, channels, kernel, kernel), gain)]
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
        nodes.append(helper.make_node("Conv", inputs, [name], name=name, **sizes))
        nodes.append(helper.make_node("Relu", [name], [f"{name}/relu"], name=f"{name}/relu"))
        value, channels = f"{name}/relu", filters
        if pooled:
            pool = f"{name}/pool"
            nodes.append(helper.make_node("MaxPool", [value], [pool], name=pool, kernel_shape=[3, 3], strides=[2, 2]))
            value = pool
    nodes.append(helper.make_node("Flatten", [value], ["flat"], name="flatten", axis=1))
    value, width = "flat", channels * 6 * 6
    for number, outputs in enumerate(FULLY_CONNECTED, 1):
        name = f"fc{number}"
        inputs = [value, *parameters(name, (outputs, width), 2**0.5)]
        nodes.append(helper.make_node("Gemm", inputs, [name], name=name, transB=1))
        value, width = name, outputs
        if number < len(FULLY_CONNECTED):
            nodes.append(helper.make_node("Relu", [name], [f"{name}/relu"], name=f"{name}/relu"))
            value = f"{name}/relu"
    nodes.append(helper.make_node("Softmax", [value], ["probabilities"], name="softmax", axis=1))
    graph = helper.make_graph(
        nodes,
        "alexnet-size",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)


def write_int8(fp32_path: Path, path: Path) -> None:
    """The same graph with Q/DQ, calibrated by this project on random pixels; weights of 7 bits run on any CPU."""
    from calibration.calibration import CalibrationRequest, calibrate
    from calibration.placement import plan
    from calibration.quantize import at_precision

    pixels = np.random.default_rng(1).integers(0, 256, (CALIBRATION_IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
    images = ArrayDataset("random pixels", pixels, None)
    model = onnx.load(fp32_path)
    request = CalibrationRequest(fp32_path, plan(model), images, make_spec(), True, CalibrationOptions(method="minmax"))
    calibration = calibrate(request, SilentProgress())
    onnx.save(at_precision(model, "int8", calibration, {})[0], path)
