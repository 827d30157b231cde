"""CUDA from Python: one contract (`contract.py`), and a file for each package that meets it."""

from __future__ import annotations

import re
from importlib import import_module

from runtime.backends.cuda.contract import Active, Context, Cuda, Device, HostBuffer
from runtime.backends.cuda.failures import DRIVER
from runtime.errors import BackendError, BackendUnavailableError
from runtime.nvidia import jetson_linux

__all__ = ["Active", "Context", "Cuda", "Device", "HostBuffer", "find_device", "open_cuda"]


def open_cuda() -> Cuda:
    """CUDA's driver, by the first package that reaches it: cuda-python, then pycuda.

    Raises:
        BackendUnavailableError: none is installed, or there is no driver or no GPU; the hint is the next command.
    """
    reasons: list[BackendError] = []
    for adapter in (open_bindings, open_pycuda):
        try:
            return adapter()
        except ModuleNotFoundError:
            continue
        except (ImportError, OSError) as error:  # a library under it: the driver's, most likely
            reasons.append(BackendError(str(error), DRIVER))
        except BackendError as error:
            reasons.append(error)
    if not reasons:
        raise BackendUnavailableError("neither cuda-python nor pycuda is installed", install_command())
    message = "; ".join(reason.message for reason in reasons)
    raise BackendUnavailableError(f"CUDA does not run here: {message}", reasons[0].hint or DRIVER) from reasons[0]


def install_command() -> str:
    """What installs cuda-python here: for CUDA 12 on JetPack 6 (Jetson Linux 36)."""
    return "pip install 'cuda-python==12.*'" if jetson_linux().startswith("R36 ") else "pip install cuda-python"


def open_bindings() -> Cuda:
    """By cuda-python."""
    from runtime.backends.cuda.bindings import CudaBindings

    return CudaBindings(import_module("cuda.bindings.driver"))


def open_pycuda() -> Cuda:
    """By pycuda."""
    from runtime.backends.cuda.pycuda import PyCuda

    return PyCuda(import_module("pycuda.driver"))


def find_device(cuda: Cuda, name: str | None) -> Device:
    """A GPU by its name here, `cuda:0` or `0`; the first one for None.

    Raises:
        BackendError: there is none of that name.
    """
    devices = cuda.devices()
    if not devices:
        raise BackendError("CUDA sees no GPU", "nvidia-smi must list one; CUDA_VISIBLE_DEVICES may hide it")
    number = re.fullmatch(r"(?:cuda:)?(\d{1,4})", "0" if name is None else name, re.ASCII)
    if number is None or int(number[1]) >= len(devices):
        names = ", ".join(f"cuda:{device.index}" for device in devices)
        raise BackendError(f"there is no device '{name}' here", f"leave --device out, or give one of: {names}")
    return devices[int(number[1])]
