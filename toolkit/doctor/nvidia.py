"""What there is of NVIDIA: GPUs, driver, the CUDA that it supports, packages. `matching` says whether they match.

Nothing is imported here, and nothing that is missing is a problem by itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from importlib.util import find_spec
from pathlib import Path

from packaging.version import Version

from runtime.nvidia import driver_version
from toolkit.doctor.installed import Installed
from toolkit.doctor.probe import Answer

MODULES = {  # module -> the distributions that bring it, those that name their CUDA first
    "tensorrt": r"tensorrt-cu(\d+)(?:-bindings|-libs)?|tensorrt(?:-bindings|-libs)?",
    "tensorrt_rtx": r"tensorrt-rtx-cu(\d+)(?:-bindings|-libs)?|tensorrt-rtx",
    "cuda": r"cuda-python|cuda-bindings",
    "pycuda": r"pycuda",
}
# The last query is newer than some drivers in use.
QUERIES = ("name,driver_version,memory.total,compute_cap", "name,driver_version,memory.total")
DEVICE_FILES = ("/dev/nvidia[0-9]*", "/dev/nvmap")  # the second is a Jetson's
CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
OLDEST_BINDINGS = Version("12.6.2")  # the first cuda-python on the registry with the module cuda.bindings
SYSTEM_PACKAGES = "/usr/lib/python3*/dist-packages/tensorrt"  # where NVIDIA's packages for Ubuntu and JetPack put it


@dataclass(frozen=True)
class Gpu:
    """What nvidia-smi, or the driver itself, says of a GPU."""

    name: str
    driver: str
    memory: str
    compute_capability: str = ""


@dataclass(frozen=True)
class NvidiaPackage:
    """A package that brings TensorRT or CUDA to Python.

    Attributes:
        module: that it brings.
        installed: it is there, with metadata or without.
        version: of it; empty where it is not there or does not say.
        distributions: that are installed of it.
        cuda_major: the major version of the CUDA that it is for; null where nothing tells.
    """

    module: str
    installed: bool
    version: str = ""
    distributions: Sequence[str] = ()
    cuda_major: int | None = None


@dataclass(frozen=True)
class Nvidia:
    """What there is of NVIDIA.

    Attributes:
        gpus: that nvidia-smi or the driver lists.
        reason: why there are none.
        packages: TensorRT and CUDA for Python.
        driver: its version; empty where nothing tells.
        cuda: the newest CUDA that the driver supports, such as 12.4; empty where nothing tells.
        device_files: a GPU has its files in /dev, whether or not the driver lists it.
        library: why the driver's library, libcuda.so.1, cannot be used; empty where it can.
        container: this is a container.
        unseen_tensorrt: the folder of the system's TensorRT, where this Python does not see it.
    """

    gpus: Sequence[Gpu] = ()
    reason: str = ""
    packages: Sequence[NvidiaPackage] = ()
    driver: str = ""
    cuda: str = ""
    device_files: bool = False
    library: str = ""
    container: bool = False
    unseen_tensorrt: str = ""


def look(installed: Installed, asked: Answer, imported: dict[str, Answer], timeout_s: float = 5.0) -> Nvidia:
    """Put together what the driver's library said, what nvidia-smi says, and which packages there are.

    Args:
        installed: the metadata that is there.
        asked: what came of `cuda_driver.read_driver`.
        imported: what came of importing each module.
        timeout_s: for nvidia-smi.
    """
    gpus, reason = ask_driver(timeout_s)
    told = asked.value or {"cuda": "", "gpus": [], "error": asked.error}
    driver = gpus[0].driver if gpus else driver_version()
    packages = tuple(find_package(module, installed, imported) for module in MODULES)
    return Nvidia(
        gpus=merge(gpus, [Gpu(driver=driver, **gpu) for gpu in told["gpus"]]),
        reason="" if told["gpus"] else reason,
        packages=packages,
        driver=driver,
        cuda=told["cuda"] or (ask_cuda(timeout_s) if gpus else ""),
        device_files=any(glob(pattern) for pattern in DEVICE_FILES),
        library=told["error"] if asked.tried else "",
        container=any(Path(path).exists() for path in CONTAINER_FILES),
        unseen_tensorrt="" if packages[0].installed else find_unseen_tensorrt(glob(SYSTEM_PACKAGES)),
    )


def ask_driver(timeout_s: float) -> tuple[tuple[Gpu, ...], str]:
    """The GPUs, and why there are none."""
    reason = ""
    for query in QUERIES:
        text, reason = run_smi([f"--query-gpu={query}", "--format=csv,noheader"], timeout_s)
        if not reason:
            return parse_gpus(text), ""
        if not text:
            break
    return (), reason


def ask_cuda(timeout_s: float) -> str:
    """The newest CUDA that the driver supports, from the table that nvidia-smi prints."""
    return parse_cuda(run_smi([], timeout_s)[0])


def run_smi(arguments: Sequence[str], timeout_s: float) -> tuple[str, str]:
    """What nvidia-smi prints, and why it failed; nothing and a reason where it gave no answer at all."""
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except FileNotFoundError:
        return "", "no nvidia-smi here"
    except subprocess.TimeoutExpired:
        return "", f"nvidia-smi does not answer within {timeout_s:g} s"
    except OSError as error:
        return "", f"nvidia-smi cannot be run: {error.strerror}"
    if done.returncode == 0:
        return done.stdout, ""
    said = (done.stdout + done.stderr).strip() or f"nvidia-smi exits with {done.returncode}"
    return said, said.splitlines()[0]


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """nvidia-smi's lines: name, driver, memory and, from some driver on, compute capability."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return tuple(
        Gpu(*row[:3], *(cell for cell in row[3:] if re.fullmatch(r"\d+\.\d+", cell)))  # a Jetson says [N/A]
        for row in rows
        if 3 <= len(row) <= 4
    )


def parse_cuda(text: str) -> str:
    """`CUDA Version: 12.4` in the head of nvidia-smi's table."""
    match = re.search(r"CUDA(?: UMD)? Version\s*:\s*(\d+\.\d+)", text)
    return match[1] if match else ""


def merge(listed: Sequence[Gpu], told: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """nvidia-smi's GPUs; the driver's own where it lists none, or does not say their compute capability.

    The two count in different orders, and CUDA_VISIBLE_DEVICES hides some from the second: they are not mixed.
    """
    if not listed or (told and not all(gpu.compute_capability for gpu in listed)):
        return tuple(told)
    return tuple(listed)


def find_package(module: str, installed: Installed, imported: dict[str, Answer]) -> NvidiaPackage:
    """Whether a package is there, with or without metadata."""
    matches = {name: re.fullmatch(MODULES[module], name) for name in installed.distributions}
    found = sorted(name for name, match in matches.items() if match)
    version = next((installed.version(name) for name in found), "")
    told = imported.get("cuda.bindings" if module == "cuda" else module, Answer()).value
    try:  # the module cuda is a namespace, which other packages have parts in
        there = bool(found) or (told is not None if module == "cuda" else find_spec(module) is not None)
    except Exception:  # an import hook of somebody else
        there = False
    version = version or (str(told or "") if there else "")  # the system's packages may have no metadata
    majors = {int(match[1]) for match in matches.values() if match and match.re.groups and match[1]}
    if module == "cuda" and version.split(".")[0].isdigit():
        majors = {int(version.split(".")[0])}
    return NvidiaPackage(module, there, version, tuple(found), majors.pop() if len(majors) == 1 else None)


def find_unseen_tensorrt(folders: Sequence[str]) -> str:
    """The system's TensorRT, if this Python does not look there; its own version of Python first."""
    own = f"/python{sys.version_info[0]}.{sys.version_info[1]}/"
    unseen = sorted((folder for folder in folders if str(Path(folder).parent) not in sys.path), reverse=True)
    return next((folder for folder in unseen if own in folder), unseen[0] if unseen else "")


def bindings_requirement(major: int | None) -> str:
    """cuda-python for a major version of CUDA."""
    if major is None:
        return "cuda-python"
    oldest = OLDEST_BINDINGS if major == OLDEST_BINDINGS.major else major
    return f"'cuda-python>={oldest},<{major + 1}'"
