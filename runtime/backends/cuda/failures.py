"""CUDA's errors in words, and what to do about those that a user can mend."""

from __future__ import annotations

from runtime.errors import BackendError, DeviceMemoryError

OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"
RESTART = "the process can use this GPU no more: start it again; nvidia-smi and the kernel's log may say more"
DRIVER = "nvidia-smi must list a GPU: install NVIDIA's driver, or restart after an update of it"

HINTS: dict[str, str] = {
    OUT_OF_MEMORY: "close what else uses the GPU (nvidia-smi lists it), or build for a smaller largest --batch",
    "CUDA_ERROR_NO_DEVICE": "nvidia-smi must list one; CUDA_VISIBLE_DEVICES may hide it, a container needs --gpus all",
    "CUDA_ERROR_INVALID_DEVICE": "leave --device out, or give the number of a GPU that nvidia-smi lists",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "the driver was updated while the system ran: restart it",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": "update NVIDIA's driver: only data centre GPUs run with an older one",
    "CUDA_ERROR_SYSTEM_NOT_READY": DRIVER,
    "CUDA_ERROR_STUB_LIBRARY": "take CUDA's folder 'stubs' out of LD_LIBRARY_PATH: its libcuda.so is no driver",
    "CUDA_ERROR_DEVICE_UNAVAILABLE": "another process has the GPU for itself: nvidia-smi lists it",
    "CUDA_ERROR_OPERATING_SYSTEM": "look at the rights of /dev/nvidia*; on a Jetson you must be in the group video",
    "CUDA_ERROR_NOT_INITIALIZED": "CUDA does not survive a fork: open sessions in the process that runs them",
    "CUDA_ERROR_UNKNOWN": DRIVER,
    "CUDA_ERROR_ILLEGAL_ADDRESS": RESTART,
    "CUDA_ERROR_LAUNCH_FAILED": RESTART,
    "CUDA_ERROR_LAUNCH_TIMEOUT": RESTART,
    "CUDA_ERROR_ECC_UNCORRECTABLE": RESTART,
}


def call_failed(call: str, name: str) -> BackendError:
    """The error for a call of CUDA's that failed.

    Args:
        call: its name, such as `cuMemAlloc`.
        name: CUDA's own name of the error, such as `CUDA_ERROR_OUT_OF_MEMORY`, or whatever else says what is wrong.
    """
    kind = DeviceMemoryError if name == OUT_OF_MEMORY else BackendError
    return kind(f"{call} failed: {name}", HINTS.get(name, ""))
