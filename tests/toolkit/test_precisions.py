"""Every precision through the real pipeline; the same inputs give the same bytes; calibrations are reused."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from calibration.record import read_calibration
from export.own_spec import own_spec
from runtime.bundle import Bundle
from tests.command import assert_clean_failure, toolkit
from toolkit.commands.calibrate import show

FILES = ("model.onnx", "calibration.json", "probe.npz")


@pytest.mark.parametrize(
    ("flags", "precision", "least_db", "share"),
    [(["--fp16"], "fp16", 50, 0.52), (["--int8", "--fp16"], "int8-fp16", 27, 0.3)],
)
def test_float16_is_built_and_the_type_that_runs_is_named(
    tmp_path: Path, lenet_build: dict, flags: list[str], precision: str, least_db: float, share: float
) -> None:
    done = toolkit("build", "lenet", *flags, "--target", "openvino", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["precision"], result["bundle"]) == (precision, f"lenet-{precision}-openvino")
    assert result["error"]["logits_sqnr_db"] > least_db
    assert result["accuracy"]["drop_points"] <= 0.05
    float32, row = result["race"]
    assert row["size_bytes"] < share * float32["size_bytes"]
    asked = "int8" if "int8" in precision else "fp16"
    assert {layer["asked"] for layer in result["layers"]} == {asked}
    manifest = Bundle.open(tmp_path / result["bundle"]).manifest
    executed = {layer.reached for layer in manifest.layers}
    assert executed in ({"int8"}, {"fp32"}, {"bf16"}, {"fp16"})
    if executed in ({"fp32"}, {"bf16"}):  # a CPU without float16 arithmetic: it is said, and what that means
        (instead,) = executed
        assert {layer.reason for layer in manifest.layers} == {f"openvino runs it in {instead}"}
        assert "it runs nothing of this graph in float16" in result["warnings"][0]
        assert ("bfloat16" in result["warnings"][0]) == (instead == "bf16")
    assert toolkit("verify", result["bundle"], cwd=tmp_path).returncode == 0
    types = {entry.data_type for entry in onnx.load(tmp_path / result["bundle"] / "model.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types


def test_without_a_flag_precisions_race_and_the_table_tells_why(few_digits: Path, tmp_path: Path) -> None:
    done = toolkit("build", "lenet", "--calib-images", 400, "--eval-data", few_digits, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "judge precisions" in done.stderr
    manifest = Bundle.open(tmp_path / "lenet-auto").manifest
    assert f"chosen: {manifest.precision} on {manifest.target}" in done.stdout
    for row in ("fp32 ", "fp16 ", "int8 ", "int8-fp16 "):
        assert f"\n {row}" in done.stdout
    assert "int8 on onnxruntime cannot win: it runs nothing of this graph in INT8" in done.stdout
    assert ("calibration.json" in manifest.files) == ("int8" in manifest.precision)


def test_two_builds_in_two_folders_give_the_same_bytes(lenet_bundle: Path, few_digits: Path, tmp_path: Path) -> None:
    options = ("--target", "openvino", "--threads", 1, "--cache-dir", "cache", "--eval-data", few_digits)
    arguments = ("build", "lenet", "--int8", *options)
    first = toolkit(*arguments, "-o", "deep/er/one", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "none to reuse: none of lenet in the cache yet" in first.stderr
    for name in FILES:
        assert (tmp_path / "deep/er/one" / name).read_bytes() == (lenet_bundle / name).read_bytes(), name
    again = toolkit(*arguments, "-o", "two", cwd=tmp_path)
    assert "reused" in again.stderr and "calibrate:" not in again.stderr
    for name in FILES:
        assert (tmp_path / "two" / name).read_bytes() == (lenet_bundle / name).read_bytes(), name


class TestExport:
    """`toolkit export`: one file."""

    def test_writes_what_a_build_would_hold(self, lenet_bundle: Path, tmp_path: Path) -> None:
        done = toolkit("export", "lenet", "--int8", "-o", "new/model.onnx", "--json", cwd=tmp_path, fresh=True)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        written = onnx.load(tmp_path / "new/model.onnx")
        assert own_spec(written) == Bundle.open(lenet_bundle).spec
        written.ClearField("metadata_props")
        assert written.SerializeToString(deterministic=True) == (lenet_bundle / "model.onnx").read_bytes()
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.onnx"]
        assert result["method"] == read_calibration(lenet_bundle / "calibration.json").method
        assert isinstance(result["reduced_range"], bool)
        assert result["file"] == "new/model.onnx" and result["error"]["logits_sqnr_db"] > 27
        assert [layer["name"] for layer in result["layers"]] == ["conv1", "conv2", "fc1", "fc2", "fc3"]

    def test_is_float32_without_a_flag(self, tmp_path: Path) -> None:
        done = toolkit("export", "lenet-28", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "wrote lenet-28-fp32.onnx" in done.stdout
        onnx.checker.check_model(onnx.load(tmp_path / "lenet-28-fp32.onnx"), full_check=True)

    def test_an_existing_file_is_kept(self, tmp_path: Path) -> None:
        (tmp_path / "mine.onnx").write_text("mine")
        assert_clean_failure(toolkit("export", "lenet", "-o", "mine.onnx", cwd=tmp_path), "mine.onnx", "--force")
        assert (tmp_path / "mine.onnx").read_text() == "mine"

    @pytest.mark.parametrize("command", ["export", "calibrate"])
    def test_a_failure_leaves_neither_file_nor_folder(self, tmp_path: Path, command: str) -> None:
        (tmp_path / "empty").mkdir()
        done = toolkit(command, "lenet", "--data", "empty", "-o", "new/file", cwd=tmp_path)
        assert_clean_failure(done, "no images in empty")
        assert [path.name for path in tmp_path.iterdir()] == ["empty"]
        done = toolkit(command, "lenett", "-o", "new/file", cwd=tmp_path)
        assert_clean_failure(done, "lenett")
        (tmp_path / "file").touch()
        assert_clean_failure(
            toolkit(command, "lenet", "-o", "file/x", cwd=tmp_path), "file/x: a file is where a folder"
        )


def test_calibrate_writes_what_a_build_would_hold(
    lenet_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = toolkit("calibrate", "lenet", "--json", cwd=tmp_path, fresh=True)
    assert done.returncode == 0, done.stderr
    written = tmp_path / "lenet-calibration.json"
    assert written.read_bytes() == (lenet_bundle / "calibration.json").read_bytes()
    calibration = read_calibration(written)
    assert calibration.images == 768
    result = json.loads(done.stdout)
    assert (result["file"], result["calibration"]) == (written.name, json.loads(written.read_text()))
    show("lenet", calibration)  # what it prints without --json
    assert f"method: {calibration.method}; mean SQNR of the logits of 256 images" in capsys.readouterr().out
