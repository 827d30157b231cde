"""`toolkit build BUNDLE`: the same graph for another target, without PyTorch and ONNX."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.bundle import Bundle
from tests.command import assert_clean_failure, toolkit, without_packages


def test_a_rebuild_works_without_torch_onnx_and_friends(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    path = without_packages(tmp_path, "torch", "onnx", "onnxscript", "onnxsim", "safetensors")
    done = toolkit(
        *("build", tiny_int8_bundle, "--target", "onnxruntime", "-o", "again", "--json"), cwd=tmp_path, PYTHONPATH=path
    )
    assert done.returncode == 0, done.stderr
    again, source = Bundle.open(tmp_path / "again"), Bundle.open(tiny_int8_bundle)
    for name in ("model.onnx", "probe.npz", "calibration.json", "labels.txt"):
        assert again.manifest.files[name] == source.manifest.files[name]
    assert again.manifest.target == "onnxruntime"
    assert again.manifest.accuracy == source.manifest.accuracy
    assert again.manifest.coverage.quantized == 0
    assert again.spec == source.spec


def test_a_rebuild_goes_back_to_full_coverage(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    assert toolkit("build", tiny_int8_bundle, "--target", "onnxruntime", "-o", "a", cwd=tmp_path).returncode == 0
    assert toolkit("build", "a", "--target", "openvino", "-o", "b", cwd=tmp_path).returncode == 0
    layers = Bundle.open(tmp_path / "b").manifest.layers
    assert {(layer.reached, layer.reason) for layer in layers} == {("int8", "")}


@pytest.mark.parametrize(
    "option", [["--fp32"], ["--weights", "w.safetensors"], ["--calib-data", "d"], ["--int8", "--max-drop", "0"]]
)
def test_a_rebuild_refuses_what_a_finished_graph_cannot_take(
    tiny_int8_bundle: Path, tmp_path: Path, option: list[str]
) -> None:
    done = toolkit("build", tiny_int8_bundle, *option, "-o", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert not (tmp_path / "out").exists()


def test_a_rebuild_of_a_changed_bundle_is_refused(tiny_bundle_copy: Path, tmp_path: Path) -> None:
    model = tiny_bundle_copy / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    done = toolkit("build", tiny_bundle_copy, "-o", "out", cwd=tmp_path)
    assert_clean_failure(done, "model.onnx", "sha256")
    assert not (tmp_path / "out").exists()
