"""`toolkit build`: the real pipeline on the real digits, and everything that a user can get wrong."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from runtime import open_session
from runtime.backend import EngineOptions
from runtime.backends.openvino import OpenVinoBackend
from runtime.bundle import Bundle
from runtime.errors import BackendError
from runtime.progress import SilentProgress
from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, toolkit, without_packages
from tests.tiny import LABELS, make_spec, write_model


def test_int8_lenet_keeps_its_accuracy_with_every_layer_in_int8(lenet_build: dict, lenet_bundle: Path) -> None:
    accuracy, coverage = lenet_build["accuracy"], lenet_build["coverage"]
    assert accuracy["images"] == 10_000
    assert accuracy["top1_fp32"] >= 99.1
    assert accuracy["drop_points"] <= 0.05
    assert accuracy["agreement"] >= 99.9
    assert accuracy["top1"] == pytest.approx(accuracy["top1_fp32"] - accuracy["drop_points"])
    assert (coverage["quantized"], coverage["quantizable"], coverage["macs_share"]) == (5, 5, 1.0)
    assert coverage["skipped"] == []
    assert lenet_build["target"] == "openvino"
    assert lenet_build["size_bytes"] == (lenet_bundle / "model.onnx").stat().st_size


def test_the_race_shows_every_target_and_why_one_cannot_win(lenet_build: dict) -> None:
    rows = {(row["precision"], row["target"]): row for row in lenet_build["race"]}
    assert set(rows) == {(p, t) for p in ("fp32", "int8") for t in ("openvino", "onnxruntime")}
    assert rows["int8", "onnxruntime"]["reason_against"] == "it runs nothing of this graph in INT8"
    assert rows["int8", "onnxruntime"]["executed"] == {"fp32": 5}
    assert rows["int8", "openvino"]["executed"] == {"int8": 5}
    assert [row["target"] for row in lenet_build["race"] if row["chosen"]] == ["openvino"]
    # The same graph on two libraries: the answers differ in the last bits, not in the class.
    assert abs(rows["int8", "onnxruntime"]["top1"] - rows["int8", "openvino"]["top1"]) <= 0.05


def test_json_goes_to_standard_output_and_progress_to_standard_error(lenet_output: tuple[str, str]) -> None:
    out, err = lenet_output
    assert json.loads(out)["model"] == "lenet"
    assert "calibrate" in err
    assert "{" not in err


def test_the_manifest_says_what_the_build_said(lenet_build: dict, lenet_bundle: Path) -> None:
    manifest = Bundle.open(lenet_bundle).manifest
    assert msgspec.to_builtins(manifest.accuracy) == lenet_build["accuracy"]
    assert msgspec.to_builtins(manifest.latency_ms) == lenet_build["latency_ms"]
    assert [layer.name for layer in manifest.layers] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert {(layer.asked, layer.reached) for layer in manifest.layers} == {("int8", "int8")}
    assert msgspec.to_builtins(manifest.error) == lenet_build["error"]
    assert (manifest.error.images, min(layer.sqnr_db or 0 for layer in manifest.layers) > 27) == (256, True)
    assert manifest.calibration_digest == manifest.files["calibration.json"].sha256
    assert sorted(manifest.files) == ["calibration.json", "labels.txt", "model.onnx", "probe.npz"]


def test_no_path_of_this_machine_is_in_the_bundle(lenet_bundle: Path) -> None:
    for file in lenet_bundle.iterdir():
        data = file.read_bytes()
        assert str(ROOT).encode() not in data
        assert str(lenet_bundle.parent).encode() not in data
        assert b"site-packages" not in data


def test_only_the_bundle_is_left_behind(lenet_bundle: Path) -> None:
    assert [path.name for path in lenet_bundle.parent.iterdir()] == [lenet_bundle.name]


@pytest.mark.parametrize("target", ["openvino", "onnxruntime"])
def test_fp32_for_a_named_target(tmp_path: Path, target: str) -> None:
    done = toolkit("build", "lenet", "--fp32", "--target", target, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["precision"], result["target"]) == ("fp32", target)
    assert (result["accuracy"]["drop_points"], result["accuracy"]["agreement"]) == (0.0, 100.0)
    assert result["bundle"] == f"lenet-fp32-{target}"
    assert not (tmp_path / result["bundle"] / "calibration.json").exists()
    with open_session(tmp_path / result["bundle"], self_check=True) as session:
        assert session.run(np.zeros((3, 32, 32, 1), np.uint8)).shape == (3, 10)


def test_int8_for_a_target_that_runs_none_of_it_is_built_with_a_warning(few_digits: Path, tmp_path: Path) -> None:
    done = toolkit("build", "lenet", "--int8", "--target", "onnxruntime", "--eval-data", few_digits, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: it runs nothing of this graph in INT8: onnxruntime gains size from it, not speed" in done.stdout
    assert Bundle.open(tmp_path / "lenet-int8-onnxruntime").manifest.coverage.quantized == 0


def test_own_images_without_labels_give_agreement_alone(tmp_path: Path) -> None:
    pictures, others = tmp_path / "pictures", tmp_path / "others"
    rng = np.random.default_rng(0)
    for folder in (pictures, others):
        folder.mkdir()
        for index in range(3):
            cv2.imwrite(str(folder / f"{index}.png"), rng.integers(0, 256, (40, 30, 3), np.uint8))
    done = toolkit(
        *("build", "lenet", "--int8", "--target", "openvino", "--json"),
        *("--calib-data", pictures, "--eval-data", others, "--calib-images", 2, "--batch", "1:2:4", "-o", "out"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    accuracy = json.loads(done.stdout)["accuracy"]
    assert (accuracy["top1"], accuracy["top1_fp32"], accuracy["images"]) == (None, None, 3)
    assert len(Bundle.open(tmp_path / "out").probe.images) == 3  # all there are, whatever calibrates and fits a batch
    assert json.loads(done.stdout)["latency_batch"] == 2
    manifest = Bundle.open(tmp_path / "out").manifest
    assert (manifest.batch.smallest, manifest.batch.best, manifest.batch.largest) == (1, 2, 4)


def test_images_that_are_cut_off_are_found_before_the_work(tiny_bundle: Path, tmp_path: Path) -> None:
    images = tmp_path / "data" / "images"
    for folder in (images, images.with_name("labelled") / LABELS[0]):
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "a.jpg"), np.zeros((40, 40), np.uint8))
        (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes()[:-20])
    for line in (
        ("build", "lenet", "--fp32", "--eval-data", "data/images"),
        ("build", str(tiny_bundle), "--eval-data", "data/labelled", "-o", "again"),
        ("report", str(tiny_bundle), "--quick", "--data", "data/labelled"),
    ):
        done = toolkit(*line, cwd=tmp_path)
        assert_clean_failure(done, "b.jpg is cut off")
        assert not re.search("export:|compile:|measure latency:", done.stderr)
        assert [path.name for path in tmp_path.iterdir()] == ["data"]


class TestLenetBundle:
    """What was built does its work."""

    def test_classify_reads_every_example_digit(self, lenet_bundle: Path, tmp_path: Path) -> None:
        digits = sorted((ROOT / "examples" / "digits").glob("*.png"))
        done = toolkit("classify", lenet_bundle, *digits, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert [answer["top"][0]["label"] for answer in answers] == [path.name[0] for path in digits]
        assert {answer["refused"] for answer in answers} == {False}

    @pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
    def test_verify_holds_on_every_backend(self, lenet_bundle: Path, tmp_path: Path, backend: str) -> None:
        done = toolkit("verify", lenet_bundle, "--backend", backend, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["ok"]

    def test_inspect_shows_layers_and_accuracy(self, lenet_bundle: Path, tmp_path: Path) -> None:
        done = toolkit("inspect", lenet_bundle, cwd=tmp_path)
        for word in ("conv1", "117,600", "int8", "top-1"):
            assert word in done.stdout

    def test_a_rebuild_keeps_the_files_and_the_accuracy(self, lenet_bundle: Path, tmp_path: Path) -> None:
        assert toolkit("build", lenet_bundle, "--target", "openvino", "-o", "again", cwd=tmp_path).returncode == 0
        again, source = Bundle.open(tmp_path / "again").manifest, Bundle.open(lenet_bundle).manifest
        assert again.files == source.files
        assert (again.accuracy, again.coverage) == (source.accuracy, source.coverage)


class TestBadInput:
    """A message with a hint, exit 1, nothing half-written."""

    def test_unknown_model_suggests_the_nearest(self, tmp_path: Path) -> None:
        assert_clean_failure(toolkit("build", "lenett", "--int8", cwd=tmp_path), "lenett", "lenet")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("other", ["--fp16", "--int8"])
    def test_fp32_stands_alone(self, tmp_path: Path, other: str) -> None:
        done = toolkit("build", "lenet", "--fp32", other, cwd=tmp_path)
        assert done.returncode == 2
        assert "--fp32 stands alone" in done.stderr

    def test_a_graph_that_would_overflow_here_is_refused_not_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("runtime.backends.openvino.saturates", lambda: True)
        write_model(tmp_path / "model.onnx", precision="int8")
        options = EngineOptions("int8", threads=1)
        with pytest.raises(BackendError, match="no VNNI") as caught:
            OpenVinoBackend().compile(tmp_path / "model.onnx", tmp_path, make_spec(), options, SilentProgress())
        assert "--reduce-range" in caught.value.hint

    @pytest.mark.parametrize("value", ["0:1:2", "3:2:1", "1:2", "x", "1:1:70000"])
    def test_batch_that_is_none_is_a_usage_error(self, tmp_path: Path, value: str) -> None:
        done = toolkit("build", "lenet", "--int8", "--batch", value, cwd=tmp_path)
        assert done.returncode == 2
        assert "MIN:OPT:MAX" in done.stderr

    def test_weights_of_another_model_name_the_first_key(self, tmp_path: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"features.0.weight": np.zeros((4, 4), np.float32)}, tmp_path / "other.safetensors")
        done = toolkit("build", "lenet", "--int8", "--weights", "other.safetensors", cwd=tmp_path)
        assert_clean_failure(done, "other.safetensors", "conv1")
        assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]

    @pytest.mark.parametrize("option", ["--calib-data", "--eval-data", "--data"])
    def test_folder_without_images(self, tmp_path: Path, option: str) -> None:
        (tmp_path / "empty").mkdir()
        done = toolkit("build", "lenet", "--int8", option, "empty", cwd=tmp_path)
        assert_clean_failure(done, "empty")
        assert [path.name for path in tmp_path.iterdir()] == ["empty"]

    def test_one_set_cannot_serve_as_both(self, tmp_path: Path) -> None:
        done = toolkit("build", "lenet", "--int8", "--data", ROOT / "examples" / "digits", cwd=tmp_path)
        assert_clean_failure(done, "digits", "two sets")

    @pytest.mark.parametrize("both", [False, True])
    def test_the_evaluation_set_chooses_nothing(self, tmp_path: Path, both: bool) -> None:
        """Copies of the test digits under another name, and one folder for both."""
        (tmp_path / "copy").mkdir()
        for file in (ROOT / "runtime" / "data" / "mnist").glob("t10k-*"):
            (tmp_path / "copy" / file.name).symlink_to(file)
        flags = ["--eval-data", "copy"] if both else []
        done = toolkit("build", "lenet", "--calib-data", "copy", *flags, "-o", "out", cwd=tmp_path)
        assert_clean_failure(done, "copy (t10k) would be calibrated with and evaluated on", "--eval-data")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("command", ["build", "export"])
    @pytest.mark.parametrize("option", [["--method", "minmax"], ["--full-range"]])
    def test_options_of_int8_without_int8(self, tmp_path: Path, command: str, option: list[str]) -> None:
        done = toolkit(command, "lenet", "--fp16", *option, cwd=tmp_path)
        assert done.returncode == 2
        assert "give --int8 too" in done.stderr

    def test_missing_folder(self, tmp_path: Path) -> None:
        assert_clean_failure(toolkit("build", "lenet", "--int8", "--calib-data", "gone", cwd=tmp_path), "gone")

    @pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n cut off"])
    def test_image_that_cannot_be_read(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "pictures").mkdir()
        (tmp_path / "pictures" / "bad.png").write_bytes(content)
        done = toolkit("build", "lenet", "--int8", "--calib-data", "pictures", cwd=tmp_path)
        assert_clean_failure(done, "bad.png")
        assert [path.name for path in tmp_path.iterdir()] == ["pictures"]

    def test_existing_output_is_refused_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("mine")
        start = time.monotonic()
        assert_clean_failure(toolkit("build", "lenet", "--int8", "-o", "out", cwd=tmp_path), "out", "--force")
        assert time.monotonic() - start < 60  # no measure of speed: an export would have started by then
        assert_clean_failure(toolkit("build", "lenet", "--int8", "-o", "out", "--force", cwd=tmp_path), "not a bundle")
        assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"

    @pytest.mark.parametrize(
        ("package", "extra"), [("torch", "[export]"), ("onnx", "[export]"), ("onnxruntime", "[cpu]")]
    )
    def test_missing_extra_gets_its_pip_command(self, tmp_path: Path, package: str, extra: str) -> None:
        work = tmp_path / "work"
        work.mkdir()
        path = without_packages(tmp_path, package)
        done = toolkit("build", "lenet", "--int8", "-o", "out", cwd=work, PYTHONPATH=path)
        assert_clean_failure(done, package, extra)
        assert list(work.iterdir()) == []


class TestTwoAtOnce:
    """Of two builds into one folder one is refused."""

    def start(self, folder: Path, digits: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*TOOLKIT, "build", "lenet", "--int8", "-o", "out", "--eval-data", str(digits)],
            cwd=folder,
            env=environment(TMPDIR=str(folder / "tmp")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_second_build_into_one_folder_fails_at_once_and_the_first_goes_on(
        self, few_digits: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "tmp").mkdir()
        first = self.start(tmp_path, few_digits)
        while not (tmp_path / ".out.building").exists():
            assert first.poll() is None
            time.sleep(0.01)
        second = toolkit("build", "lenet", "--int8", "-o", "out", cwd=tmp_path)
        assert_clean_failure(second, "another build", "out")
        first.communicate(timeout=120)
        assert first.returncode == 0
        assert Bundle.open(tmp_path / "out").manifest.precision == "int8"
