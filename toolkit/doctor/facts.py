"""What the rules of `matching` ask for, and the commands that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from runtime.backends.tensorrt.product import TENSORRT
from runtime.jetson import Jetson
from toolkit.doctor.nvidia import Gpu, Nvidia, NvidiaPackage, bindings_requirement
from toolkit.doctor.system import System

OLDEST_TENSORRT = Version(TENSORRT.oldest)
WITHOUT_VOLTA = Version("10.5")  # from this TensorRT on, compute capability 7.0 is not supported; 7.5 is
NO_JETPACK_6 = Version("11.2")
TURING, VOLTA = Version("7.5"), Version("7.0")
RTX_GPUS = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")  # those that TensorRT for RTX 1.7 can name
OLDEST_DRIVER = {13: 580, 12: 525}  # for each major version of CUDA
TITLES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT for RTX"}


@dataclass(frozen=True)
class Facts:
    """What the rules ask for.

    Attributes:
        nvidia: GPUs, driver, packages.
        system: the machine.
    """

    nvidia: Nvidia
    system: System

    def package(self, module: str) -> NvidiaPackage:
        """What is known of a module."""
        return next((one for one in self.nvidia.packages if one.module == module), NvidiaPackage(module, False))

    @property
    def engines(self) -> list[NvidiaPackage]:
        """TensorRT and TensorRT for RTX, as far as they are there."""
        return [one for one in map(self.package, TITLES) if one.installed]

    @property
    def jetson(self) -> Jetson | None:
        """The Jetson that this is."""
        return self.system.jetson

    @property
    def gpu_is_here(self) -> bool:
        """A GPU is listed, or its files are in /dev."""
        return bool(self.nvidia.gpus) or self.nvidia.device_files

    @property
    def driver_cuda(self) -> int | None:
        """The newest major version of CUDA that the driver supports; None where that is not certain."""
        if self.nvidia.cuda:
            return int(self.nvidia.cuda.split(".")[0])
        branch = self.nvidia.driver.split(".")[0]
        if not branch.isdigit() or int(branch) >= OLDEST_DRIVER[13]:
            return None
        return 12 if int(branch) >= OLDEST_DRIVER[12] else 11

    @property
    def driver_says(self) -> str:
        """The driver and its CUDA, for people."""
        driver = f"the driver {self.nvidia.driver}".strip()
        return f"{driver} supports CUDA up to {self.nvidia.cuda or self.driver_cuda or '?'}"

    @property
    def newest_gpu(self) -> Version | None:
        """The highest compute capability here."""
        return max(
            (Version(gpu.compute_capability) for gpu in self.nvidia.gpus if gpu.compute_capability), default=None
        )

    def cuda_of(self, package: NvidiaPackage) -> int | None:
        """The CUDA that a package is for; that of JetPack, where it is JetPack's own."""
        return package.cuda_major or (self.jetson.cuda_major if self.jetson else None)


def fits_rtx(gpus: Sequence[Gpu]) -> bool:
    """TensorRT for RTX runs on one of them."""
    return any(gpu.compute_capability in RTX_GPUS for gpu in gpus)


def name_gpu(facts: Facts) -> str:
    """The newest GPU, for people."""
    gpu = max(facts.nvidia.gpus, key=lambda one: Version(one.compute_capability or "0"))
    return f"{gpu.name}, compute capability {gpu.compute_capability}" if gpu.compute_capability else gpu.name


def uninstall(package: NvidiaPackage) -> str:
    """The command that takes a package away, with its parts."""
    return f"pip uninstall -y {' '.join(package.distributions or [package.module])}"


def install_tensorrt(facts: Facts) -> str:
    """The command for a TensorRT that fits driver and GPU, with the bindings that fit it."""
    newest = facts.newest_gpu
    volta = newest is not None and newest < TURING
    major = 12 if volta else min(facts.driver_cuda or 13, 13)
    arm = facts.system.machine == "aarch64"  # whose wheels for CUDA 12 end with 10.13.0
    below = ",<10.5" if volta else ",<10.13.2" if arm and major == 12 else ""
    oldest = "10.13.2" if major == 13 else OLDEST_TENSORRT  # the first for CUDA 13
    return f"pip install 'tensorrt-cu{major}>={oldest}{below}' {bindings_requirement(major)}"


def replace_bindings(package: NvidiaPackage, major: int) -> str:
    """The command for other bindings. Without the first half, old files of cuda-python stay and break the new ones."""
    return f"{uninstall(package)} && pip install {bindings_requirement(max(major, 12))}"
