"""The uint8 front: every graph takes uint8 NHWC images, and does the arithmetic of preprocessing itself."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from runtime.spec import ModelSpec

IMAGE = "image"
#: The tensor behind `Sub 128`. Where a graph has it, it holds whole numbers in -128..127.
FRONT_OFFSET_OUTPUT = "image_minus_128"
#: The tensor behind a division of that by 128, in graphs for float16.
FRONT_SCALED_OUTPUT = "image_minus_128_over_128"
#: What the names of the front's nodes begin with.
FRONT_PREFIX = "front/"
#: The tensor behind `Sub mean`, before the fold.
FRONT_MEAN_OUTPUT = "image_minus_mean"


def add_front(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Put Cast, Transpose, Sub mean and Mul 1 / std (in pixel units) before the graph's float NCHW input.

    Args:
        model: changed in place; its one input is float (batch, C, H, W).
        spec: gives mean and std; the new input `image` is uint8 (batch, H, W, C).
    """
    graph = model.graph
    (old,) = graph.input
    pixels = "front/pixels"
    renamed = "front/normalized"
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old.name:
                node.input[index] = renamed
    mean, std = (
        255 * np.array(values, np.float64).reshape(1, -1, 1, 1)
        for values in (spec.preprocess.mean, spec.preprocess.std)
    )
    constants = {"front/mean": mean.astype(np.float32), "front/inverse_std": (1 / std).astype(np.float32)}
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    front = [
        helper.make_node("Cast", [IMAGE], ["front/float"], "front/cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["front/float"], [pixels], "front/transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", [pixels, "front/mean"], [FRONT_MEAN_OUTPUT], "front/offset"),
        helper.make_node("Mul", [FRONT_MEAN_OUTPUT, "front/inverse_std"], [renamed], "front/scale"),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend(front + rest)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["batch", *spec.image_shape]))
