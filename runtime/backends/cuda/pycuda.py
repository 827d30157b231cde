"""CUDA by `pycuda`, which wraps the driver in objects that give back what they hold when they are dropped.

It knows no CUDA graphs, tells errors by their description, not their name, and aborts the process when a thread ends
with a context that was pushed and not popped: hence `Active`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np

from runtime.backends.cuda.contract import Context, Device, HostBuffer
from runtime.backends.cuda.failures import OUT_OF_MEMORY, call_failed
from runtime.errors import BackendError

T = TypeVar("T")
NON_BLOCKING = 1


def pop_current() -> None:
    """The driver's own call, which pycuda does not offer alone."""
    code = ctypes.CDLL("libcuda.so.1").cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    if code:
        raise call_failed("cuCtxPopCurrent", str(code))


class PyCuda:
    """Meets `Cuda`.

    Args:
        driver: the module `pycuda.driver`.
        pop_current: takes the context that is current off the driver's stack, but not off pycuda's own.

    Raises:
        BackendError: there is no GPU.
    """

    name = "pycuda"
    has_graphs = False

    def __init__(self, driver: Any, pop_current: Callable[[], None] = pop_current) -> None:
        self.driver = driver
        self.pop_current = pop_current
        self.objects: dict[int, Any] = {}  # by the integers that stand for them: dropped from here, they are given back
        self.call(driver.init)

    def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """What a call of pycuda gives; its messages begin with the driver's function."""
        try:
            return function(*arguments, **options)
        except self.driver.MemoryError as error:
            raise call_failed(str(error).split(" failed")[0], OUT_OF_MEMORY) from error
        except self.driver.Error as error:
            raise BackendError(f"CUDA by pycuda: {error}", "nvidia-smi and the kernel's log may say more") from error

    def keep(self, handle: int, value: Any) -> int:
        """Keep an object until `drop`."""
        self.objects[handle] = value
        return handle

    def drop(self, handle: int) -> None:
        """Drop an object, by which pycuda gives back what it holds; where that fails it prints a warning."""
        del self.objects[handle]

    def driver_version(self) -> str:
        version = self.call(self.driver.get_driver_version)
        return f"{version // 1000}.{version % 1000 // 10}"

    def devices(self) -> tuple[Device, ...]:
        return tuple(self.device(index) for index in range(self.call(self.driver.Device.count)))

    def device(self, index: int) -> Device:
        """The properties of one GPU."""
        device = self.call(self.driver.Device, index)
        key = self.driver.device_attribute
        major = self.call(device.get_attribute, key.COMPUTE_CAPABILITY_MAJOR)
        minor = self.call(device.get_attribute, key.COMPUTE_CAPABILITY_MINOR)
        integrated = self.call(device.get_attribute, key.INTEGRATED)
        shares = bool(integrated and self.call(device.get_attribute, key.CAN_MAP_HOST_MEMORY))
        return Device(index, self.call(device.name), f"{major}.{minor}", shares, self.call(device.total_memory))

    def retain(self, device: int) -> Context:
        return Context(device, self.call(self.call(self.driver.Device, device).retain_primary_context))

    def release(self, context: Context) -> None:
        # pycuda releases in the thread that retained, or where the context is current; elsewhere it forgets to. And it
        # leaves a primary context on the driver's stack, on which it would stay as one that has ended.
        self.push(context)
        self.pop_current()
        self.call(context.handle.detach)

    def push(self, context: Context) -> None:
        self.call(context.handle.push)

    def pop(self) -> None:
        self.call(self.driver.Context.pop)

    def memory(self) -> tuple[int, int]:
        free, total = self.call(self.driver.mem_get_info)
        return int(free), int(total)

    def create_stream(self) -> int:
        stream = self.call(self.driver.Stream, NON_BLOCKING)
        return self.keep(stream.handle, stream)

    def synchronize(self, stream: int) -> None:
        self.call(self.objects[stream].synchronize)

    def destroy_stream(self, stream: int) -> None:
        self.drop(stream)

    def create_event(self) -> int:
        event = self.call(self.driver.Event)
        return self.keep(id(event), event)

    def record(self, event: int, stream: int) -> None:
        self.call(self.objects[event].record, self.objects[stream])

    def elapsed_ms(self, start: int, end: int) -> float:
        return float(self.call(self.objects[end].time_since, self.objects[start]))

    def destroy_event(self, event: int) -> None:
        self.drop(event)

    def allocate(self, size: int) -> int:
        allocation = self.call(self.driver.mem_alloc, size)
        return self.keep(int(allocation), allocation)

    def free(self, address: int) -> None:
        self.call(self.objects.pop(address).free)

    def allocate_host(self, size: int, *, mapped: bool = False) -> HostBuffer:
        flags = self.driver.host_alloc_flags.DEVICEMAP if mapped else 0
        array = self.call(self.driver.pagelocked_empty, size, np.uint8, mem_flags=flags)
        try:
            device_address = int(self.call(array.base.get_device_pointer)) if mapped else 0
        except BaseException:
            array.base.free()  # now: the error keeps the array alive
            raise
        return HostBuffer(array, int(array.ctypes.data), device_address)

    def free_host(self, buffer: HostBuffer) -> None:
        allocation: Any = buffer.array.base
        self.call(allocation.free)

    def copy_to_device(self, address: int, buffer: HostBuffer, size: int, stream: int) -> None:
        self.call(self.driver.memcpy_htod_async, address, buffer.array[:size], self.objects[stream])

    def copy_to_host(self, buffer: HostBuffer, address: int, size: int, stream: int) -> None:
        self.call(self.driver.memcpy_dtoh_async, buffer.array[:size], address, self.objects[stream])

    def begin_capture(self, stream: int) -> NoReturn:
        raise NotImplementedError("pycuda has no CUDA graphs")

    def end_capture(self, stream: int) -> NoReturn:
        raise NotImplementedError("pycuda has no CUDA graphs")

    def abandon_capture(self, stream: int) -> NoReturn:
        raise NotImplementedError("pycuda has no CUDA graphs")

    def launch(self, graph: int, stream: int) -> NoReturn:
        raise NotImplementedError("pycuda has no CUDA graphs")

    def destroy_graph(self, graph: int) -> NoReturn:
        raise NotImplementedError("pycuda has no CUDA graphs")
