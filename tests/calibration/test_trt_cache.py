"""TensorRT's calibration cache: its lines as its own calibrators write them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from calibration.record import read_calibration
from calibration.trt_cache import trt_cache
from runtime.errors import ToolkitError


def test_every_scale_is_there_to_the_bit(lenet_bundle: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    head, *lines = trt_cache(calibration).decode().splitlines()
    assert head == "TRT-100300-EntropyCalibration2"
    found = {
        name: struct.unpack(">f", bytes.fromhex(digits))[0] for name, digits in (line.split(": ") for line in lines)
    }
    assert found == calibration.scales and "image_minus_128: 3f800000" in lines
    assert all(np.float32(value) == value for value in calibration.scales.values())


@pytest.mark.parametrize(
    ("version", "number"), [((8, 6, 1), "8601"), ((10, 3, 0), "100300"), ((10, 13, 3), "101303"), ((8, 0, 2), "8002")]
)
def test_the_first_line_names_the_version(lenet_bundle: Path, version: tuple[int, int, int], number: str) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    assert trt_cache(calibration, version).startswith(f"TRT-{number}-EntropyCalibration2\n".encode())


@pytest.mark.parametrize("name", ["two\nlines", "a: b", "end\r"])
def test_a_name_that_would_break_a_line_is_refused(lenet_bundle: Path, name: str) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    tensors = {name: next(iter(calibration.tensors.values()))}
    with pytest.raises(ToolkitError, match="TensorRT cache"):
        trt_cache(structs.replace(calibration, tensors=tensors))
