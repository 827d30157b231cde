"""What each engine says of lenet's layers, by their own names, however it fuses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.backend import EngineOptions, get_backend
from runtime.progress import SilentProgress
from toolkit.zoo import ZOO

LAYERS = ("conv1", "conv2", "fc1", "fc2", "fc3")


def executed(target: str, path: Path, threads: int) -> set[str]:
    """The types of the five layers."""
    options = EngineOptions(threads=threads)
    types = get_backend(target).compile(path, path.parent, ZOO["lenet"].spec, options, SilentProgress()).layers
    assert types is not None
    return {types[layer] for layer in LAYERS}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("target", ["openvino", "onnxruntime"])
def test_float_layers_are_float(target: str, threads: int, lenet_fp32: Path) -> None:
    assert executed(target, lenet_fp32, threads) == {"fp32"}


@pytest.mark.parametrize("threads", [1, 2])
def test_openvino_runs_every_layer_in_int8(threads: int, lenet_bundle: Path) -> None:
    assert executed("openvino", lenet_bundle / "model.onnx", threads) == {"int8"}  # one thread fuses fc2 and fc3


def test_onnx_runtime_runs_every_layer_in_float(lenet_bundle: Path) -> None:
    assert executed("onnxruntime", lenet_bundle / "model.onnx", 1) == {"fp32"}
