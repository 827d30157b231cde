"""Small graphs, written down as ONNX text."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from export.reference import open_reference
from runtime.spec import ModelSpec, Preprocess, classifier_spec

HEIGHT, WIDTH, CHANNELS = 6, 5, 3
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def color_spec(**changes: object) -> ModelSpec:
    """A classifier of 6x5 colour pixels; `changes` go to `classifier_spec`."""
    preprocess = Preprocess("rgb", (), MEAN, STD)
    settings = {"height": HEIGHT, "width": WIDTH, "classes": 4, "preprocess": preprocess}
    return classifier_spec("net", **{**settings, **changes})  # type: ignore[arg-type]


def color_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random pixels, uint8 (count, 6, 5, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, HEIGHT, WIDTH, CHANNELS), dtype=np.uint8)


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Normally distributed numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def parse(
    body: str, outputs: str, *, takes: str = f"float[batch,{CHANNELS},{HEIGHT},{WIDTH}] image", **constants: np.ndarray
) -> onnx.ModelProto:
    """A graph of these nodes.

    Args:
        body: nodes.
        outputs: with their types.
        takes: inputs with their types.
        constants: initializers by name.
    """
    text = f'<ir_version: 10, opset_import: ["" : 20]> net ({takes}) => ({outputs}) {{ {body} }}'
    model: onnx.ModelProto = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return model


def answer(model: onnx.ModelProto, images: NDArray[np.generic], *outputs: str) -> list[NDArray[np.float32]]:
    """What ONNX Runtime gives, for the graph's own outputs or those named."""
    answers: list[NDArray[np.float32]] = open_reference(model, outputs or None).run(None, {"image": images})
    return answers


def distance(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Largest |difference| over largest |answer|."""
    assert one.shape == other.shape
    return float(np.abs(one - other).max() / np.abs(one).max())


def op_types(model: onnx.ModelProto) -> list[str]:
    """The operators in order."""
    return [node.op_type for node in model.graph.node]


def constant_names(model: onnx.ModelProto) -> set[str]:
    """The names of all initializers."""
    return {initializer.name for initializer in model.graph.initializer}


def in_bytes(model: onnx.ModelProto) -> bytes:
    """The file's content."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content
