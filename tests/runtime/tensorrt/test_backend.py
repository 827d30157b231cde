"""The backends over a stand-in for driver and library: what is here, what is asked of a build, which plan runs."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.backend import EngineFile, EngineOptions, get_backend, require_backend
from runtime.backends.cuda import Device
from runtime.backends.tensorrt import backend as module
from runtime.backends.tensorrt.build import Built
from runtime.backends.tensorrt.events import Request, Success
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.errors import BackendError, BackendUnavailableError
from runtime.jetson import parse_jetson
from runtime.progress import SilentProgress
from runtime.spec import BatchRange
from tests.runtime.tensorrt.rig import Rig, check_answers
from tests.tiny import make_spec

Level = Enum("Level", "NONE AMPERE_PLUS SAME_COMPUTE_CAPABILITY")
Capability = Enum("Capability", "NONE CURRENT SM75 SM86 SM89")


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rig(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """The backend `name` finds a GPU and a library."""
    rig = Rig(tmp_path, rtx=name == "tensorrt-rtx", count=2)
    rig.trt.HardwareCompatibilityLevel = Level
    if name == "tensorrt-rtx":
        rig.trt.ComputeCapability = Capability
    monkeypatch.setattr(module, "find_spec", lambda package: SimpleNamespace())
    monkeypatch.setattr(module, "load_module", lambda product: rig.trt)
    monkeypatch.setattr(module, "open_cuda", lambda: rig.cuda)
    monkeypatch.setattr(module, "make_logger", lambda trt: rig.log)
    return rig


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What builds are asked for; each writes a plan, and measurements where they are to be kept."""
    seen: list[Request] = []

    def build(request: Request, progress: object, **_: object) -> Built:
        seen.append(request)
        Path(request.plan).write_bytes(b"a plan")
        if request.timing_cache:
            before = Path(request.timing_cache).read_bytes()
            Path(request.timing_cache).write_bytes(before + b"measured ")
        return Built(Success("9.9", {"fc": "int8"}, 1), request)

    monkeypatch.setattr(module, "build_plan", build)
    return seen


def compile_it(name: str, rig: Rig, folder: Path, **options: Any) -> EngineFile:
    settings = EngineOptions("int8", BatchRange(1, 2, 4), **options)
    return get_backend(name).compile(rig.model, folder, make_spec(), settings, SilentProgress())


def no_cuda() -> None:
    raise BackendUnavailableError("there is no driver", "nvidia-smi")


def test_what_is_not_installed_says_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda package: None)
    monkeypatch.setattr(module, "jetson_linux", lambda: "")
    with pytest.raises(BackendUnavailableError, match=f"{name} does not run here: .*not installed") as caught:
        require_backend(name, to_build=True)
    assert caught.value.hint == f"pip install {name}"
    monkeypatch.setattr(module, "jetson_linux", lambda: "R36")
    assert "JetPack" in get_backend(name).available().command


def test_without_a_driver_only_rtx_builds(name: str, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open_cuda", no_cuda)
    availability = get_backend(name).available()
    assert (availability.ok, availability.builds) == (False, name == "tensorrt-rtx")
    assert (availability.reason, availability.command) == ("there is no driver", "nvidia-smi")
    monkeypatch.setattr(module, "open_cuda", lambda: SimpleNamespace(devices=tuple))
    assert get_backend(name).available().reason == "CUDA sees no GPU"
    assert module.find_gpu(None) is None


def test_with_a_gpu_it_runs_and_names_the_devices(name: str, rig: Rig) -> None:
    availability = get_backend(name).available()
    assert availability.ok and availability.devices == ("cuda:0", "cuda:1")
    assert (availability.version, availability.device) == (rig.trt.__version__, rig.cuda.devices()[0].name)


@pytest.mark.parametrize("metadata", [True, False], ids=["by its metadata", "without any"])
def test_a_release_that_lacks_what_is_asked_of_it_does_not_run(
    name: str, metadata: bool, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT 8 knows no strongly typed network: JetPack 6.0 has it, and a Python that is new enough."""
    old = "8.6.2.3" if name == "tensorrt" else "1.2.0.54"
    rig.trt.__version__ = old
    monkeypatch.setattr(module, "installed_version", lambda product: old if metadata else "")
    availability = get_backend(name).available()
    assert (availability.ok, availability.builds, availability.version) == (False, False, old)
    assert f"{old} is installed, " in availability.reason and availability.command == "toolkit doctor"
    with pytest.raises(BackendUnavailableError, match="is the oldest that this toolkit uses"):
        require_backend(name, to_build=True)


@pytest.mark.parametrize("kind", [ImportError, OSError, RuntimeError])
def test_a_library_that_breaks_on_import_counts_as_one_that_does_not_run(
    name: str, kind: type[Exception], rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise kind("wrong ELF class")

    monkeypatch.setattr(module, "load_module", broken)
    availability = get_backend(name).available()
    assert not availability.ok and "wrong ELF class" in availability.reason
    with pytest.raises(BackendUnavailableError, match="wrong ELF class"):
        get_backend(name).load(EngineFile(rig.path, {}, None, rig.model), make_spec(), EngineOptions())


def test_a_build_is_for_this_gpu_and_takes_most_of_its_free_memory(
    name: str, rig: Rig, requests: list[Request], tmp_path: Path
) -> None:
    made = compile_it(name, rig, tmp_path, device="cuda:1")
    with_context = rig.cuda.retain(1)
    rig.cuda.push(with_context)
    free = rig.cuda.memory()[0]
    rig.cuda.pop()
    rig.cuda.release(with_context)
    (request,) = requests
    assert (request.product, request.batch, request.image_shape) == (name, (1, 2, 4), (8, 8, 1))
    assert (request.device, request.model) == (1, str(rig.model))
    assert request.options.workspace_mib == max(1, int(0.8 * free) // (1 << 20))
    here = rig.cuda.devices()[1].compute_capability
    assert request.options.compute_capabilities == ((here,) if name == "tensorrt-rtx" else ())
    assert made.layers == {"fc": "int8"} and made.model == rig.model
    assert made.fingerprint["compute_capability"] == here and made.fingerprint["gpu"] == rig.cuda.devices()[1].name
    rig.cuda.check()


def test_what_is_asked_for_reaches_the_build(name: str, rig: Rig, requests: list[Request], tmp_path: Path) -> None:
    asked = TensorRtOptions(workspace_mib=7, optimization_level=1, strip_weights=True)
    made = compile_it(name, rig, tmp_path, tensorrt=asked)
    (request,) = requests
    assert replace(request.options, compute_capabilities=()) == asked
    assert made.fingerprint["weights"] == "stripped"


def test_measurements_are_kept_by_device_and_version(
    name: str, rig: Rig, requests: list[Request], tmp_path: Path
) -> None:
    cache, work = tmp_path / "cache", tmp_path / "work"
    work.mkdir()
    for _ in range(2):
        compile_it(name, rig, work, cache_dir=cache)
    assert [path.name for path in work.iterdir()] == [f"int8-{name}.plan"]
    kept = [path for path in cache.rglob("*") if path.is_file()]
    if name == "tensorrt-rtx":  # it measures nothing
        assert kept == [] and {request.timing_cache for request in requests} == {""}
        return
    assert len(kept) == 1 and kept[0].read_bytes().endswith(b"measured measured ")
    rig.trt.__version__ = "10.99"
    compile_it(name, rig, work, cache_dir=cache)
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert len(kept) == 2


def test_a_plan_of_this_machine_runs_and_another_does_not(
    name: str,
    rig: Rig,
    requests: list[Request],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = get_backend(name)
    made = compile_it(name, rig, tmp_path)
    assert backend.why_not_here(made, EngineOptions()) == ""
    file = EngineFile(rig.path, made.fingerprint, None, rig.model)
    engine = backend.load(file, make_spec(), EngineOptions(batch=BatchRange(1, 2, 4)))
    check_answers(engine, 3)
    engine.close()
    assert caplog.text == ""
    like = EngineFile(rig.path, {**made.fingerprint, "gpu": "its brother"}, None, rig.model)
    backend.load(like, make_spec(), EngineOptions(batch=BatchRange(1, 2, 4))).close()
    assert "was built on its brother; NVIDIA advises" in caplog.text
    other = EngineFile(rig.path, {**made.fingerprint, "compute_capability": "5.3"}, None, rig.model)
    assert backend.why_not_here(other, EngineOptions()) == "another GPU"
    with pytest.raises(BackendError, match=r"was built for .*5\.3.*another GPU") as caught:
        backend.load(other, make_spec(), EngineOptions())
    assert f"--target {name}" in caught.value.hint
    with pytest.raises(BackendError, match=f"holds no plan for {name}") as caught:
        backend.load(EngineFile(rig.model, {}, None), make_spec(), EngineOptions())
    assert f"--target {name}" in caught.value.hint
    monkeypatch.setattr(module, "open_cuda", no_cuda)
    assert backend.why_not_here(made, EngineOptions()) == "there is no driver"
    rig.cuda.check()


def test_refusals_come_before_the_work(name: str, rig: Rig) -> None:
    backend = get_backend(name)
    backend.refuse(EngineOptions("int8"))
    wrong = {"tensorrt": {"compute_capabilities": ("8.6",)}, "tensorrt-rtx": {"version_compatible": True}}[name]
    with pytest.raises(BackendError, match="does not take --"):
        backend.refuse(EngineOptions("int8", tensorrt=TensorRtOptions(**wrong)))
    with pytest.raises(BackendError, match="no device 'cuda:7'"):
        backend.refuse(EngineOptions("int8", device="cuda:7"))


def test_on_a_gpu_that_rtx_does_not_list_it_only_builds(
    name: str, rig: Rig, requests: list[Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rig.cuda, "devices", lambda: (Device(0, "a server's", "9.0", False, 1 << 30),))
    availability = get_backend(name).available()
    made = compile_it(name, rig, tmp_path)
    if name == "tensorrt":
        assert availability.ok and made.fingerprint["compute_capability"] == "9.0"
        return
    assert (availability.ok, availability.builds) == (False, True)
    assert availability.reason == "TensorRT for RTX does not list a server's (9.0)"
    assert requests[0].options.compute_capabilities == ("8.6",) and made.fingerprint["compute_capability"] == "8.6"


def test_memory_that_a_jetson_caches_counts_as_free(
    name: str, rig: Rig, requests: list[Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    capability = rig.cuda.devices()[0].compute_capability
    monkeypatch.setattr(module, "available_memory", lambda: 1000 << 30)
    for integrated in (False, True):
        monkeypatch.setattr(rig.cuda, "devices", lambda kind=integrated: (Device(0, "x", capability, kind, 8 << 30),))
        compile_it(name, rig, tmp_path)
    assert requests[0].options.workspace_mib != requests[1].options.workspace_mib == 800 << 10
    assert requests[1].device_mib == 8 << 10


def test_a_jetson_says_its_jetpack(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.jetpack() == ""
    release = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64"
    monkeypatch.setattr(module, "find_jetson", lambda: parse_jetson(release, "NVIDIA Jetson Orin Nano"))
    assert module.jetpack() == "JetPack 6.2 (Jetson Linux 36.4.3)"
