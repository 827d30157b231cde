"""`toolkit build --target tensorrt-rtx` where no GPU is: a whole bundle, and what cannot be known is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from runtime.bundle import PLAN, Bundle
from tests.command import assert_clean_failure, toolkit, without_packages
from tests.conftest import shared_folder
from toolkit.build_result import BuildResult
from toolkit.build_tables import next_step

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: it has packages for x86-64 alone")

TARGET = ("--target", "tensorrt-rtx")


def no_gpu() -> bool:
    from runtime.backend import get_backend

    return not get_backend("tensorrt-rtx").available().ok


pytestmark = pytest.mark.skipif(not no_gpu(), reason="a GPU is here: tests/gpu run in their place")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with a bundle, `lenet-int8-fp16-tensorrt-rtx`, and what its build printed; not to be changed."""
    with shared_folder(tmp_path_factory, worker_id, "rtx-build") as root:
        if not (root / "out").exists():
            done = toolkit("build", "lenet", "--int8", "--fp16", *TARGET, "--calib-images", 64, "--json", cwd=root)
            assert done.returncode == 0, done.stderr
            (root / "err").write_text(done.stderr)
            (root / "out").write_text(done.stdout)
    return root


def test_the_bundle_says_what_it_is_for_and_what_was_not_measured(built: Path) -> None:
    result = json.loads((built / "out").read_text())
    bundle = Bundle.open(built / result["bundle"])
    manifest = bundle.manifest
    assert (manifest.target, manifest.precision) == ("tensorrt-rtx", "int8-fp16")
    assert {"model.onnx", PLAN, "calibration.json", "probe.npz", "labels.txt"} == set(manifest.files)
    assert result["size_bytes"] == sum(manifest.files[name].size for name in ("model.onnx", PLAN))
    assert manifest.fingerprint["module"] == "tensorrt_rtx" and manifest.fingerprint["compute_capability"] == "8.6"
    assert result["latency_ms"] is manifest.latency_ms is manifest.probe.distance is None
    assert result["latency_reason"] == manifest.latency_reason == manifest.probe.reason != ""
    assert result["accuracy"]["measured_with"] == "onnxruntime, same graph"
    assert result["accuracy"]["top1"] > 99 and result["accuracy"]["agreement"] > 99.8
    assert [layer["reached"] for layer in result["layers"]] == ["int8"] * 5
    reference, row = result["race"]
    assert (reference["target"], reference["precision"]) == ("onnxruntime", "fp32")
    assert (row["target"], row["chosen"], row["p50_ms"], row["reason_against"]) == ("tensorrt-rtx", True, None, "")
    assert "to where tensorrt-rtx runs" in next_step(msgspec.convert(result, BuildResult))
    said = (built / "err").read_text()
    assert "for compute capability 8.6: no GPU for it is here, and none was named" in said
    assert "4 warnings (-v shows them)" in said


def test_what_opens_it_says_why_it_does_not_run_and_what_does(built: Path, tmp_path: Path) -> None:
    folder = built / "lenet-int8-fp16-tensorrt-rtx"
    picture = Path(__file__).parents[3] / "examples" / "digits" / "0.png"
    for command in (("classify", folder, picture), ("bench", folder), ("verify", folder)):
        done = toolkit(*command, cwd=tmp_path)
        assert_clean_failure(done, "was built for tensorrt-rtx", "8.6", "tensorrt-rtx does not run here")
        assert "--backend onnxruntime" in done.stderr
    done = toolkit("verify", folder, "--backend", "onnxruntime", "--json", cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["ok"]
    assert "compute capability 8.6, module tensorrt_rtx" in toolkit("inspect", folder, cwd=tmp_path).stdout
    done = toolkit("inspect", folder, "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["fingerprint"]["module"] == "tensorrt_rtx"


def test_a_bundle_is_built_again_for_other_gpus_without_torch_and_onnx(built: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir()
    path = without_packages(tmp_path / "blocked", "torch", "onnx", "onnxscript", "onnxsim")
    done = toolkit(
        "build", built / "lenet-int8-fp16-tensorrt-rtx", *TARGET, "--compute-capability", "8.9,12.0", "-o", "again",
        "--json", cwd=tmp_path, PYTHONPATH=path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = Bundle.open(tmp_path / "again").manifest
    assert manifest.fingerprint["compute_capability"] == "8.9,12.0"
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == sorted([*manifest.files, "manifest.json"])
    before = Bundle.open(built / "lenet-int8-fp16-tensorrt-rtx").manifest
    assert manifest.files["model.onnx"] == before.files["model.onnx"]
    assert manifest.accuracy == before.accuracy  # of the same graph
    assert [layer.reached for layer in manifest.layers] == ["int8"] * 5


def test_a_cpu_bundle_becomes_one_for_a_gpu_and_back(lenet_bundle: Path, few_digits: Path, tmp_path: Path) -> None:
    digits = ("--eval-data", few_digits)
    assert toolkit("build", lenet_bundle, *TARGET, "-o", "gpu", *digits, cwd=tmp_path).returncode == 0
    assert PLAN in Bundle.open(tmp_path / "gpu").manifest.files
    assert toolkit("build", "gpu", "--target", "onnxruntime", "-o", "cpu", *digits, cwd=tmp_path).returncode == 0
    assert PLAN not in Bundle.open(tmp_path / "cpu").manifest.files
    done = toolkit("verify", "cpu", "--backend", "tensorrt-rtx", cwd=tmp_path)
    assert_clean_failure(done, "tensorrt-rtx does not run here")


def test_a_plan_that_was_changed_is_refused(built: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(built / "lenet-int8-fp16-tensorrt-rtx", tmp_path / "copy"))
    data = bytearray((copy / PLAN).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / PLAN).write_bytes(data)
    assert_clean_failure(toolkit("verify", copy, cwd=tmp_path), PLAN, "not what was built")


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        ((), ("precisions cannot race", "--int8"), 1),
        (("--int8", "--version-compatible"), ("does not take --version-compatible",), 1),
        (("--int8", "--hardware-compatible", "ampere+"), ("does not take --hardware-compatible",), 1),
        (("--int8", "--strip-weights"), ("needs a GPU for that",), 1),
        (("--int8", "--compute-capability", "9.9"), ("does not know 9.9", "8.6"), 1),
        (("--int8", "--compute-capability", "7.5"), ("no float32 matrices on 7.5", "--int8 --fp16"), 1),
        (("--int8", "--device", "cuda:0"), ("no device 'cuda:0'", "has none"), 1),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    options: tuple[str, ...], words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    done = toolkit("build", "lenet", *options, *TARGET, cwd=tmp_path)
    assert_clean_failure(done, *words, code=code)
    assert "export:" not in done.stderr and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workspace", "64"), "--workspace is for --target tensorrt or tensorrt-rtx"),
        (("--compute-capability", "8.6"), "--compute-capability is for --target"),
        (("--compute-capability", "8", *TARGET), "'8' is not a list of compute capabilities"),
        (("--compute-capability", "", *TARGET), "'' is not a list of compute capabilities"),
        (("--optimization-level", "6", *TARGET), "0<=x<=5"),
        (("--workspace", "0", *TARGET), "1<=x"),
        (("--hardware-compatible", "all", *TARGET), "'all' is not one of"),
    ],
)
def test_usage(options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = toolkit("build", "lenet", "--int8", *options, cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""


def test_without_the_package_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    path = without_packages(tmp_path, "tensorrt_rtx")
    done = toolkit("build", "lenet", "--int8", *TARGET, cwd=tmp_path, PYTHONPATH=path)
    assert_clean_failure(done, "tensorrt-rtx", "pip install")
