"""The machine: operating system, Python, CPU with what matters for INT8 and half precision, memory, Jetson."""

from __future__ import annotations

import os
import platform
import re
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.cpu import cpu_name
from runtime.jetson import Jetson, find_jetson
from runtime.nvidia import read_text
from toolkit.doctor.finding import Finding

X86_FEATURES = {
    "avx2": "float32, 8 values at a time",
    "avx512f": "float32, 16 values at a time",
    "avx_vnni": "INT8 products in one step, 32 at a time",
    "avx512_vnni": "INT8 products in one step, 64 at a time",
    "avx512_bf16": "bfloat16 products",
    "avx512_fp16": "float16 arithmetic",
    "amx_int8": "INT8 products of whole tiles",
    "amx_bf16": "bfloat16 products of whole tiles",
    "amx_fp16": "float16 products of whole tiles",
}
ARM_FEATURES = {
    "asimd": "float32, 4 values at a time (NEON)",
    "asimddp": "INT8 products in one step (dotprod)",
    "i8mm": "INT8 products of small matrices",
    "fphp": "float16 arithmetic, one value",
    "asimdhp": "float16 arithmetic, 8 values at a time",
    "bf16": "bfloat16 products",
}


@dataclass(frozen=True)
class Feature:
    """An extension of the instruction set.

    Attributes:
        name: as /proc/cpuinfo has it.
        present: this CPU has it.
        brings: what it is good for.
    """

    name: str
    present: bool
    brings: str


@dataclass(frozen=True)
class Cpu:
    """The processor: its name, and the features that matter on this kind of machine."""

    name: str
    features: Sequence[Feature]


@dataclass(frozen=True)
class System:
    """What everything else runs on.

    Attributes:
        os: its name.
        kernel: its release.
        machine: the kind of CPU, as `uname -m` has it.
        python: the version.
        executable: of Python.
        virtual_environment: Python runs in one.
        externally_managed: the system's package manager owns this Python, and pip refuses it.
        cores: that this process may use.
        memory, memory_available: in bytes; 0 where unknown.
        cpu: the processor.
        jetson: which one this is; None where it is none.
    """

    os: str
    kernel: str
    machine: str
    python: str
    executable: str
    virtual_environment: bool
    externally_managed: bool
    cores: int
    memory: int
    memory_available: int
    cpu: Cpu
    jetson: Jetson | None


def look(cores: int | None) -> System:
    """Look at this machine.

    Args:
        cores: that this process may use; None where the runtime could not be asked.
    """
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    memory = parse_memory(read_text(Path("/proc/meminfo")))
    virtual = sys.prefix != sys.base_prefix
    return System(
        os=name,
        kernel=platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        executable=sys.executable,
        virtual_environment=virtual,
        externally_managed=not virtual and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists(),
        cores=cores or os.cpu_count() or 1,
        memory=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        cpu=parse_cpuinfo(read_text(Path("/proc/cpuinfo")), platform.machine()),
        jetson=find_jetson(),
    )


def parse_cpuinfo(text: str, machine: str) -> Cpu:
    """Name and features from /proc/cpuinfo.

    Args:
        text: all of it. Big and small cores may differ: a feature counts when every core has it.
        machine: as `uname -m` has it.
    """
    entries = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    first = dict(reversed(entries))
    known = ARM_FEATURES if machine == "aarch64" else X86_FEATURES
    sets = [set(value.split()) for key, value in entries if key in ("flags", "Features")]
    common = set.intersection(*sets) if sets else set()
    return Cpu(
        cpu_name(first) or machine,
        tuple(Feature(name, name in common, brings) for name, brings in known.items()),
    )


def parse_memory(text: str) -> dict[str, int]:
    """/proc/meminfo, in bytes."""
    return {name: int(value) * 1024 for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}


def findings(system: System) -> list[Finding]:
    """What to mend on the machine itself."""
    found: list[Finding] = []
    if system.jetson and system.jetson.too_old:
        found.append(
            Finding(
                False,
                f"{system.jetson.jetpack} brings TensorRT 8, which this toolkit does not use: move to JetPack 6.1 or "
                "newer (with NVIDIA's SDK Manager); the CPU engines run as it is",
            )
        )
    return found


def virtual_environment_first(system: System) -> Finding:
    """What to do where the system's Python refuses pip."""
    option = "--system-site-packages " if system.jetson else ""  # keeps JetPack's OpenCV and TensorRT in sight
    return Finding(
        False,
        "the system's Python refuses pip: first make a virtual environment, then install the toolkit into it",
        f"python3 -m venv {option}.venv && . .venv/bin/activate",
    )
