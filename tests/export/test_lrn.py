"""Local response normalization: the paper's formula, and one ONNX node from export to INT8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from calibration.calibration import CalibrationRequest, calibrate
from calibration.options import CalibrationOptions
from calibration.placement import plan
from calibration.quantize import at_precision
from export.module import export_module
from export.parity import normalize
from runtime.progress import SilentProgress
from runtime.spec import BatchRange
from tests.export.graphs import answer, op_types
from tests.export.lenet import dataset, digits
from toolkit.zoo import ZOO
from toolkit.zoo.layers import LocalResponseNorm
from toolkit.zoo.weights import make_with_weights

MODEL = ZOO["lenet"].with_options({"normalization": "lrn", "activation": "relu"})


def test_the_formula_is_the_paper_s() -> None:
    maps = 30 * torch.randn(2, 9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = torch.empty_like(maps)
    for i in range(9):
        neighbours = maps[:, max(0, i - 2) : min(8, i + 2) + 1]
        wanted[:, i] = maps[:, i] / (2 + 1e-4 * neighbours.square().sum(1)) ** 0.75
    assert torch.allclose(LocalResponseNorm()(maps), wanted, rtol=1e-12)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lrn") / "model.onnx"
    export_module(make_with_weights(MODEL), MODEL.spec, digits(), path, BatchRange(1, 1, 4), SilentProgress())
    return path


def test_it_is_one_node_that_answers_as_pytorch_does_in_double_precision(exported: Path) -> None:
    model = onnx.load(exported)
    assert op_types(model).count("LRN") == 2
    assert not {"AveragePool", "Pow", "Pad"} & set(op_types(model))
    images = digits()
    with torch.no_grad():
        wanted = (
            make_with_weights(MODEL)
            .double()
            .eval()(torch.from_numpy(normalize(MODEL.spec.preprocess, images)).double())
        )
    (found,) = answer(model, images, "logits")
    assert np.linalg.norm(found - wanted.numpy()) < 1e-5 * np.linalg.norm(wanted.numpy())


def test_it_stays_one_node_in_float16_and_in_int8(exported: Path) -> None:
    model = onnx.load(exported)
    request = CalibrationRequest(
        exported, plan(model), dataset(), MODEL.spec, False, CalibrationOptions(method="minmax")
    )
    calibration = calibrate(request, SilentProgress())
    for precision in ("int8", "int8-fp16", "fp16"):
        converted, _ = at_precision(model, precision, calibration, {})
        assert op_types(converted).count("LRN") == 2
