"""The whole of calibration on the real model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx

import runtime
from calibration.calibration import read_calibration
from calibration.quantize import quantize
from runtime import open_session
from runtime.backend import EngineOptions
from runtime.backends.openvino import OpenVinoBackend
from runtime.bundle import Bundle
from runtime.canonical import digest_file
from runtime.datasets import evenly_spaced, open_dataset
from runtime.evaluate import predict
from runtime.progress import SilentProgress
from toolkit.zoo import ZOO

DIGITS = Path(runtime.__file__).parent / "data" / "mnist"


def test_both_engines_put_the_digits_into_the_same_classes(lenet_bundle: Path) -> None:
    digits = evenly_spaced(open_dataset(DIGITS, "test"), 1000)
    with open_session(lenet_bundle) as one, open_session(lenet_bundle, backend="onnxruntime") as other:
        classes = predict({"one": one, "other": other}, digits, SilentProgress())
    assert np.mean(classes["one"] == classes["other"]) >= 0.998


def test_openvino_executes_every_layer_in_int8(lenet_bundle: Path, tmp_path: Path) -> None:
    spec = Bundle.open(lenet_bundle).spec
    options = EngineOptions("int8")
    compiled = OpenVinoBackend().compile(lenet_bundle / "model.onnx", tmp_path, spec, options, SilentProgress())
    assert compiled.layers is not None
    assert {compiled.layers[name] for name in ("conv1", "conv2", "fc1", "fc2", "fc3")} == {"int8"}
    assert list(tmp_path.iterdir()) == []


def test_the_table_names_tensors_of_the_graph_and_what_it_was_taken_from(lenet_bundle: Path) -> None:
    table = read_calibration(lenet_bundle / "calibration.json")
    quantizers = [n for n in onnx.load(lenet_bundle / "model.onnx").graph.node if n.op_type == "QuantizeLinear"]
    assert sorted(table.tensors) == sorted(node.input[0] for node in quantizers)
    assert len(quantizers) == 5
    assert re.fullmatch("[0-9a-f]{64}", table.model_digest)
    assert table.images_digest == open_dataset(DIGITS, "train").digest()


def test_the_build_is_repeated_byte_for_byte(lenet_bundle: Path, lenet_fp32: Path, tmp_path: Path) -> None:
    model, table = tmp_path / "model.onnx", tmp_path / "calibration.json"
    digits = open_dataset(DIGITS, "train")
    quantize(lenet_fp32, digits, ZOO["lenet"].spec, model, table, progress=SilentProgress())
    assert model.read_bytes() == (lenet_bundle / "model.onnx").read_bytes()
    assert table.read_bytes() == (lenet_bundle / "calibration.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calibration.json", "model.onnx"]


def test_quantizes_and_says_what_from(lenet_fp32: Path, tmp_path: Path) -> None:
    digits = evenly_spaced(open_dataset(DIGITS, "train"), 40)
    model, table = tmp_path / "model.onnx", tmp_path / "calibration.json"
    calibration = quantize(lenet_fp32, digits, ZOO["lenet"].spec, model, table, progress=SilentProgress())
    assert calibration is not None
    assert calibration.model_digest == digest_file(lenet_fp32)
    assert (calibration.images, calibration.images_digest) == (40, digits.digest())
    operators = [node.op_type for node in onnx.load(model).graph.node]
    assert (operators.count("QuantizeLinear"), operators.count("DequantizeLinear")) == (5, 10)


def test_a_graph_that_holds_qdq_passes_through_byte_for_byte(lenet_bundle: Path, tmp_path: Path) -> None:
    source, model, table = lenet_bundle / "model.onnx", tmp_path / "model.onnx", tmp_path / "calibration.json"
    digits = open_dataset(DIGITS, "train")
    assert quantize(source, digits, ZOO["lenet"].spec, model, table, progress=SilentProgress()) is None
    assert model.read_bytes() == source.read_bytes()
    assert not table.exists()
