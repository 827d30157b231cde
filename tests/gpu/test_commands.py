"""The command line from a model to answers, and from a bundle that was built elsewhere."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.bundle import PLAN, Bundle
from runtime.session import open_session
from tests.command import ROOT, assert_clean_failure, toolkit, without_packages
from tests.gpu.target import Target
from tests.tiny import reseal

pytestmark = pytest.mark.gpu

DIGITS = sorted((ROOT / "examples" / "digits").glob("*.png"))
CALIBRATION = ("--calib-images", 128, "--method", "minmax")
LAYERS = ("conv1", "conv2", "fc1", "fc2", "fc3")


@dataclass(frozen=True)
class Built:
    """A build.

    Attributes:
        bundle: its folder, not to be changed.
        result: what it printed.
    """

    bundle: Path
    result: dict[str, Any]


@pytest.fixture(scope="module")
def built(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """`toolkit build lenet --int8`."""
    folder = tmp_path_factory.mktemp(f"built-for-{target.name}")
    done = toolkit("build", "lenet", "--int8", *CALIBRATION, "--target", target.name, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return Built(folder / f"lenet-int8-{target.name}", json.loads(done.stdout))


@pytest.fixture(scope="module")
def cpu_bundle(built: Built) -> Path:
    """The same graph in a bundle for a CPU, as a machine without a GPU makes it: not to be changed."""
    folder = built.bundle.parent
    done = toolkit("build", built.bundle, "--target", "onnxruntime", "-o", "cpu", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert PLAN not in Bundle.open(folder / "cpu").manifest.files
    return folder / "cpu"


def require_good(bundle: Path, target: Target) -> None:
    """A bundle for this GPU whose every layer runs in INT8, and which was run here."""
    manifest = Bundle.open(bundle).manifest
    assert (manifest.target, manifest.precision) == (target.name, "int8")
    assert PLAN in manifest.files and manifest.fingerprint["gpu"] == target.gpu.device.name
    assert manifest.backend_version == target.backend.available().version
    assert manifest.latency_ms is not None and manifest.latency_reason == ""
    assert 0 < manifest.latency_ms.p50 <= manifest.latency_ms.p90 <= manifest.latency_ms.p99
    assert manifest.probe.distance is not None and manifest.probe.distance <= manifest.probe.limit
    asked_and_reached = {layer.name: (layer.asked, layer.reached) for layer in manifest.layers}
    assert asked_and_reached == {name: ("int8", "int8") for name in LAYERS}
    assert (manifest.coverage.quantized, manifest.coverage.macs_share) == (len(LAYERS), 1)


def test_a_build_is_checked_and_timed_on_the_gpu(target: Target, built: Built) -> None:
    require_good(built.bundle, target)
    assert built.result["target"] == target.name
    assert built.result["latency_ms"]["p50"] > 0
    assert built.result["coverage"]["skipped"] == []
    accuracy = built.result["accuracy"]
    assert accuracy["measured_with"] == target.name
    assert accuracy["top1"] > 98 and abs(accuracy["drop_points"]) < 0.5


def test_verify_holds(target: Target, built: Built, tmp_path: Path) -> None:
    done = toolkit("verify", built.bundle, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ok"] and result["backend"] == target.name and result["distance"] <= result["limit"]


def test_classify_reads_digits(built: Built, tmp_path: Path) -> None:
    done = toolkit("classify", built.bundle, *DIGITS, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line)["top"][0]["label"] for line in done.stdout.splitlines()]
    assert answers == [path.name[0] for path in DIGITS]


@pytest.mark.parametrize("batch", [1, 33])
def test_bench_measures(target: Target, built: Built, tmp_path: Path, batch: int) -> None:
    done = toolkit("bench", built.bundle, "--batch", batch, "--seconds", 0.2, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["backend"], row["batch"]) == (target.name, batch)
    assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p99"]
    # What the session splits has no parts of its own.
    assert (row["gpu"]["compute_ms"]["p50"] > 0) if batch <= 32 else (row["gpu"] is None)


def test_a_session_checks_itself_and_takes_the_device_by_name(target: Target, built: Built) -> None:
    for device in (None, f"cuda:{target.gpu.device.index}"):
        with open_session(built.bundle, device=device, self_check=True) as session:
            probe = Bundle.open(built.bundle).probe
            assert np.array_equal(session.run(probe.images).argmax(1), probe.expected.argmax(1))
    done = toolkit("verify", built.bundle, "--device", "cuda:99", cwd=built.bundle.parent)
    assert_clean_failure(done, "there is no device 'cuda:99' here")


def test_a_bundle_from_a_machine_without_a_gpu_is_built_here_without_pytorch_and_onnx(
    target: Target, cpu_bundle: Path, tmp_path: Path
) -> None:
    path = without_packages(tmp_path, "torch", "onnx", "onnxscript", "onnxsim", "safetensors")
    arguments = ("build", cpu_bundle, "--target", target.name, "-o", "here", "--json")
    done = toolkit(*arguments, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    require_good(tmp_path / "here", target)
    again, source = Bundle.open(tmp_path / "here").manifest, Bundle.open(cpu_bundle).manifest
    for name in ("model.onnx", "probe.npz", "calibration.json", "labels.txt"):
        assert again.files[name] == source.files[name]
    done = toolkit("verify", "here", cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr


def test_a_plan_of_another_release_is_refused_with_the_command_that_builds_it_again(
    target: Target, built: Built, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(built.bundle, tmp_path / "old"))
    reseal(folder, lambda values: values["fingerprint"].update(version="0.0.1"))
    done = toolkit("verify", "old", cwd=tmp_path)
    assert_clean_failure(done, "old", "another version", "0.0.1", f"--target {target.name}")
    # The command does it. What it may not do is run what was refused.
    done = toolkit("build", "old", "--target", target.name, "-o", "new", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    require_good(tmp_path / "new", target)


def test_a_changed_byte_of_a_plan_is_found_before_the_plan_is_loaded(built: Built, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(built.bundle, tmp_path / "broken"))
    data = bytearray((folder / PLAN).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / PLAN).write_bytes(data)
    assert_clean_failure(toolkit("verify", "broken", cwd=tmp_path), PLAN, "sha256")


def test_the_graph_still_runs_on_a_cpu(built: Built, tmp_path: Path) -> None:
    done = toolkit("verify", built.bundle, "--backend", "onnxruntime", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
