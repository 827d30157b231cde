"""CUDA from Python: one contract (`contract.py`), and a file for each package that meets it."""

from __future__ import annotations

from importlib import import_module

from runtime.backends.cuda.contract import Active, Context, Cuda, Device, HostBuffer
from runtime.errors import BackendError, BackendUnavailableError

__all__ = ["Active", "Context", "Cuda", "Device", "HostBuffer", "open_cuda"]

INSTALL = "pip install cuda-python  (on JetPack 6: pip install 'cuda-python==12.*')"
DRIVER = "nvidia-smi  (it must list a GPU: else install NVIDIA's driver)"


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
        raise BackendUnavailableError("neither cuda-python nor pycuda is installed", INSTALL)
    message = "; ".join(reason.message for reason in reasons)
    raise BackendUnavailableError(f"CUDA does not run here: {message}", reasons[0].hint or DRIVER) from reasons[0]


def open_bindings() -> Cuda:
    """By cuda-python."""
    from runtime.backends.cuda.bindings import CudaBindings

    return CudaBindings(import_module("cuda.bindings.driver"))


def open_pycuda() -> Cuda:
    """By pycuda."""
    from runtime.backends.cuda.pycuda import PyCuda

    return PyCuda(import_module("pycuda.driver"))
