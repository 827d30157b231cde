"""NVIDIA's driver, asked through its own library: it is there wherever a GPU can be used, nvidia-smi is not.

Run in the process that is sent ahead: loading the library may hang where a driver is broken.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

LIBRARY = "libcuda.so.1"
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


def read_driver(load: Callable[[str], Any] = ctypes.CDLL) -> dict[str, Any]:
    """The newest CUDA that the driver supports, and its GPUs.

    Args:
        load: gives the library.

    Returns:
        `cuda`, such as 12.4; `gpus`, each with `name`, `memory` and `compute_capability`; `error`, why there are none.

    Raises:
        OSError: the library is not here.
    """
    library = load(LIBRARY)
    version = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}" if version.value else ""
    if code := library.cuInit(0):
        return {"cuda": cuda, "gpus": [], "error": f"cuInit: error {code}{describe(library, code)}"}
    count = ctypes.c_int()
    library.cuDeviceGetCount(ctypes.byref(count))
    return {"cuda": cuda, "gpus": [read_gpu(library, index) for index in range(count.value)], "error": ""}


def read_gpu(library: Any, index: int) -> dict[str, str]:
    """One GPU."""
    device, major, minor, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return {
        "name": name.value.decode(errors="replace"),
        "memory": f"{memory.value // 2**20} MiB",
        "compute_capability": f"{major.value}.{minor.value}",
    }


def describe(library: Any, code: int) -> str:
    """The library's own words for an error."""
    text = ctypes.c_char_p()
    if library.cuGetErrorString(code, ctypes.byref(text)) or not text.value:
        return ""
    return f", {text.value.decode(errors='replace')}"
