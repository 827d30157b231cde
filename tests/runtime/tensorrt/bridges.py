"""The names of cuda.bindings.driver and of pycuda.driver over the stand-in for CUDA: for engines over real adapters."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from runtime.backends.cuda import HostBuffer
from runtime.errors import BackendError
from tests.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.runtime.tensorrt.test_cuda_bindings import CUresult, FakeDriver
from tests.runtime.tensorrt.test_pycuda import Error, MemoryError_


class BindingsBridge(FakeDriver):
    """cuda.bindings.driver: each function returns a code and what the stand-in gives."""

    def __init__(self, cuda: StandInCuda) -> None:
        super().__init__()
        self.buffers: dict[int, HostBuffer] = {}
        self.templates: dict[int, int] = {}
        same: dict[str, Callable[..., Any]] = {
            "cuDevicePrimaryCtxRetain": self.retain,
            "cuDevicePrimaryCtxRelease": lambda device: cuda.release(self.holds.pop()),
            "cuCtxPushCurrent": cuda.push,
            "cuCtxPopCurrent": cuda.pop,
            "cuStreamCreate": lambda flags: cuda.create_stream(),
            "cuStreamSynchronize": cuda.synchronize,
            "cuStreamDestroy": cuda.destroy_stream,
            "cuEventCreate": lambda flags: cuda.create_event(),
            "cuEventRecord": cuda.record,
            "cuEventElapsedTime": cuda.elapsed_ms,
            "cuEventDestroy": cuda.destroy_event,
            "cuMemAlloc": cuda.allocate,
            "cuMemFree": cuda.free,
            "cuMemHostAlloc": self.allocate_host,
            "cuMemHostGetDevicePointer": lambda address, flags: self.buffers[address].device_address,
            "cuMemFreeHost": lambda address: cuda.free_host(self.buffers.pop(address)),
            "cuMemcpyHtoDAsync": lambda to, source, size, stream: cuda.copy_to_device(
                to, self.buffers[source], size, stream
            ),
            "cuMemcpyDtoHAsync": lambda to, source, size, stream: cuda.copy_to_host(
                self.buffers[to], source, size, stream
            ),
            "cuStreamBeginCapture": lambda stream, mode: cuda.begin_capture(stream),
            "cuStreamEndCapture": cuda.end_capture,
            "cuGraphInstantiate": lambda graph, flags: graph,
            "cuGraphDestroy": lambda graph: None,
            "cuGraphLaunch": cuda.launch,
            "cuGraphExecDestroy": cuda.destroy_graph,
        }
        self.cuda = cuda
        self.holds: list[Any] = []
        for name, function in same.items():
            setattr(self, name, self.with_code(function))

    def with_code(self, function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
        def call(*arguments: Any) -> tuple[Any, ...]:
            try:
                value = function(*arguments)
            except BackendError:
                return (CUresult.CUDA_ERROR_ILLEGAL_ADDRESS, None)
            return (CUresult.CUDA_SUCCESS,) if value is None else (CUresult.CUDA_SUCCESS, value)

        return call

    def retain(self, device: int) -> Any:
        self.holds.append(self.cuda.retain(int(device)))
        return self.holds[-1]

    def allocate_host(self, size: int, flags: int) -> int:
        buffer = self.cuda.allocate_host(size, mapped=bool(flags & 2))
        address = int(buffer.array.ctypes.data)
        self.buffers[address] = buffer
        return address


class PyCudaBridge:
    """pycuda.driver: objects that give back what they hold when they are dropped."""

    Error, MemoryError = Error, MemoryError_
    host_alloc_flags = SimpleNamespace(DEVICEMAP=2)
    device_attribute = SimpleNamespace(
        COMPUTE_CAPABILITY_MAJOR=8, COMPUTE_CAPABILITY_MINOR=7, INTEGRATED=0, CAN_MAP_HOST_MEMORY=1
    )

    def __init__(self, cuda: StandInCuda) -> None:
        integrated = cuda.gpus[0].integrated
        buffers: dict[int, HostBuffer] = {}

        class Context:
            def __init__(self) -> None:
                self.hold = cuda.retain(0)

            def push(self) -> None:
                cuda.push(self.hold)

            @staticmethod
            def pop() -> None:
                cuda.pop()

            def detach(self) -> None:
                cuda.release(self.hold)

        class Device:
            def __init__(self, number: int) -> None:
                self.number = number

            @staticmethod
            def count() -> int:
                return 1

            def name(self) -> str:
                return "Orin"

            def total_memory(self) -> int:
                return 8 << 30

            def get_attribute(self, key: int) -> int:
                return int(integrated) if key == 0 else key

            def retain_primary_context(self) -> Context:
                return Context()

        class Stream:
            def __init__(self, flags: int) -> None:
                self.handle = cuda.create_stream()

            def synchronize(self) -> None:
                cuda.synchronize(self.handle)

            def __del__(self) -> None:
                cuda.destroy_stream(self.handle)

        class Event:
            def __init__(self) -> None:
                self.handle = cuda.create_event()

            def record(self, stream: Stream) -> None:
                cuda.record(self.handle, stream.handle)

            def time_since(self, start: Event) -> float:
                return cuda.elapsed_ms(start.handle, self.handle)

            def __del__(self) -> None:
                cuda.destroy_event(self.handle)

        class DeviceAllocation:
            def __init__(self, size: int) -> None:
                self.address = cuda.allocate(size)

            def __int__(self) -> int:
                return self.address

            def free(self) -> None:
                cuda.free(self.address)

        class HostAllocation:
            def __init__(self, buffer: HostBuffer) -> None:
                self.buffer = buffer

            def get_device_pointer(self) -> int:
                return self.buffer.device_address

            def free(self) -> None:
                del buffers[int(self.buffer.array.ctypes.data)]
                cuda.free_host(self.buffer)

        class Array(np.ndarray):  # type: ignore[type-arg]
            allocation: Any = None

            @property
            def base(self) -> Any:
                return self.allocation

        def pagelocked_empty(shape: int, dtype: Any, order: str = "C", mem_flags: int = 0) -> Any:
            buffer = cuda.allocate_host(shape, mapped=bool(mem_flags & 2))
            buffers[int(buffer.array.ctypes.data)] = buffer
            array = buffer.array.view(Array)
            array.allocation = HostAllocation(buffer)
            return array

        def memcpy_htod_async(dest: int, src: Any, stream: Stream) -> None:
            cuda.copy_to_device(dest, buffers[int(src.ctypes.data)], src.nbytes, stream.handle)

        def memcpy_dtoh_async(dest: Any, src: int, stream: Stream) -> None:
            cuda.copy_to_host(buffers[int(dest.ctypes.data)], src, dest.nbytes, stream.handle)

        self.Context, self.Device, self.Stream, self.Event = Context, Device, Stream, Event
        self.mem_alloc, self.pagelocked_empty = DeviceAllocation, pagelocked_empty
        self.memcpy_htod_async, self.memcpy_dtoh_async = memcpy_htod_async, memcpy_dtoh_async

    def init(self) -> None:
        pass
