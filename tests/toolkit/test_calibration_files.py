"""calibration.json on the command line: made, given, refused, drawn; and an accuracy budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibration.record import read_calibration, write_calibration
from calibration.thresholds import METHODS
from runtime.bundle import Bundle
from tests.calibration.spoiled import spoiled
from tests.command import assert_clean_failure, toolkit


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with calibration.json of lenet-28 by entropy, from 200 images, bad for conv2, and TensorRT's cache."""
    folder = tmp_path_factory.mktemp("made")
    done = toolkit(
        "calibrate", "lenet-28", "--calib-images", 200, "--method", "entropy", "-o", "calibration.json",
        "--trt-cache", "lenet.cache", "--trt-version", "8.6.1", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "wrote calibration.json and lenet.cache" in done.stdout
    head, *lines = (folder / "lenet.cache").read_text().splitlines()
    assert head == "TRT-8601-EntropyCalibration2" and "image_minus_128: 3f800000" in lines
    assert {"conv2d", "max_pool2d", "logits"} < {line.partition(": ")[0] for line in lines}
    path = folder / "calibration.json"
    write_calibration(path, spoiled(read_calibration(path), "tanh"))
    return folder


def test_a_file_that_is_given_is_used_and_a_budget_is_met(made: Path, few_digits: Path, tmp_path: Path) -> None:
    build = ("build", "lenet-28", "--int8", "--target", "onnxruntime", "--calibration", made / "calibration.json")
    done = toolkit(*build, "--max-drop", 1, "--eval-data", few_digits, "-o", "bundle", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    budget = result["budget"]["budget"]
    assert budget["met"] and budget["lost"] <= 1 < budget["lost_at_first"]
    assert [entry["layer"] for entry in budget["given_back"]] == ["conv2"]
    assert result["budget"]["p50_ms"] > 0 and result["budget"]["all_int8_p50_ms"] > 0
    given, used = (read_calibration(path / "calibration.json") for path in (made, tmp_path / "bundle"))
    assert (used.tensors, used.method) == (given.tensors, "entropy")
    layers = {layer.name: layer for layer in Bundle.open(tmp_path / "bundle").manifest.layers}
    assert layers["conv2"].asked == "fp32" and "budget" in layers["conv2"].reason
    assert {layer.asked for layer in layers.values() if layer.name != "conv2"} == {"int8"}


@pytest.mark.parametrize("method", ["entropy", "minmax"])
def test_thresholds_that_do_badly_are_warned_of(made: Path, few_digits: Path, tmp_path: Path, method: str) -> None:
    build = ("build", "lenet-28", "--int8", "--target", "onnxruntime", "--calibration", made / "calibration.json")
    done = toolkit(*build, "--method", method, "--eval-data", few_digits, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert any("--method auto" in warning for warning in result["warnings"]) == (method == "entropy")
    assert result["method"] == method


def test_the_export_takes_another_method_of_the_file(made: Path, tmp_path: Path) -> None:
    export = ("export", "lenet-28", "--int8", "--calibration", made / "calibration.json", "--json")
    methods = {}
    for method in (None, "minmax"):
        done = toolkit(*export, *(["--method", method] if method else []), "-o", f"{method}.onnx", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        methods[result["method"]] = result["error"]["logits_sqnr_db"]
    assert methods["minmax"] > 25 > 15 > methods["entropy"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "activation=relu", "--random-weights"), ["the graph", "the weights"]),
        (("--calib-images", 100), ["the images"]),
    ],
)
def test_a_stale_file_is_refused_with_what_differs(
    made: Path, tmp_path: Path, options: tuple[object, ...], words: list[str]
) -> None:
    done = toolkit("build", "lenet-28", "--int8", *options, "--calibration", made / "calibration.json", cwd=tmp_path)
    assert_clean_failure(
        done, "does not fit lenet-28", "or with `toolkit calibrate`", *words
    )  # no name: files have paths
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_rounded_weights_are_damaged_is_refused(tmp_path: Path) -> None:
    done = toolkit("calibrate", "lenet", "--calib-images", 64, "--method", "minmax", "-o", "c.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "c.json").read_bytes())
    assert content["roundings"].keys() == {"conv1", "conv2", "fc1", "fc2", "fc3"}
    content["roundings"]["fc1"] = content["roundings"]["fc2"]
    (tmp_path / "c.json").write_text(json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False) + "\n")
    done = toolkit("export", "lenet", "--int8", "--calibration", tmp_path / "c.json", cwd=tmp_path)
    assert_clean_failure(done, "the rounded weights of fc1 are damaged", "calibrate again")
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_layers_are_rounded_as_they_are_told(tmp_path: Path) -> None:
    few = ("calibrate", "lenet", "--calib-images", 64, "--method", "minmax")
    done = toolkit(*few, "--rounding", "nearest", "--keep-biases", "-o", "plain.json", cwd=tmp_path)
    assert done.returncode == 0 and "fit layers" not in done.stderr, done.stderr
    plain = read_calibration(tmp_path / "plain.json")
    assert not plain.fitted
    done = toolkit(*few, "--keep-biases", "-o", "rounded.json", cwd=tmp_path)
    rounded = read_calibration(tmp_path / "rounded.json")
    assert done.returncode == 0 and rounded.roundings and not rounded.biases
    assert rounded.tensors == plain.tensors


def test_a_file_that_is_none_is_refused_before_the_work(made: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes((made / "calibration.json").read_bytes()[:-2])
    done = toolkit("build", "lenet-28", "--int8", "--calibration", tmp_path / "c.json", cwd=tmp_path)
    assert_clean_failure(done, "c.json")
    assert "export:" not in done.stderr


@pytest.mark.parametrize(
    "options", [("--fp32", "--calibration", "c.json"), ("--fp16", "--max-drop", 1), ("--max-drop", 1)]
)
def test_what_only_int8_has_is_refused_without_it(tmp_path: Path, options: tuple[object, ...]) -> None:
    done = toolkit("build", "lenet", *options, cwd=tmp_path)
    assert done.returncode == 2 and "give --int8 too" in done.stderr


def test_inspect_draws_a_histogram_with_four_thresholds(made: Path, lenet_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("inspect", made / "calibration.json", "--histogram", "tanh_1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(f"  {mark}  {name}" in done.stdout for mark, name in zip("mpes", METHODS, strict=True))
    assert "<- taken" in done.stdout and "█" in done.stdout and max(map(len, done.stdout.splitlines())) <= 110
    every = toolkit("inspect", lenet_bundle, "--histogram", "all", cwd=tmp_path)
    assert every.returncode == 0 and every.stdout.count("magnitudes from 0 to") == 5
    assert "a scale of 1 is exact" in every.stdout
    unknown = toolkit("inspect", lenet_bundle, "--histogram", "tanh_9", cwd=tmp_path)
    assert_clean_failure(unknown, "tanh_9", "tanh_1")
