"""doctor on NVIDIA: rules on made-up machines, parsers on texts of other machines, a driver that is none."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.jetson import parse_jetson
from runtime.nvidia import parse_driver
from tests.toolkit.distributions import site_packages
from toolkit.doctor import nvidia, system
from toolkit.doctor.cuda_driver import read_driver
from toolkit.doctor.finding import Finding
from toolkit.doctor.installed import Installed
from toolkit.doctor.matching import explained_modules, find_mismatches
from toolkit.doctor.nvidia import Gpu, Nvidia, NvidiaPackage
from toolkit.doctor.probe import Answer
from toolkit.doctor.system import System

MACHINE = replace(
    system.look(4),
    os="Ubuntu 24.04.1 LTS",
    machine="x86_64",
    python="3.12.3",
    executable="/home/me/.venv/bin/python",
    virtual_environment=True,
    jetson=None,
)


def desktop(driver: str, cuda: str, *packages: NvidiaPackage, cc: str = "8.9", **other: Any) -> Nvidia:
    gpu = Gpu("NVIDIA RTX", driver, "16376 MiB", cc)
    return Nvidia((gpu,), "", packages, driver=driver, cuda=cuda, device_files=True, **other)


def tensorrt(version: str, cuda: int | None = None, *, rtx: bool = False) -> NvidiaPackage:
    name = "tensorrt-rtx" if rtx else "tensorrt"
    distributions = (name, f"{name}-cu{cuda}") if cuda else (name,)
    return NvidiaPackage(name.replace("-", "_"), True, version, distributions, cuda)


def cuda_python(version: str) -> NvidiaPackage:
    return NvidiaPackage("cuda", True, version, ("cuda-python",), int(version.split(".")[0]))


PYCUDA = NvidiaPackage("pycuda", True, "2026.1", ("pycuda",))


def jetson(release: str, revision: str, python: str) -> System:
    text = f"# R{release} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n"
    return replace(MACHINE, jetson=parse_jetson(text, "NVIDIA Jetson\0"), machine="aarch64", python=python)


JETPACK_60 = jetson("36", "3.0", "3.10.12")
JETPACK_61 = jetson("36", "4.0", "3.10.12")
JETPACK_62 = jetson("36", "4.3", "3.10.12")
JETPACK_7 = jetson("38", "2.0", "3.12.3")
ORIN = Gpu("Orin (nvgpu)", "540.4.0", "[N/A]", "8.7")
THOR = Gpu("NVIDIA Thor", "580.00", "[N/A]", "11.0")


def on_jetson(*packages: NvidiaPackage, gpu: Gpu = ORIN, cuda: str = "12.6", **other: Any) -> Nvidia:
    return Nvidia((gpu,), "", packages, driver=gpu.driver, cuda=cuda, device_files=True, **other)


def found(facts: Nvidia, machine: System = MACHINE) -> list[Finding]:
    return [clash.finding for clash in find_mismatches(facts, machine)]


# What matches.


@pytest.mark.parametrize(
    ("facts", "machine"),
    [
        (desktop("580.65.06", "13.0", tensorrt("11.4.0", 13), cuda_python("13.4.4")), MACHINE),
        (desktop("580.65.06", "13.0", tensorrt("1.7.1.116", 13, rtx=True), cuda_python("13.4.4")), MACHINE),
        (desktop("580.65.06", "13.0", tensorrt("10.3.0", 12), cuda_python("12.9.10")), MACHINE),  # a newer driver
        (desktop("550.54.15", "12.4", tensorrt("10.13.0", 12), PYCUDA, cc="7.5"), MACHINE),
        (desktop("550.54.15", "", tensorrt("10.13.0", 12), cuda_python("12.9.10")), MACHINE),
        (desktop("700.10", "", tensorrt("12.0", 14), cuda_python("14.0.0")), MACHINE),  # newer than what is known here
        (desktop("550.54.15", "12.4", tensorrt("10.4.0", 12), PYCUDA, cc="7.0"), MACHINE),
        (on_jetson(tensorrt("10.3.0"), cuda_python("12.6.2")), JETPACK_61),
        (on_jetson(tensorrt("10.3.0"), cuda_python("12.9.10")), JETPACK_62),
        (on_jetson(tensorrt("10.13.3"), cuda_python("13.0.1"), gpu=THOR, cuda="13.0"), JETPACK_7),
        (on_jetson(tensorrt("11.4.1", 13), cuda_python("13.0.1"), gpu=THOR, cuda="13.0"), JETPACK_7),
    ],
)
def test_what_matches_needs_nothing(facts: Nvidia, machine: System) -> None:
    assert found(facts, machine) == []


@pytest.mark.parametrize(
    "facts",
    [
        Nvidia(reason="no nvidia-smi here", library="OSError: libcuda.so.1: cannot open shared object file"),
        Nvidia((), "no nvidia-smi here", (tensorrt("1.7.1.116", 13, rtx=True),)),  # it builds without a GPU
        Nvidia((), "no nvidia-smi here", (tensorrt("8.6.1"), cuda_python("11.8.0"))),
        Nvidia((), "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", container=True),
    ],
)
def test_without_a_gpu_nothing_is_missing(facts: Nvidia) -> None:
    assert found(facts) == []


# A desktop whose versions do not match.


@pytest.mark.parametrize(
    ("facts", "words", "command"),
    [
        (
            desktop("550.54.15", "12.4", tensorrt("11.4.0", 13), cuda_python("12.9.10")),
            ("CUDA 13", "driver 580", "550.54.15 supports CUDA up to 12.4"),
            "pip uninstall -y tensorrt tensorrt-cu13 && pip install 'tensorrt-cu12>=10.3' 'cuda-python>=12.6.2,<13'",
        ),
        (
            desktop("550.54.15", "", tensorrt("11.4.0", 13), cuda_python("12.9.10")),  # nvidia-smi did not say
            ("CUDA up to 12",),
            "pip uninstall -y tensorrt tensorrt-cu13 && pip install 'tensorrt-cu12>=10.3' 'cuda-python>=12.6.2,<13'",
        ),
        (
            desktop("550.54.15", "12.4", tensorrt("1.7.1", 13, rtx=True), cuda_python("12.9.10")),
            ("TensorRT for RTX 1.7.1 is for CUDA 13",),
            "pip uninstall -y tensorrt-rtx tensorrt-rtx-cu13 && pip install 'tensorrt-rtx-cu12>=1.7'",
        ),
        (
            desktop("470.223.02", "11.4", tensorrt("10.13.0", 12), PYCUDA),
            ("CUDA 12", "driver 525", "install a newer driver"),
            "sudo ubuntu-drivers install",
        ),
        (
            desktop("550.54.15", "12.4", tensorrt("10.13.0", 12), cuda_python("13.4.4")),
            ("cuda-python 13.4.4 is for CUDA 13",),
            "pip uninstall -y cuda-python && pip install 'cuda-python>=12.6.2,<13'",
        ),
        (
            desktop("580.65.06", "13.0", tensorrt("11.4.0", 13), cuda_python("12.6.0")),
            ("12.6.0 has no module cuda.bindings",),
            "pip uninstall -y cuda-python && pip install 'cuda-python>=13,<14'",
        ),
        (
            desktop("580.65.06", "13.0", tensorrt("8.6.1"), PYCUDA),
            ("8.6.1", "10.3 is the oldest"),
            "pip uninstall -y tensorrt && pip install 'tensorrt-cu13>=10.13.2' 'cuda-python>=13,<14'",
        ),
        (
            desktop("580.65.06", "13.0", tensorrt("10.16.1", 13), PYCUDA, cc="7.0"),
            ("10.16.1 does not support NVIDIA RTX, compute capability 7.0", "10.4 is the last"),
            "pip uninstall -y tensorrt tensorrt-cu13 && "
            "pip install 'tensorrt-cu12>=10.3,<10.5' 'cuda-python>=12.6.2,<13'",
        ),
    ],
)
def test_a_mismatch_is_broken_and_has_a_command(facts: Nvidia, words: tuple[str, ...], command: str) -> None:
    (finding,) = found(facts)
    assert finding.broken
    assert finding.command == command
    for word in words:
        assert word in finding.what


@pytest.mark.parametrize(
    ("facts", "word", "command"),
    [
        (desktop("580.65", "13.0"), "compute capability 8.9", "pip install '.[tensorrt,cuda]'"),
        (desktop("580.65", "13.0", cc=""), "NVIDIA RTX", "pip install '.[tensorrt,cuda]'"),
        (
            desktop("550.54", "12.4"),
            "missing to build and run with TensorRT",
            "pip install 'tensorrt-cu12>=10.3' 'cuda-python>=12.6.2,<13'",
        ),
        (
            desktop("580.65", "13.0", cc="7.0"),
            "7.0",
            "pip install 'tensorrt-cu12>=10.3,<10.5' 'cuda-python>=12.6.2,<13'",
        ),
        (
            desktop("580.65", "13.0", tensorrt("11.4.0", 13)),
            "cuda-python (or pycuda)",
            "pip install 'cuda-python>=13,<14'",
        ),
        (
            desktop("580.65", "13.0", tensorrt("1.7.1", 13, rtx=True), cuda_python("13.0.1"), cc="9.0"),
            "does not list NVIDIA RTX, compute capability 9.0, for TensorRT for RTX, but 7.5, 8.0",
            "pip install 'tensorrt-cu13>=10.13.2' 'cuda-python>=13,<14'",
        ),
        (
            desktop("580.65", "13.0", tensorrt("1.7.1", 13, rtx=True), cuda_python("13.0.1"), cc="6.1"),
            "does not list NVIDIA RTX, compute capability 6.1",
            "",
        ),
        (desktop("580.65", "13.0", tensorrt("10.16.1", 13), PYCUDA, cc="6.1"), "CPU engines run", "pip uninstall -y "),
    ],
)
def test_what_is_only_missing_is_no_error(facts: Nvidia, word: str, command: str) -> None:
    (finding,) = found(facts)
    assert not finding.broken
    assert word in finding.what
    assert finding.command.startswith(command)


def test_rtx_is_named_where_it_runs() -> None:
    assert "extras rtx and cuda" in found(desktop("580.65", "13.0"))[0].what
    assert "rtx" not in found(desktop("580.65", "13.0", cc="9.0"))[0].what
    assert "rtx" not in found(desktop("550.54", "12.4"))[0].what


@pytest.mark.parametrize("facts", [desktop("580.65", "13.0", cc="6.1"), desktop("470.223", "11.4")])
def test_a_gpu_or_a_driver_for_which_there_is_no_tensorrt_is_left_alone(facts: Nvidia) -> None:
    assert found(facts) == []


def test_the_newest_of_several_gpus_counts() -> None:
    old, new = Gpu("old", "580.65", "8 MiB", "6.1"), Gpu("new", "580.65", "8 MiB", "12.0")
    both = Nvidia((old, new), "", (tensorrt("11.4.0", 13), PYCUDA), driver="580.65", cuda="13.0", device_files=True)
    assert found(both) == []


def test_on_an_arm_server_the_wheels_for_cuda_12_end_early() -> None:
    (finding,) = found(desktop("550.54", "12.4", cc="9.0"), replace(MACHINE, machine="aarch64"))
    assert finding.command == "pip install 'tensorrt-cu12>=10.3,<10.13.2' 'cuda-python>=12.6.2,<13'"


def test_without_ubuntu_the_driver_has_no_command() -> None:
    facts = desktop("470.223.02", "11.4", tensorrt("10.13.0", 12), PYCUDA)
    (finding,) = found(facts, replace(MACHINE, os="Fedora Linux 42"))
    assert (finding.broken, finding.command) == (True, "")


# Jetsons.


def test_jetpack_6_0_is_told_once_and_by_the_jetpack_alone() -> None:
    facts = on_jetson(tensorrt("8.6.2"), cuda_python("12.6.2"))
    assert found(facts, JETPACK_60) == []
    assert explained_modules({}, JETPACK_60.jetson) == {"tensorrt"}
    assert explained_modules({}, JETPACK_61.jetson) == frozenset()
    (finding,) = system.findings(JETPACK_60)
    assert "move to JetPack 6.1" in finding.what


@pytest.mark.parametrize(
    ("machine", "gpu", "cuda", "version", "command"),
    [
        (JETPACK_61, ORIN, "12.6", "10.3.0", "pip install 'cuda-python>=12.6.2,<13'"),
        (JETPACK_62, ORIN, "", "10.3.0", "pip install 'cuda-python>=12.6.2,<13'"),
        (JETPACK_7, THOR, "13.0", "10.13.3", "pip install 'cuda-python>=13,<14'"),
    ],
)
def test_a_jetson_gets_the_bindings_of_its_cuda(
    machine: System, gpu: Gpu, cuda: str, version: str, command: str
) -> None:
    (finding,) = found(on_jetson(tensorrt(version), gpu=gpu, cuda=cuda), machine)
    assert (finding.broken, finding.command) == (False, command)


def test_cuda_python_13_on_jetpack_6() -> None:
    (finding,) = found(on_jetson(tensorrt("10.3.0"), cuda_python("13.4.4")), JETPACK_62)
    assert finding.broken
    assert finding.command == "pip uninstall -y cuda-python && pip install 'cuda-python>=12.6.2,<13'"


def test_tensorrt_11_on_jetpack_6() -> None:
    facts = on_jetson(tensorrt("11.4.0", 13), cuda_python("12.9.10"))
    commands = {finding.command for finding in found(facts, JETPACK_62)}
    assert commands == {"pip uninstall -y tensorrt tensorrt-cu13"}
    assert all(finding.broken for finding in found(facts, JETPACK_62))


def test_an_old_tensorrt_in_front_of_jetpacks() -> None:
    (finding,) = found(on_jetson(tensorrt("8.6.1"), cuda_python("12.9.10")), JETPACK_62)
    assert (finding.broken, finding.command) == (True, "pip uninstall -y tensorrt")
    assert "JetPack 6.2 brings 10.3" in finding.what


@pytest.mark.parametrize(
    ("folder", "machine", "command"),
    [
        (
            "/usr/lib/python3.10/dist-packages/tensorrt",
            JETPACK_62,
            "/usr/bin/python3.10 -m venv --system-site-packages /home/me/.venv",
        ),
        (
            "/usr/lib/python3/dist-packages/tensorrt",
            JETPACK_7,
            "/usr/bin/python3 -m venv --system-site-packages /home/me/.venv",
        ),
        (
            "/usr/lib/python3.10/dist-packages/tensorrt",
            replace(JETPACK_62, python="3.11.9"),
            "/usr/bin/python3.10 -m venv --system-site-packages .venv && . .venv/bin/activate",
        ),
        ("", JETPACK_62, "sudo apt install python3-libnvinfer"),
    ],
)
def test_a_jetson_whose_tensorrt_is_not_seen(folder: str, machine: System, command: str) -> None:
    (finding,) = found(on_jetson(unseen_tensorrt=folder), machine)
    assert not finding.broken
    assert finding.command == command


def test_a_virtual_environment_is_opened_to_the_system_and_keeps_what_it_has(tmp_path: Path) -> None:
    make = [sys.executable, "-m", "venv", "--without-pip"]
    subprocess.run([*make, tmp_path / "venv"], check=True)
    (packages,) = tmp_path.glob("venv/lib/python3*/site-packages")
    (packages / "kept.py").touch()
    subprocess.run([*make, "--system-site-packages", tmp_path / "venv"], check=True)
    assert "include-system-site-packages = true" in (tmp_path / "venv/pyvenv.cfg").read_text()
    assert (packages / "kept.py").exists()


def test_an_orin_is_not_listed_for_rtx() -> None:
    (finding,) = found(on_jetson(tensorrt("10.3.0"), tensorrt("1.7.1", rtx=True), PYCUDA), JETPACK_62)
    assert (finding.broken, finding.command) == (False, "")
    assert "does not list Orin (nvgpu), compute capability 8.7" in finding.what


# Containers, and drivers that do not answer.

NO_LIBRARY = "OSError: libcuda.so.1: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize("packages", [(), (tensorrt("11.4.0", 13), cuda_python("13.0.1"))])
def test_a_container_with_the_gpus_files_and_without_its_driver(packages: tuple[NvidiaPackage, ...]) -> None:
    facts = Nvidia((), "no nvidia-smi here", packages, device_files=True, library=NO_LIBRARY, container=True)
    (finding,) = found(facts)
    assert finding.broken == bool(packages)
    assert finding.command == "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility IMAGE"
    assert found(replace(facts, gpus=(Gpu("RTX", "580.65", "8 MiB", "8.9"),)))[0] == finding  # nvidia-smi alone


def test_a_package_that_only_lacks_the_driver_is_not_broken() -> None:
    imported = {"pycuda": Answer(error=f"ImportError: {NO_LIBRARY}"), "tensorrt": Answer(error="ImportError: x")}
    assert explained_modules(imported, None) == {"pycuda"}


def test_a_container_without_nvidia_smi_whose_driver_answers() -> None:
    facts = desktop("", "12.4", tensorrt("10.13.0", 12), cuda_python("12.9.10"), container=True)
    assert found(facts) == []
    (finding,) = found(replace(facts, packages=(tensorrt("11.4.0", 13), PYCUDA)))
    assert "the driver supports CUDA up to 12.4" in finding.what


def test_a_container_on_a_jetson() -> None:
    facts = Nvidia((), "no nvidia-smi here", (), device_files=True, library=NO_LIBRARY, container=True)
    (finding, *_) = found(facts, replace(MACHINE, jetson=parse_jetson("", "NVIDIA Jetson Orin\0")))
    assert finding.command == "docker run --runtime nvidia IMAGE"


@pytest.mark.parametrize(
    ("reason", "library", "command"),
    [
        ("Failed to initialize NVML: Driver/library version mismatch", "cuInit: error 803", "sudo reboot"),
        ("no nvidia-smi here", "cuInit: error 999, unknown error", "sudo dmesg | grep -iE 'nvrm|nvidia|nvgpu'"),
        ("nvidia-smi does not answer within 5 s", "still not done after 20 s", "sudo dmesg"),
    ],
)
def test_a_driver_that_lists_no_gpu(reason: str, library: str, command: str) -> None:
    (finding,) = found(Nvidia((), reason, (), device_files=True, library=library))
    assert not finding.broken
    assert finding.command.startswith(command)
    (finding,) = found(Nvidia((), reason, (tensorrt("11.4.0", 13), PYCUDA), device_files=True, library=library))
    assert finding.broken


def test_a_driver_that_was_not_asked_is_not_blamed() -> None:
    late = Answer(error="not tried: the time was up", tried=False)
    facts = nvidia.look(Installed([]), late, {}, 5)
    assert facts.library == ""
    assert found(replace(facts, gpus=(), packages=(), device_files=True)) == []


# What is collected.

SMI = """\
Sat Nov 28 03:46:56 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 550.54.15              Driver Version: 550.54.15      CUDA Version: 12.4     |
|-----------------------------------------+------------------------+----------------------+
"""
PROC = """\
NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""
OPEN_PROC = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  (builder)  Wed Jan 8\n"


def test_the_versions_of_driver_and_cuda() -> None:
    assert nvidia.parse_cuda(SMI) == "12.4"
    assert nvidia.parse_cuda("no devices were found") == ""
    assert parse_driver(PROC) == "550.54.15"
    assert parse_driver(OPEN_PROC) == "540.4.0"
    assert parse_driver("") == ""


def test_the_drivers_own_list_where_nvidia_smi_has_none_or_does_not_know() -> None:
    listed, told = (Gpu("Orin (nvgpu)", "540.4.0", "[N/A]"),), [Gpu("Orin", "540.4.0", "7620 MiB", "8.7")]
    assert nvidia.merge(listed, told) == nvidia.merge((), told) == tuple(told)
    assert nvidia.merge(listed, []) == listed
    known = (Gpu("RTX", "550.54", "8 MiB", "8.9"), Gpu("other", "550.54", "8 MiB", "7.5"))
    assert nvidia.merge(known, told) == known


def test_packages_and_the_cuda_that_they_are_for(tmp_path: Path) -> None:
    installed = site_packages(
        tmp_path,
        "tensorrt 10.16.1.11",
        "tensorrt_cu13 10.16.1.11",
        "tensorrt_cu13_libs 10.16.1.11",
        "tensorrt-rtx-cu12 1.7.1",
        "cuda-bindings 12.9.10",
        "tensorrt-lean 10.16.1.11",
    )
    packages = {module: nvidia.find_package(module, installed, {}) for module in nvidia.MODULES}
    assert packages["tensorrt"].distributions == ("tensorrt", "tensorrt-cu13", "tensorrt-cu13-libs")
    assert {module: package.cuda_major for module, package in packages.items()} == {
        "tensorrt": 13,
        "tensorrt_rtx": 12,
        "cuda": 12,
        "pycuda": None,
    }


def test_a_part_of_the_namespace_cuda_is_no_bindings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cuda" / "pathfinder").mkdir(parents=True)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    missing = {"cuda.bindings": Answer(error="ModuleNotFoundError", missing="cuda.bindings")}
    assert not nvidia.find_package("cuda", site_packages(tmp_path), missing).installed
    assert nvidia.find_package("cuda", site_packages(tmp_path), {"cuda.bindings": Answer("12.9")}).version == "12.9"


def test_the_systems_tensorrt_of_ones_own_python_comes_first() -> None:
    own = f"/usr/lib/python{sys.version_info[0]}.{sys.version_info[1]}/dist-packages/tensorrt"
    assert nvidia.find_unseen_tensorrt(["/usr/lib/python3.9/dist-packages/tensorrt", own]) == own
    assert nvidia.find_unseen_tensorrt([f"{sys.path[-1]}/tensorrt"]) == ""
    assert nvidia.find_unseen_tensorrt([]) == ""


class Driver:
    """A stand-in for libcuda.so.1 with one GPU."""

    def __init__(self, version: int = 12040, code: int = 0) -> None:
        self.version, self.code = version, code

    def cuDriverGetVersion(self, out: Any) -> int:
        out._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:
        return self.code

    def cuGetErrorString(self, code: int, out: Any) -> int:
        out._obj.value = b"no CUDA-capable device is detected"
        return 0

    def cuDeviceGetCount(self, out: Any) -> int:
        out._obj.value = 1
        return 0

    def cuDeviceGet(self, out: Any, index: int) -> int:
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = b"Orin"
        return 0

    def cuDeviceGetAttribute(self, out: Any, attribute: int, device: Any) -> int:
        out._obj.value = {75: 8, 76: 7}[attribute]
        return 0

    def cuDeviceTotalMem_v2(self, out: Any, device: Any) -> int:
        out._obj.value = 7620 * 2**20
        return 0


def load(driver: Driver) -> Callable[[str], Any]:
    return lambda name: driver


def test_a_driver_that_answers() -> None:
    gpu = {"name": "Orin", "memory": "7620 MiB", "compute_capability": "8.7"}
    assert read_driver(load(Driver())) == {"cuda": "12.4", "gpus": [gpu], "error": ""}


def test_a_driver_without_a_gpu_says_so() -> None:
    said = read_driver(load(Driver(13000, 100)))
    assert (said["cuda"], said["gpus"]) == ("13.0", [])
    assert said["error"] == "cuInit: error 100, no CUDA-capable device is detected"


def test_without_the_drivers_library_there_is_an_oserror() -> None:
    with pytest.raises(OSError):
        read_driver(lambda name: ctypes.CDLL("libcuda-that-is-nowhere.so.1"))
