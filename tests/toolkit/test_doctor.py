"""doctor: parsers on texts of other machines, clashes on made-up site-packages, the command with broken packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.backend import BACKENDS
from runtime.jetson import parse_jetson
from tests.command import ROOT, assert_clean_failure, toolkit, without_packages
from tests.toolkit.distributions import site_packages
from toolkit.doctor import child, nvidia, system
from toolkit.doctor.clashes import find_clashes
from toolkit.doctor.finding import Finding
from toolkit.doctor.installed import Installed
from toolkit.doctor.packages import Package, findings, judge, suggested_extras, wanted_packages
from toolkit.doctor.probe import Answer, ask
from toolkit.doctor.system import parse_cpuinfo, parse_memory

HEAVY = ("torch", "onnx", "onnxscript", "onnxsim", "onnxruntime", "openvino", "safetensors")
EXTRAS = ("cpu", "export", "train", "test", "dev", "all")
REQUIRES = [
    "click>=8.1",
    "numpy>=1.26",
    "opencv-python>=4.5",
    'onnxruntime>=1.20; extra == "cpu"',
    'openvino>=2025.1; extra == "cpu"',
    'onnxruntime>=1.20; extra == "export"',
    'torch>=2.9; extra == "export"',
    "onnxold>=1; python_version < '3' and extra == 'export'",
    'torch>=2.9; extra == "train"',
    'pytest>=8.2; extra == "test"',
    'edge-deployment-toolkit[test]; extra == "dev"',
    'edge-deployment-toolkit[cpu,export,train]; extra == "all"',
]
XEON = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu sse2 avx avx2 avx512f avx512_vnni avx_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_tile amx_int8
bugs\t\t: spectre_v1

processor\t: 1
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu sse2 avx avx2 avx512f avx512_vnni avx_vnni avx512_bf16 amx_bf16 amx_tile amx_int8
"""
ORIN = """\
processor\t: 0
model name\t: ARMv8 Processor rev 1 (v8l)
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp uscat
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd42
CPU revision\t: 1
"""
RELEASE = (
    "# R{}, REVISION: {}, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"
    "# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n"
)
ORIN_NANO = "NVIDIA Jetson Orin Nano Developer Kit\0"


# The machine.


def test_the_features_of_a_xeon_are_those_that_every_core_has() -> None:
    cpu = parse_cpuinfo(XEON, "x86_64")
    assert cpu.name == "Intel(R) Xeon(R) Platinum 8480+"
    there = {feature.name: feature.present for feature in cpu.features}
    assert {name for name, present in there.items() if not present} == {"avx512_fp16", "amx_fp16"}
    assert {"avx2", "avx512_vnni", "avx_vnni", "amx_int8"} <= there.keys()
    assert all(feature.brings for feature in cpu.features)


def test_an_orin_is_named_by_its_core_and_has_no_i8mm() -> None:
    cpu = parse_cpuinfo(ORIN, "aarch64")
    assert cpu.name == "Cortex-A78AE"
    assert {feature.name: feature.present for feature in cpu.features} == {
        "asimd": True,
        "asimddp": True,
        "i8mm": False,
        "fphp": True,
        "asimdhp": True,
        "bf16": False,
    }


def test_a_cpu_that_says_nothing_has_the_name_of_its_kind() -> None:
    cpu = parse_cpuinfo("", "riscv64")
    assert cpu.name == "riscv64"
    assert not any(feature.present for feature in cpu.features)


def test_memory() -> None:
    assert parse_memory("MemTotal:       2048 kB\nHugePages_Total:  0\n") == {"MemTotal": 2048 * 1024}


@pytest.mark.parametrize(
    ("release", "revision", "jetpack", "tensorrt", "cuda", "too_old"),
    [
        ("32 (release)", "7.1", "JetPack 6.0 or older", "8", None, True),
        ("36 (release)", "3.0", "JetPack 6.0 or older", "8", None, True),
        ("36 (release)", "4.0", "JetPack 6.1", "10.3", 12, False),
        ("36 (release)", "4.3", "JetPack 6.2", "10.3", 12, False),
        ("36 (release)", "4.7", "JetPack 6.2.1 or newer", "10.3", 12, False),
        ("38 (release)", "4.0", "JetPack 7.0 or 7.1", "10.13", 13, False),
        ("39 (release)", "2.0", "JetPack 7.2 or newer", "10.16 (7.2), 11.4.1 (7.2.2 and newer)", 13, False),
    ],
)
def test_jetpack_and_its_tensorrt(
    release: str, revision: str, jetpack: str, tensorrt: str, cuda: int | None, too_old: bool
) -> None:
    jetson = parse_jetson(RELEASE.format(release, revision), ORIN_NANO)
    assert jetson is not None
    assert jetson.model == "NVIDIA Jetson Orin Nano Developer Kit"
    assert (jetson.jetpack, jetson.tensorrt, jetson.cuda_major) == (jetpack, tensorrt, cuda)
    assert jetson.too_old == too_old
    assert jetson.l4t == f"{release[:2]}.{revision}"


def test_what_is_no_jetson_and_a_jetson_without_a_release_file() -> None:
    assert parse_jetson("", "Raspberry Pi 5 Model B Rev 1.0\0") is None
    container = parse_jetson("", ORIN_NANO)
    assert container is not None
    assert (container.l4t, container.jetpack) == ("", "unknown")


def test_an_old_jetpack_is_told_to_move_on(monkeypatch: pytest.MonkeyPatch) -> None:
    old = parse_jetson(RELEASE.format("35 (release)", "4.1"), ORIN_NANO)
    monkeypatch.setattr(system, "find_jetson", lambda: old)
    (finding,) = system.findings(system.look(4))
    assert "6.1" in finding.what
    assert not finding.broken  # the CPU engines run


def test_gpus_with_and_without_compute_capability() -> None:
    gpus = nvidia.parse_gpus("NVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB, 9.0\nOrin (nvgpu), 540.4.0, [N/A]\n")
    assert [(gpu.name, gpu.compute_capability) for gpu in gpus] == [
        ("NVIDIA H100 80GB HBM3", "9.0"),
        ("Orin (nvgpu)", ""),
    ]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exec sleep 60", "does not answer"),
        ("echo no devices were found; exit 6", "no devices were found"),
        ("exit 9", "9"),
    ],
)
def test_an_nvidia_smi_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\n{script}\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gpus, said = nvidia.ask_driver(0.5 if "sleep" in script else 30)
    assert gpus == ()
    assert reason in said


# Packages.


def test_requirements_are_read_once_each_with_the_extras_that_want_them() -> None:
    packages = {package.name: package for package in wanted_packages(REQUIRES, EXTRAS)}
    assert packages["numpy"].extras == ()
    assert packages["onnxruntime"].extras == ("cpu", "export")
    assert packages["torch"].extras == ("export", "train")
    assert packages["opencv-python"].module == "cv2"
    assert packages["pytest"].for_developers
    assert packages["pytest"].module == ""
    assert not packages["torch"].for_developers
    assert packages.keys().isdisjoint({"onnxold", "edge-deployment-toolkit"})
    assert suggested_extras(REQUIRES) == ["cpu", "export", "train"]


@pytest.mark.parametrize(
    ("there", "answer", "state", "version"),
    [
        (["torch 2.13.0"], Answer("2.13.0+cpu"), "ok", "2.13.0"),
        (["torch 2.10.0"], Answer("2.10.0"), "ok", "2.10.0"),  # not older than 2.9, as text would have it
        (["torch 2.8.1"], Answer("2.8.1"), "too old", "2.8.1"),
        (["torch 2.9.0a0+872d972e41.nv24.8"], Answer(""), "too old", "2.9.0a0+872d972e41.nv24.8"),
        ([], Answer(error="ModuleNotFoundError: ...", missing="tor"), "cannot be imported", ""),
        ([], Answer("2.10.0"), "ok", "2.10.0"),  # without metadata, as the system's packages may be
        ([], Answer(error="ModuleNotFoundError: ...", missing="torch"), "missing", ""),
        (["torch 2.13.0"], Answer(error="ModuleNotFoundError: ...", missing="torch"), "cannot be imported", "2.13.0"),
        (["torch 2.13.0"], Answer(error="ModuleNotFoundError: ...", missing="x"), "cannot be imported", "2.13.0"),
        (["torch 2.13.0"], Answer(error="kills the process (SIGILL)"), "cannot be imported", "2.13.0"),
        (["torch 2.13.0"], Answer(error="time", tried=False), "not checked", "2.13.0"),
    ],
)
def test_the_state_of_a_package(tmp_path: Path, there: list[str], answer: Answer, state: str, version: str) -> None:
    torch = Package("torch", "torch", ">=2.9", ("export",))
    judged = judge(torch, site_packages(tmp_path, *there), {"torch": answer})
    assert (judged.state, judged.version) == (state, version)


@pytest.mark.parametrize(
    ("there", "missing", "state"),
    [
        ([], "cuda", "missing"),
        ([], "cuda.bindings", "missing"),  # other packages have parts in the namespace
        (["cuda-bindings 13.4.4"], "", "ok"),
        (["cuda-python 12.6.0"], "cuda.bindings", "too old"),
    ],
)
def test_the_bindings_of_cuda(tmp_path: Path, there: list[str], missing: str, state: str) -> None:
    (wanted,) = wanted_packages(['cuda-python>=12.6.2; extra == "cuda"'], ["cuda"])
    assert wanted.module == "cuda.bindings"
    answer = Answer(error="ModuleNotFoundError", missing=missing) if missing else Answer("13.4.4")
    assert judge(wanted, site_packages(tmp_path, *there), {"cuda.bindings": answer}).state == state


@pytest.mark.parametrize("there", [["opencv-python-headless 4.10.0.84"], []])
def test_any_opencv_will_do(tmp_path: Path, there: list[str]) -> None:
    wanted = Package("opencv-python", "cv2", ">=4.5", ())
    judged = judge(wanted, site_packages(tmp_path, *there), {"cv2": Answer("4.8.0-dirty")})
    assert judged.state == "ok"
    assert judged.provider == (there[0].split()[0] if there else "")


def test_metadata_that_was_left_half_written_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "numpy-2.0.dist-info").mkdir(parents=True)
    assert not site_packages(tmp_path, "click 8.1").has("numpy")


def broken(reason: str, *, module: str = "onnx", name: str = "onnx", version: str = "1.18.0") -> Package:
    return Package(name, module, ">=1.18", ("export",), name, version, "cannot be imported", reason)


@pytest.mark.parametrize(
    ("package", "command"),
    [
        (broken("ImportError: bad magic"), "pip install --force-reinstall --no-deps onnx==1.18.0"),
        (
            broken("ImportError: bad magic", module="tensorrt_rtx", name="tensorrt-rtx", version="1.7.1.116"),
            "pip install --force-reinstall tensorrt-rtx==1.7.1.116",
        ),
        (broken("ModuleNotFoundError: No module named 'ml_dtypes'"), "pip install --upgrade 'onnx>=1.18'"),
        (
            broken("ImportError: libGL.so.1: cannot open", module="cv2", name="opencv-python"),
            "sudo apt install libgl1 libglib2.0-0",
        ),
        (broken("still not done after 20 s"), "toolkit doctor --timeout 120"),
        (
            Package("onnx", "onnx", ">=1.18", (), "onnx", "1.2", "too old", "1.2 is installed"),
            "pip install --upgrade 'onnx>=1.18'",
        ),
        (Package("rich", "rich", ">=13", ()), "pip install 'rich>=13'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_mends_a_package(package: Package, command: str) -> None:
    (finding,) = findings([package], [], runs=True)
    assert (finding.broken, finding.command) == (True, command)


def test_extras_are_proposed_once_and_are_an_error_only_where_no_engine_runs() -> None:
    packages = wanted_packages(REQUIRES, EXTRAS)
    present = [package for package in packages if package.extras]
    assert [(f.broken, f.command) for f in findings(present, ["cpu", "export", "train"], runs=False)] == [
        (True, "pip install '.[cpu]'"),
        (False, "pip install '.[export]'"),  # which brings all that train needs
    ]
    assert not any(f.broken for f in findings(present, ["cpu", "export", "train"], runs=True))


def test_where_numpy_fails_only_numpy_is_to_be_mended() -> None:
    numpy = broken("ImportError: x", module="numpy", name="numpy")
    assert len(findings([numpy, broken("ImportError: no numpy")], [], runs=False)) == 1


def clash(installed: Installed, jetson_cuda: int | None = None, **imported: Answer) -> Finding:
    (found,) = find_clashes(
        installed, {name.replace("_", " "): answer for name, answer in imported.items()}, jetson_cuda
    )
    return found.finding


def test_nothing_clashes_in_a_sound_set(tmp_path: Path) -> None:
    sound = site_packages(
        tmp_path,
        "numpy 2.4.0",
        "opencv-python 4.10.0.84",
        "onnxruntime 1.32.0",
        "tensorrt-cu12 10.3.0",
        "cuda-python 12.6.0",
    )
    assert find_clashes(sound, {"cv2": Answer("4.10.0"), "numpy": Answer("2.4.0"), "onnx file": Answer(10)}, None) == []


@pytest.mark.parametrize(
    ("there", "command"),
    [
        (
            ["opencv-python 5.0.0.93", "opencv-python-headless 4.10.0.84"],
            "pip uninstall -y opencv-python opencv-python-headless && "
            "pip install --force-reinstall --no-deps opencv-python",
        ),
        (
            ["onnxruntime-gpu 1.20.0", "onnxruntime 1.32.0"],
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install --force-reinstall --no-deps onnxruntime",
        ),
        (
            ["click 8.1.0", "click 8.2.0"],
            "pip uninstall -y click && pip uninstall -y click && pip install --no-deps click",
        ),
        (
            ["tensorrt-cu13-libs 10.13.2", "cuda-python 12.6.2", "numpy 1.26.4"],
            "pip uninstall -y cuda-python && pip install 'cuda-python>=13,<14'",
        ),
        (
            ["tensorrt 10.16.1", "tensorrt-cu12 10.12.0", "tensorrt-cu13 10.16.1"],
            "pip uninstall -y tensorrt tensorrt-cu12 tensorrt-cu13 && pip install tensorrt-cu12",
        ),
    ],
)
def test_clashes_that_the_metadata_shows(tmp_path: Path, there: list[str], command: str) -> None:
    found = clash(site_packages(tmp_path, *there))
    assert found.broken
    assert found.command == command


def test_two_folders_with_an_opencv_each_do_not_clash(tmp_path: Path) -> None:
    site_packages(tmp_path / "system", "opencv-python-headless 4.6.0.66")
    site_packages(tmp_path / "venv", "opencv-python 5.0.0.93")
    both = Installed([str(tmp_path / "venv"), str(tmp_path / "system")])
    assert find_clashes(both, {}, None) == []


def test_jetpacks_tensorrt_and_the_cuda_bindings_of_another_major_version(tmp_path: Path) -> None:
    found = clash(site_packages(tmp_path, "tensorrt 10.3.0", "cuda-python 13.0.1"), 12)
    assert found.command == "pip uninstall -y cuda-python && pip install 'cuda-python>=12.6.2,<13'"


@pytest.mark.parametrize(
    ("there", "command"),
    [(["opencv-python 4.9.0.80"], "pip install --upgrade opencv-python"), ([], "pip install 'numpy>=1.26,<2'")],
)
def test_an_opencv_for_numpy_1(tmp_path: Path, there: list[str], command: str) -> None:
    said = Answer(error="ImportError: numpy.core.multiarray failed to import")
    assert clash(site_packages(tmp_path, *there), numpy=Answer("2.4.6"), cv2=said).command == command
    assert find_clashes(Installed([str(tmp_path)]), {"numpy": Answer("1.26.4"), "cv2": said}, None) == []


def test_an_onnx_that_is_newer_than_onnx_runtime_is_worth_a_word(tmp_path: Path) -> None:
    said = Answer(error="Fail: ... Unsupported model IR version: 14, max supported IR version: 10")
    found = clash(site_packages(tmp_path, "onnx 1.23.2", "onnxruntime 1.20.0"), onnx_file=said)
    assert found.command == "pip install --upgrade onnxruntime"
    assert not found.broken


def test_onnx_runtime_reads_the_newest_files_of_the_onnx_that_is_tested_with_it() -> None:
    import onnx

    assert child.read_newest_onnx() == onnx.IR_VERSION


# The process that is sent ahead.


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that do on import what they are named after."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name, code in {
        "aborts": "import os; os.abort()",
        "exits": "import os; os._exit(0)",
        "quits": "raise SystemExit('gone')",
        "interrupts": "raise KeyboardInterrupt('stop')",
        "hangs": "import time; time.sleep(600)",
        "prints": "print('hello'); import os; os.write(1, b'hello'); os.write(2, b'hello'); __version__ = '1.0'",
        "lacks": "import nowhere_at_all",
        "fails": "raise RuntimeError('first line\\nsecond line')",
        "good": "__version__ = '2.0'",
    }.items():
        (folder / f"{name}.py").write_text(code + "\n")
    monkeypatch.syspath_prepend(folder)
    return folder


def test_each_package_gets_its_own_answer_whatever_the_others_do(hostile: Path, capfd: Any) -> None:
    names = ("aborts", "exits", "quits", "interrupts", "prints", "lacks", "fails", "nowhere", "good")
    answers = ask([f"import {name}" for name in names], 60)
    errors = {name: answers[f"import {name}"].error for name in names}
    assert errors["aborts"] == "kills the process (SIGABRT)"
    assert errors["exits"] == "ends the process with exit code 0"
    assert errors["quits"] == "SystemExit: gone"
    assert errors["interrupts"] == "KeyboardInterrupt: stop"
    assert errors["fails"] == "RuntimeError: first line"
    assert (errors["prints"], errors["good"]) == ("", "")
    assert answers["import prints"].value == "1.0"
    assert answers["import good"].value == "2.0"
    assert answers["import lacks"].missing == "nowhere_at_all"
    assert answers["import nowhere"].missing == "nowhere"
    assert capfd.readouterr() == ("", "")


def test_a_package_that_hangs_is_given_up_and_the_time_of_all_is_bounded(hostile: Path) -> None:
    answers = ask(["import hangs", "import good"], 5)
    assert answers["import hangs"] == Answer(error="still not done after 5 s")
    assert answers["import good"].value == "2.0"
    assert ask(["import good"], 0) == {"import good": Answer(error="not tried: the time was up", tried=False)}


def test_a_folder_where_the_user_stands_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(ROOT), *[entry for entry in sys.path if entry]])
    assert ask(["import shadow"], 60)["import shadow"].missing == "shadow"


# The command.


def doctor(cwd: Path, path: str = str(ROOT)) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """`toolkit doctor --json`; JSON is all that may be on standard output."""
    done = toolkit("doctor", "--json", "--timeout", 100, cwd=cwd, PYTHONPATH=path)
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    return done, report


def states(report: dict[str, Any]) -> dict[str, str]:
    return {package["name"]: package["state"] for package in report["packages"]}


def commands(report: dict[str, Any]) -> list[str]:
    return [finding["command"] for finding in report["next"]]


def test_all_is_well_in_the_set_that_is_tested(tmp_path: Path) -> None:
    _, report = doctor(tmp_path)
    assert report["ok"]
    assert report["clashes"] == []
    assert not any(finding["broken"] for finding in report["next"])
    assert set(states(report).values()) <= {"ok", "missing"}
    assert states(report)["torch"] == "ok"
    assert [backend["name"] for backend in report["backends"]] == list(BACKENDS)
    assert {backend["name"] for backend in report["backends"] if backend["ok"]} >= {"openvino", "onnxruntime"}
    assert report["system"]["cores"] > 0
    assert report["opencv"]["version"]
    assert list(report) == [
        "ok",
        "toolkit",
        "system",
        "packages",
        "clashes",
        "opencv",
        "nvidia",
        "backends",
        "cache",
        "next",
    ]


def test_without_json_there_are_tables_and_next_commands(tmp_path: Path) -> None:
    done = toolkit("doctor", cwd=tmp_path, PYTHONPATH=without_packages(tmp_path, *HEAVY))
    assert (done.returncode, done.stderr) == (1, "")
    for word in ("Python", "memory", "packages", "OpenCV", "NVIDIA", "does not run", "next:", "    pip install"):
        assert word in done.stdout


def test_the_base_install_alone_lacks_an_engine(tmp_path: Path) -> None:
    _, report = doctor(tmp_path, without_packages(tmp_path, *HEAVY))
    assert not report["ok"]
    assert not any(backend["ok"] for backend in report["backends"])
    assert states(report)["numpy"] == "ok"


def test_packages_that_kill_print_and_raise(tmp_path: Path) -> None:
    (tmp_path / "onnxsim.py").write_text("import os\nos.abort()\n")
    (tmp_path / "openvino.py").write_text("print('hello')\nraise OSError('no such thing')\n")
    (tmp_path / "safetensors.py").write_text("print('hello')\n")
    _, report = doctor(tmp_path, without_packages(tmp_path, "torch", "onnxscript"))
    assert not report["ok"]
    assert states(report)["onnxsim"] == states(report)["openvino"] == "cannot be imported"
    assert states(report)["onnxruntime"] == states(report)["safetensors"] == "ok"
    assert [backend["name"] for backend in report["backends"] if backend["ok"]] == ["onnxruntime"]
    assert any(command.startswith("pip install --force-reinstall --no-deps onnxsim==") for command in commands(report))


@pytest.mark.parametrize("package", ["numpy", "msgspec", "rich", "platformdirs"])
def test_a_base_package_that_fails_is_named_in_plain_text_and_in_json(tmp_path: Path, package: str) -> None:
    (tmp_path / f"{package}.py").write_text("raise RuntimeError('spoiled')\n")
    path = without_packages(tmp_path, *HEAVY)
    done = toolkit("doctor", cwd=tmp_path, PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{package} cannot be imported: RuntimeError: spoiled" in done.stdout.replace("\n  ", " ")
    _, report = doctor(tmp_path, path)
    assert states(report)[package] == "cannot be imported"


def test_without_packaging_it_says_so(tmp_path: Path) -> None:
    done = toolkit("doctor", cwd=tmp_path, PYTHONPATH=without_packages(tmp_path, "packaging"))
    assert_clean_failure(done, "packaging", "pip install")
