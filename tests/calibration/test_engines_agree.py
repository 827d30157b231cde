"""An INT8 graph with everything that networks are joined by gives the same on both CPU engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.options import CalibrationOptions
from runtime.backend import EngineFile, EngineOptions
from runtime.datasets import ArrayDataset
from runtime.probe import distance
from runtime.progress import SilentProgress
from runtime.session import session_on
from runtime.spec import BatchRange, Precision
from tests.toolkit.foreign import graphs
from tests.toolkit.foreign.graphs import Maker
from toolkit.foreign.onnx import open_onnx
from toolkit.foreign.spec import Told
from toolkit.graphs import Source, export_fp32, make_graphs


def of_joins() -> onnx.ModelProto:
    """Concats of pools and of each other, a residual Add, a gate, and tensors that several read."""
    make = Maker(12)
    make.conv("data", "stem", 8, 3)
    make.node("Relu", ["stem"], "relu")
    make.conv("relu", "one", 8, 8)
    make.conv("relu", "two", 8, 8, side=1)
    make.node("Add", ["one", "relu"], "residual")
    make.node("Relu", ["residual"], "residual_relu")
    make.node("MaxPool", ["residual_relu"], "pool", kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
    make.node("Concat", ["two", "pool", "residual_relu"], "joined", axis=1)
    make.conv("joined", "squeeze", 8, 24, side=1)
    make.node("Sigmoid", ["squeeze"], "gate")
    make.node("Mul", ["squeeze", "gate"], "swish")
    make.node("Concat", ["swish", "joined"], "dense", axis=1)
    make.conv("dense", "grown", 8, 32, strides=[2, 2])
    make.node("AveragePool", ["dense"], "down", kernel_shape=[2, 2], strides=[2, 2])
    make.node("Concat", ["grown", "down"], "end", axis=1)
    make.node("GlobalAveragePool", ["end"], "mean")
    make.node("Flatten", ["mean"], "flat")
    make.node("Gemm", ["flat", make.weight("fc_w", 6, 40), make.weight("fc_b", 6)], "logits", transB=1)
    return make.model(["N", 3, 16, 16], {"logits": ["N", 6]})


@pytest.mark.parametrize(
    "make",
    [of_joins, graphs.of_parts, graphs.of_vision, graphs.of_stored, graphs.of_response_in_pieces],
    ids=lambda make: make.__name__,
)
def test_both_engines_give_the_same(make: object, tmp_path: Path) -> None:
    onnx.save(make(), tmp_path / "net.onnx")  # type: ignore[operator]
    model = open_onnx(tmp_path / "net.onnx", True, Told())
    pixels = np.random.default_rng(0).integers(0, 256, (48, *model.spec.image_shape), np.uint8)
    source = Source(
        model, ArrayDataset("noise", pixels, None), CalibrationOptions(48, "minmax"), BatchRange(1, 1, 8), True, None
    )
    exported = export_fp32(source, pixels[:8], tmp_path / "fp32.onnx", SilentProgress())
    precisions: tuple[Precision, ...] = ("int8", "int8-fp16")
    made = make_graphs(source, exported.path, precisions, SilentProgress())
    for precision in precisions:
        options = EngineOptions(precision, BatchRange(1, 1, 8), reduced_range=True)
        file = EngineFile(made.by_precision[precision].path, {}, None)
        answers = []
        for backend in ("openvino", "onnxruntime"):
            with session_on(backend, file, model.spec, options) as session:
                answers.append(session.run(pixels[:8]))
        assert distance(*answers) < (0.01 if precision == "int8" else 0.03)
