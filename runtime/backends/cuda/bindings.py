"""CUDA by `cuda.bindings`, of the package cuda-python: its functions are the driver's, and return (code, value...)."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

import numpy as np

from runtime.backends.cuda.contract import Context, Device, HostBuffer
from runtime.backends.cuda.failures import DRIVER, call_failed
from runtime.errors import BackendError

OTHER_VERSION = "the major version of cuda-python must be that of the CUDA that nvidia-smi names, or lower"
NAME_BYTES = 256
# The driver's header has them; cuda.bindings does not name every one in every release.
NON_BLOCKING, PORTABLE, MAPPED = 1, 1, 2


class CudaBindings:
    """Meets `Cuda`.

    Args:
        driver: the module `cuda.bindings.driver`.

    Raises:
        BackendError: there is no driver, or it finds no GPU.
    """

    name = "cuda-python"
    has_graphs = True

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: Any) -> Any:
        """What a function of the driver gives: nothing, a value, or several as a tuple."""
        try:
            code, *values = getattr(self.driver, name)(*arguments)
        except (AttributeError, RuntimeError, ValueError) as error:  # no libcuda, or one that lacks the function
            if "can only be found via system search" in str(error):
                raise BackendError("no NVIDIA driver is here", DRIVER) from error
            raise BackendError(f"{name} failed: {error}", DRIVER if name == "cuInit" else OTHER_VERSION) from error
        if int(code):
            raise call_failed(name, getattr(code, "name", str(code)))
        return tuple(values) if len(values) > 1 else values[0] if values else None

    def driver_version(self) -> str:
        version = int(self.call("cuDriverGetVersion"))
        return f"{version // 1000}.{version % 1000 // 10}"

    def devices(self) -> tuple[Device, ...]:
        return tuple(self.device(index) for index in range(self.call("cuDeviceGetCount")))

    def device(self, index: int) -> Device:
        """The properties of one GPU."""
        device = self.call("cuDeviceGet", index)
        name = bytes(self.call("cuDeviceGetName", NAME_BYTES, device)).split(b"\0")[0].decode(errors="replace")
        major = self.attribute("COMPUTE_CAPABILITY_MAJOR", device)
        minor = self.attribute("COMPUTE_CAPABILITY_MINOR", device)
        shares = bool(self.attribute("INTEGRATED", device)) and bool(self.attribute("CAN_MAP_HOST_MEMORY", device))
        return Device(index, name, f"{major}.{minor}", shares, int(self.call("cuDeviceTotalMem", device)))

    def attribute(self, name: str, device: Any) -> int:
        """One number about a device."""
        key = getattr(self.driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(self.call("cuDeviceGetAttribute", key, device))

    def retain(self, device: int) -> Context:
        handle = self.call("cuDeviceGet", device)
        return Context(device, (handle, self.call("cuDevicePrimaryCtxRetain", handle)))

    def release(self, context: Context) -> None:
        self.call("cuDevicePrimaryCtxRelease", context.handle[0])

    def push(self, context: Context) -> None:
        self.call("cuCtxPushCurrent", context.handle[1])

    def pop(self) -> None:
        self.call("cuCtxPopCurrent")

    def memory(self) -> tuple[int, int]:
        free, total = self.call("cuMemGetInfo")
        return int(free), int(total)

    def create_stream(self) -> int:
        return int(self.call("cuStreamCreate", NON_BLOCKING))

    def synchronize(self, stream: int) -> None:
        self.call("cuStreamSynchronize", stream)

    def destroy_stream(self, stream: int) -> None:
        self.call("cuStreamDestroy", stream)

    def create_event(self) -> int:
        return int(self.call("cuEventCreate", 0))

    def record(self, event: int, stream: int) -> None:
        self.call("cuEventRecord", event, stream)

    def elapsed_ms(self, start: int, end: int) -> float:
        return float(self.call("cuEventElapsedTime", start, end))

    def destroy_event(self, event: int) -> None:
        self.call("cuEventDestroy", event)

    def allocate(self, size: int) -> int:
        return int(self.call("cuMemAlloc", size))

    def free(self, address: int) -> None:
        self.call("cuMemFree", address)

    def allocate_host(self, size: int, *, mapped: bool = False) -> HostBuffer:
        address = int(self.call("cuMemHostAlloc", size, PORTABLE | (MAPPED if mapped else 0)))
        try:
            device_address = int(self.call("cuMemHostGetDevicePointer", address, 0)) if mapped else 0
        except BaseException:
            with suppress(BackendError):
                self.call("cuMemFreeHost", address)
            raise
        return HostBuffer(np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)), address, device_address)

    def free_host(self, buffer: HostBuffer) -> None:
        self.call("cuMemFreeHost", buffer.address)

    def copy_to_device(self, address: int, buffer: HostBuffer, size: int, stream: int) -> None:
        self.call("cuMemcpyHtoDAsync", address, buffer.address, size, stream)

    def copy_to_host(self, buffer: HostBuffer, address: int, size: int, stream: int) -> None:
        self.call("cuMemcpyDtoHAsync", buffer.address, address, size, stream)

    def begin_capture(self, stream: int) -> None:
        # Of the three modes, the one in which other threads may do what they like meanwhile.
        mode = self.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self.call("cuStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        recorded = self.call("cuStreamEndCapture", stream)
        try:
            graph = int(self.call("cuGraphInstantiate", recorded, 0))
        except BaseException:
            with suppress(BackendError):
                self.call("cuGraphDestroy", recorded)
            raise
        try:
            self.call("cuGraphDestroy", recorded)  # the template alone: what can be launched stands on its own
        except BaseException:
            with suppress(BackendError):
                self.destroy_graph(graph)
            raise
        return graph

    def abandon_capture(self, stream: int) -> None:
        with suppress(BackendError):
            recorded = self.call("cuStreamEndCapture", stream)
            if int(recorded):
                self.call("cuGraphDestroy", recorded)

    def launch(self, graph: int, stream: int) -> None:
        self.call("cuGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        self.call("cuGraphExecDestroy", graph)
