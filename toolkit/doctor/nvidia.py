"""NVIDIA's GPU and packages. Not a backend yet: what is missing here is no problem."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from toolkit.doctor.installed import Installed

MODULES = {  # module -> the distributions that bring it
    "tensorrt": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
    "tensorrt_rtx": ("tensorrt-rtx", "tensorrt-rtx-cu12", "tensorrt-rtx-cu13"),
    "cuda": ("cuda-python", "cuda-bindings"),
    "pycuda": ("pycuda",),
}
# The last query is newer than some drivers in use.
QUERIES = ("name,driver_version,memory.total,compute_cap", "name,driver_version,memory.total")


@dataclass(frozen=True)
class Gpu:
    """What nvidia-smi says of a GPU, in its words."""

    name: str
    driver: str
    memory: str
    compute_capability: str = ""


@dataclass(frozen=True)
class NvidiaPackage:
    """A package that would bring TensorRT or CUDA to Python."""

    module: str
    installed: bool
    version: str


@dataclass(frozen=True)
class Nvidia:
    """GPUs that nvidia-smi lists, why it lists none, and the packages."""

    gpus: Sequence[Gpu]
    reason: str
    packages: Sequence[NvidiaPackage]


def look(installed: Installed, timeout_s: float = 5.0) -> Nvidia:
    """Ask nvidia-smi, and look for the packages without importing them."""
    gpus, reason = ask_driver(timeout_s)
    return Nvidia(gpus, reason, tuple(find_package(module, installed) for module in MODULES))


def ask_driver(timeout_s: float) -> tuple[tuple[Gpu, ...], str]:
    """The GPUs, and why there are none."""
    reason = ""
    for query in QUERIES:
        try:
            done = subprocess.run(
                ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
            )
        except FileNotFoundError:
            return (), "no nvidia-smi here"
        except subprocess.TimeoutExpired:
            return (), f"nvidia-smi does not answer within {timeout_s:g} s"
        except OSError as error:
            return (), f"nvidia-smi cannot be run: {error.strerror}"
        if done.returncode == 0:
            return parse_gpus(done.stdout), ""
        said = (done.stdout + done.stderr).strip().splitlines()
        reason = said[0] if said else f"nvidia-smi exits with {done.returncode}"
    return (), reason


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """nvidia-smi's lines: name, driver, memory and, from some driver on, compute capability."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return tuple(Gpu(*row) for row in rows if 3 <= len(row) <= 4)


def find_package(module: str, installed: Installed) -> NvidiaPackage:
    """Whether a package is there, with or without metadata."""
    version = next((installed.version(name) for name in MODULES[module] if installed.has(name)), "")
    try:
        there = bool(version) or find_spec(module) is not None
    except Exception:  # an import hook of somebody else
        there = False
    return NvidiaPackage(module, there, version)
