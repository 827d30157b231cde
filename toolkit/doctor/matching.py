"""Whether GPU, driver, CUDA, TensorRT and the bindings of CUDA match: from what was collected to what to do.

What is said of versions is NVIDIA's documentation, or what the packages themselves say (docs/tensorrt.md). A machine
without an NVIDIA GPU gets no finding, whatever it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from packaging.version import Version

from runtime.jetson import Jetson
from toolkit.doctor.clashes import Clash
from toolkit.doctor.facts import (
    NO_JETPACK_6,
    OLDEST_DRIVER,
    OLDEST_TENSORRT,
    RTX_GPUS,
    TITLES,
    TURING,
    VOLTA,
    WITHOUT_VOLTA,
    Facts,
    fits_rtx,
    install_tensorrt,
    name_gpu,
    replace_bindings,
    uninstall,
)
from toolkit.doctor.finding import Finding
from toolkit.doctor.nvidia import OLDEST_BINDINGS, Nvidia, bindings_requirement
from toolkit.doctor.packages import PURPOSES, parse_version
from toolkit.doctor.probe import Answer
from toolkit.doctor.system import System


def find_mismatches(nvidia: Nvidia, system: System) -> list[Clash]:
    """All that does not match, and what an NVIDIA GPU lacks."""
    facts = Facts(nvidia, system)
    if not facts.gpu_is_here and not facts.jetson:
        return []
    return [clash for rule in RULES for clash in rule(facts)]


def explained_modules(imported: Mapping[str, Answer], jetson: Jetson | None) -> frozenset[str]:
    """Modules whose state needs no finding of its own: an old JetPack's TensorRT, and what only lacks a driver."""
    old = {"tensorrt"} if jetson and jetson.too_old else set()
    return frozenset(old | {module for module, answer in imported.items() if "libcuda.so" in answer.error})


def driver_without_gpu(facts: Facts) -> Iterator[Clash]:
    """A GPU is listed, or its files are in /dev, and the driver's library is not here or lists none."""
    without_library = "libcuda" in facts.nvidia.library
    if not facts.nvidia.library or (not without_library and facts.nvidia.gpus):
        return
    broken = bool(facts.engines)
    if "version mismatch" in facts.nvidia.reason:
        yield clash(broken, "NVIDIA's driver was updated, and the old one still runs", "sudo reboot")
    elif facts.nvidia.container and without_library:
        flags = "--runtime nvidia" if facts.jetson else "--gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        yield clash(
            broken,
            "a GPU is in this container, and the driver's library libcuda.so.1 is not: start the container "
            "with NVIDIA's container toolkit (podman: --device nvidia.com/gpu=all)",
            f"docker run {flags} IMAGE",
        )
    else:
        yield clash(
            broken,
            f"an NVIDIA GPU is here, and cannot be used: {facts.nvidia.library}",
            "sudo dmesg | grep -iE 'nvrm|nvidia|nvgpu'",
        )


def old_tensorrt(facts: Facts) -> Iterator[Clash]:
    """TensorRT older than this toolkit can use; an old JetPack has its own finding."""
    package = facts.package("tensorrt")
    version = parse_version(package.version)
    if version is None or version >= OLDEST_TENSORRT or (facts.jetson and facts.jetson.too_old):
        return
    what = f"TensorRT {version} is installed, {OLDEST_TENSORRT} is the oldest that this toolkit uses"
    if facts.jetson:
        what += f"; {facts.jetson.jetpack} brings {facts.jetson.tensorrt}"
        yield clash(True, what, uninstall(package), "tensorrt")
    else:
        yield clash(True, what, f"{uninstall(package)} && {install_tensorrt(facts)}", "tensorrt")


def old_driver(facts: Facts) -> Iterator[Clash]:
    """A package for a newer CUDA than the driver supports."""
    for package in facts.engines:
        wanted, has = package.cuda_major, facts.driver_cuda
        if wanted is None or has is None or wanted <= has:
            continue
        oldest = f", which needs driver {OLDEST_DRIVER[wanted]} or newer" if wanted in OLDEST_DRIVER else ""
        what = f"{TITLES[package.module]} {package.version} is for CUDA {wanted}{oldest}; {facts.driver_says}"
        if facts.jetson:
            yield clash(True, f"{what}: use JetPack's own", uninstall(package), package.module)
        elif has < 12:
            command = "sudo ubuntu-drivers install" if "Ubuntu" in facts.system.os else ""
            yield clash(True, f"{what}: install a newer driver", command, package.module)
        elif package.module == "tensorrt_rtx":
            command = f"{uninstall(package)} && pip install 'tensorrt-rtx-cu{has}>=1.7'"
            yield clash(True, what, command, package.module)
        else:
            yield clash(True, what, f"{uninstall(package)} && {install_tensorrt(facts)}", package.module)


def jetpack_6_with_tensorrt_11(facts: Facts) -> Iterator[Clash]:
    """NVIDIA supports TensorRT 11 from JetPack 7.2.2 on; what it said of 11.0 was otherwise."""
    package = facts.package("tensorrt")
    version = parse_version(package.version)
    if facts.jetson and facts.jetson.jetpack.startswith("JetPack 6") and version and version >= NO_JETPACK_6:
        what = f"TensorRT {version} does not support {facts.jetson.jetpack}, whose own is {facts.jetson.tensorrt}"
        yield clash(True, what, uninstall(package), "tensorrt")


def bindings(facts: Facts) -> Iterator[Clash]:
    """cuda-python without the module cuda.bindings, or for a newer CUDA than the driver supports."""
    package = facts.package("cuda")
    version = parse_version(package.version)
    if version is None:
        return
    major = next((one for one in map(facts.cuda_of, facts.engines) if one), None) or facts.driver_cuda or version.major
    if version < OLDEST_BINDINGS:
        what = f"cuda-python {version} has no module cuda.bindings: {OLDEST_BINDINGS} is the first that has"
        yield clash(True, what, replace_bindings(package, major), "cuda.bindings")
    elif facts.driver_cuda and version.major > facts.driver_cuda:
        what = f"{package.distributions[-1]} {version} is for CUDA {version.major}; {facts.driver_says}"
        yield clash(True, what, replace_bindings(package, facts.driver_cuda), "cuda.bindings")


def old_gpu(facts: Facts) -> Iterator[Clash]:
    """GPUs that the TensorRT at hand does not support."""
    newest, package = facts.newest_gpu, facts.package("tensorrt")
    version = parse_version(package.version)
    if newest is None or version is None or version < OLDEST_TENSORRT or newest >= TURING:
        return
    what = f"TensorRT {version} does not support {name_gpu(facts)}"
    if newest < VOLTA:
        yield clash(False, f"{what}, nor does any that this toolkit uses: the CPU engines run", uninstall(package))
    elif version >= WITHOUT_VOLTA:
        command = f"{uninstall(package)} && {install_tensorrt(facts)}"
        yield clash(True, f"{what}: 10.4 is the last that does", command, "tensorrt")


def gpu_not_for_rtx(facts: Facts) -> Iterator[Clash]:
    """GPUs that NVIDIA does not list for TensorRT for RTX; it can still build for others."""
    here = {gpu.compute_capability for gpu in facts.nvidia.gpus if gpu.compute_capability}
    if not here or here.intersection(RTX_GPUS) or not facts.package("tensorrt_rtx").installed:
        return
    there = facts.package("tensorrt").installed or facts.jetson or max(map(Version, here)) < VOLTA
    yield clash(
        False,
        f"NVIDIA does not list {name_gpu(facts)}, for TensorRT for RTX, but {', '.join(RTX_GPUS)}; it builds for those",
        "" if there else install_tensorrt(facts),
    )


def no_bindings(facts: Facts) -> Iterator[Clash]:
    """TensorRT without a way to its memory."""
    if not facts.engines or facts.package("cuda").installed or facts.package("pycuda").installed:
        return
    major = next((one for one in map(facts.cuda_of, facts.engines) if one), None) or facts.driver_cuda
    names = " and ".join(TITLES[package.module] for package in facts.engines)
    yield clash(
        False,
        f"missing {PURPOSES['cuda']}: cuda-python (or pycuda), without which {names} cannot run a bundle",
        f"pip install {bindings_requirement(major)}",
    )


def unseen_tensorrt(facts: Facts) -> Iterator[Clash]:
    """A Jetson whose TensorRT this Python does not see, or is not installed."""
    jetson, folder = facts.jetson, facts.nvidia.unseen_tensorrt
    if jetson is None or jetson.too_old or facts.package("tensorrt").installed:
        return
    own = f"python{'.'.join(facts.system.python.split('.')[:2])}"
    if folder:
        python = next((part for part in Path(folder).parts if part.startswith("python3")), "python3")
        place = Path(facts.system.executable).parent.parent
        same = python in (own, "python3") and facts.system.virtual_environment
        target = str(place) if same else ".venv"
        then = "" if same else f" && . {target}/bin/activate"
        python = "/usr/bin/python3" if python == "python3" else f"/usr/bin/{python}"
        yield clash(
            False,
            f"JetPack's TensorRT is in {folder}, where this Python ({own}) does not look",
            f"{python} -m venv --system-site-packages {target}{then}",
        )
    elif jetson.l4t:
        yield clash(False, f"{jetson.jetpack} has TensorRT, not installed here", "sudo apt install python3-libnvinfer")


def propose(facts: Facts) -> Iterator[Clash]:
    """A GPU without TensorRT: an extra is worth a word."""
    if facts.jetson or facts.engines or not facts.nvidia.gpus or (facts.newest_gpu or TURING) < VOLTA:
        return
    if facts.driver_cuda is not None and facts.driver_cuda < 12:
        return
    what = f"missing {PURPOSES['tensorrt']}, which is here ({name_gpu(facts)}): tensorrt and cuda-python"
    command = install_tensorrt(facts)
    if (facts.driver_cuda or 13) >= 13 and (facts.newest_gpu or TURING) >= TURING:
        what += "; or the extras rtx and cuda, for TensorRT for RTX" if fits_rtx(facts.nvidia.gpus) else ""
        what, command = f"{what}; in a clone of the toolkit:", "pip install '.[tensorrt,cuda]'"
    yield clash(False, what, command)


RULES: Sequence[Callable[[Facts], Iterator[Clash]]] = (
    driver_without_gpu,
    old_tensorrt,
    old_driver,
    jetpack_6_with_tensorrt_11,
    bindings,
    old_gpu,
    gpu_not_for_rtx,
    no_bindings,
    unseen_tensorrt,
    propose,
)


def clash(broken: bool, what: str, command: str, *modules: str) -> Clash:
    """A finding, and the modules whose state it explains."""
    return Clash(modules, Finding(broken, what, command))
