"""TensorRT's calibration cache: its lines as its own calibrators write them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.calibration import CalibrationRequest, calibrate
from calibration.options import CalibrationOptions
from calibration.placement import plan
from calibration.record import read_calibration
from calibration.trt_cache import every_scale, trt_cache
from export.reference import open_reference
from runtime.datasets import ArrayDataset, batches
from runtime.errors import ToolkitError
from tests.fakes import RecordingProgress
from toolkit.zoo import ZOO


def test_every_activation_has_a_scale(lenet_fp32: Path) -> None:
    """Without one TensorRT gives up INT8 for the layers that read and that give it."""
    spec, options = ZOO["lenet"].spec, CalibrationOptions(method="minmax", rounding="nearest", correct_biases=False)
    digits = ArrayDataset("noise", np.random.default_rng(0).integers(0, 256, (32, 28, 28), np.uint8), None)
    request = CalibrationRequest(lenet_fp32, plan(onnx.load(lenet_fp32)), digits, spec, False, options)
    calibration = calibrate(request, RecordingProgress())
    scales = every_scale(request, calibration, RecordingProgress())
    computed = [name for node in onnx.load(lenet_fp32).graph.node for name in node.output]
    assert list(scales) == computed and "logits" in scales and "probabilities" in scales
    assert {name: scales[name] for name in calibration.scales} == calibration.scales
    assert scales["max_pool2d"] == scales["tanh"] and scales["view"] == scales["max_pool2d_1"] == scales["tanh_1"]
    others = ["conv2d", "conv2d_1", "linear", "logits"]
    (images,) = batches(request.halves[0], spec, calibration.images)
    found = open_reference(onnx.load(lenet_fp32), others).run(None, {"image": images})
    for name, values in zip(others, found, strict=True):
        assert scales[name] == pytest.approx(np.abs(values).max() / 127, rel=1e-5)


def test_every_scale_is_there_to_the_bit(lenet_bundle: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    head, *lines = trt_cache(calibration.scales).decode().splitlines()
    assert head == "TRT-100300-EntropyCalibration2"
    found = {
        name: struct.unpack(">f", bytes.fromhex(digits))[0] for name, digits in (line.split(": ") for line in lines)
    }
    assert found == calibration.scales and "image_minus_128: 3f800000" in lines
    assert all(np.float32(value) == value for value in calibration.scales.values())


@pytest.mark.parametrize(
    ("version", "number"), [((8, 6, 1), "8601"), ((10, 3, 0), "100300"), ((10, 13, 3), "101303"), ((8, 0, 2), "8002")]
)
def test_the_first_line_names_the_version(version: tuple[int, int, int], number: str) -> None:
    assert trt_cache({"tanh": 0.5}, version).startswith(f"TRT-{number}-EntropyCalibration2\n".encode())


@pytest.mark.parametrize("name", ["two\nlines", "a: b", "end\r"])
def test_a_name_that_would_break_a_line_is_refused(name: str) -> None:
    with pytest.raises(ToolkitError, match="TensorRT cache"):
        trt_cache({name: 0.5})
