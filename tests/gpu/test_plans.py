"""Plans of other kinds, of other machines, and broken ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.backend import EngineFile, EngineOptions
from runtime.backends.tensorrt.backend import here_with, module_of
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.errors import BackendError
from runtime.spec import Precision
from tests.command import ROOT, environment
from tests.gpu.models import BATCH
from tests.gpu.target import Target

pytestmark = pytest.mark.gpu

#: NVIDIA's own programs, which load plans.
PROGRAMS = {"tensorrt": "trtexec", "tensorrt-rtx": "tensorrt_rtx"}
OTHER_RELEASE = re.compile(r"\[TensorRT\S* v(\d+)\]")


def load_elsewhere(target: Target, plan: Path, file: EngineFile) -> subprocess.CompletedProcess[str]:
    """Load a plan in a process of its own."""
    fingerprint = json.dumps(dict(file.fingerprint))
    command = [sys.executable, "-m", "tests.gpu.load", target.name, str(plan), str(file.model), fingerprint]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)


def test_a_plan_loads_in_another_process(target: Target) -> None:
    file = target.plan("lenet", "int8")
    done = load_elsewhere(target, file.path, file)
    assert (done.returncode, done.stdout.strip()) == (0, "loaded"), done.stderr


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda plan: b"",
    "one byte": lambda plan: plan[:1],
    "cut off at its head": lambda plan: plan[:100],
    "cut off in its middle": lambda plan: plan[: len(plan) // 2],
    "another head": lambda plan: bytes(byte ^ 0xFF for byte in plan[:64]) + plan[64:],
    "no plan at all": lambda plan: b"This is no plan. " * 1000,
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_plan_is_an_error_and_no_crash(target: Target, tmp_path: Path, damage: str) -> None:
    """What is changed within a plan of a bundle, its digest finds: TensorRT never sees it (test_commands.py)."""
    file = target.plan("lenet", "int8")
    broken = tmp_path / "engine.plan"
    broken.write_bytes(BROKEN[damage](file.path.read_bytes()))
    done = load_elsewhere(target, broken, file)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.startswith("refused: "), done.stdout
    assert "engine.plan" in done.stdout and "build it here" in done.stdout


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "0.0.1"}, "another version"),
        ({"compute_capability": "1.0"}, "another GPU"),
        ({"platform": "plan9 mips"}, "another system"),
        ({"module": "tensorrt_llm"}, "another library"),
    ],
)
def test_a_plan_of_another_machine_is_refused_with_the_command_that_builds_it_here(
    target: Target, changes: dict[str, str], reason: str
) -> None:
    file = target.plan("lenet", "int8")
    other = replace(file, fingerprint={**file.fingerprint, **changes})
    with pytest.raises(BackendError) as caught:
        target.open(other, target.models["lenet"].spec)
    assert reason in caught.value.message
    assert str(here_with(module_of(target.backend.product), target.gpu)) in caught.value.message
    assert caught.value.hint == f"build it here: toolkit build {file.path.parent} --target {target.name} -o NEW"
    assert reason in target.backend.why_not_here(other, EngineOptions())


def test_a_plan_of_this_machine_names_it(target: Target) -> None:
    fingerprint = target.plan("lenet", "int8").fingerprint
    assert fingerprint["version"] == target.backend.available().version
    assert target.gpu.device.compute_capability in fingerprint["compute_capability"].split(",")
    assert fingerprint["gpu"] == target.gpu.device.name
    assert target.backend.why_not_here(target.plan("lenet", "int8"), EngineOptions()) == ""


def test_a_plan_without_weights_is_much_smaller_and_answers_as_the_whole_one(target: Target) -> None:
    model = target.models["heavy"]
    graph = model.graphs["fp32"].path
    whole = target.plan("heavy", "fp32")
    stripped = target.compile(graph, model.spec, strip_weights=True)
    assert stripped.fingerprint["weights"] == "stripped" and "weights" not in whole.fingerprint
    assert stripped.path.stat().st_size < 0.5 * whole.path.stat().st_size
    target.check(whole, "heavy", "fp32")
    target.check(stripped, "heavy", "fp32")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_plan_without_weights_needs_the_model(target: Target, precision: Precision, tmp_path: Path) -> None:
    model = target.models["lenet"]
    stripped = target.compile(model.graphs[precision].path, model.spec, precision, strip_weights=True)
    with pytest.raises(BackendError, match=r"gone\.onnx"):
        target.open(replace(stripped, model=tmp_path / "gone.onnx"), model.spec)
    target.check(stripped, "lenet", precision)


def require_taken(target: Target, options: TensorRtOptions) -> None:
    """Skip a test of an option that the product, or this release of it, does not take."""
    try:
        target.backend.refuse(EngineOptions(tensorrt=options))
    except BackendError as error:
        pytest.skip(error.message)


def test_a_version_compatible_plan_runs_where_it_is_trusted_alone(target: Target) -> None:
    require_taken(target, TensorRtOptions(version_compatible=True))
    model = target.models["lenet"]
    file = target.compile(model.graphs["int8"].path, model.spec, "int8", version_compatible=True)
    with pytest.raises(BackendError, match="runs program code from the file") as caught:
        target.open(file, model.spec)
    assert "--trust" in caught.value.hint
    target.check(file, "lenet", "int8", trust=True)


@pytest.mark.parametrize("level", ["ampere+", "same-cc"])
def test_a_hardware_compatible_plan_runs(target: Target, level: str) -> None:
    require_taken(target, TensorRtOptions(hardware_compatible=level))
    device = target.gpu.device
    if device.integrated:
        pytest.skip("a Jetson's TensorRT makes no plans for other GPUs")
    if level == "ampere+" and tuple(map(int, device.compute_capability.split("."))) < (8, 0):
        pytest.skip(f"{device.name} is older than Ampere: {device.compute_capability}")
    model = target.models["lenet"]
    file = target.compile(model.graphs["int8"].path, model.spec, "int8", hardware_compatible=level)
    assert file.fingerprint["hardware_compatible"] == level
    target.check(file, "lenet", "int8")


def test_nvidia_s_own_program_loads_a_plan_as_it_is(target: Target) -> None:
    name = PROGRAMS[target.name]
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not on the PATH: it is in bin/ of NVIDIA's archive, not in the Python package")
    shape = "x".join(map(str, (BATCH.best, *target.models["lenet"].spec.image_shape)))
    plan = target.plan("lenet", "int8").path
    command = [program, f"--loadEngine={plan}", f"--shapes=image:{shape}", "--iterations=10", "--duration=0"]
    if target.name == "tensorrt-rtx":
        command.append("--allocationStrategy=runtime")  # the plan leaves its memory to whoever runs it
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    printed = done.stdout + done.stderr
    release, version = OTHER_RELEASE.search(printed), target.backend.available().version
    if done.returncode and release and int(release[1]) != release_number(version):
        pytest.skip(f"{program} is of release {release[1]}, the Python package of {version}: no plan goes between them")
    assert done.returncode == 0, printed


def release_number(version: str) -> int:
    """How NVIDIA's programs write 10.3.0 and 10.3.0.26: 100300."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    return 10_000 * major + 100 * minor + patch
