"""CUDA by cuda.bindings: over a module of the same names whose functions return (CUresult, value), as the real ones."""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from runtime.backends.cuda import Active, Cuda
from runtime.backends.cuda.bindings import CudaBindings
from runtime.backends.cuda.failures import HINTS
from runtime.backends.cuda.pycuda import PyCuda
from runtime.errors import BackendError, DeviceMemoryError
from tests.runtime.tensorrt.stand_in_cuda import StandInCuda


class CUresult(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_ILLEGAL_ADDRESS = 700


class Handle(int):
    """CUstream, CUevent and their like: what they hold is had by int()."""


ATTRIBUTES = {"COMPUTE_CAPABILITY_MAJOR": 8, "COMPUTE_CAPABILITY_MINOR": 7, "INTEGRATED": 1, "CAN_MAP_HOST_MEMORY": 1}


class FakeDriver:
    """The functions of cuda.bindings.driver that are used; `failing` names those that fail, and how."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="thread local")
    CUdevice_attribute = SimpleNamespace(**{f"CU_DEVICE_ATTRIBUTE_{name}": name for name in ATTRIBUTES})

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failing: dict[str, CUresult] = {}
        self.blocks: dict[int, Any] = {}
        self.open: dict[int, str] = {}
        self.contexts: list[int] = []
        self.next_handle = 100

    def answer(self, call: str, *arguments: Any, give: Callable[[], Any] | None = None) -> tuple[Any, ...]:
        self.calls.append((call, *arguments))
        code = self.failing.get(call, CUresult.CUDA_SUCCESS)
        if give is None:
            return (code,)
        return (code, give() if not code else None)

    def new(self, kind: str) -> Handle:
        self.next_handle += 1
        self.open[self.next_handle] = kind
        return Handle(self.next_handle)

    def end(self, handle: int, kind: str) -> None:
        assert self.open.pop(int(handle)) == kind

    def block(self, size: int) -> int:
        memory = (ctypes.c_uint8 * size)()
        self.blocks[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def cuInit(self, flags: int) -> Any:
        return self.answer("cuInit", flags)

    def cuDriverGetVersion(self) -> Any:
        return self.answer("cuDriverGetVersion", give=lambda: 12060)

    def cuDeviceGetCount(self) -> Any:
        return self.answer("cuDeviceGetCount", give=lambda: 2)

    def cuDeviceGet(self, ordinal: int) -> Any:
        return self.answer("cuDeviceGet", ordinal, give=lambda: Handle(ordinal))

    def cuDeviceGetName(self, length: int, dev: int) -> Any:
        return self.answer("cuDeviceGetName", length, dev, give=lambda: b"Orin (nvgpu)".ljust(length, b"\0"))

    def cuDeviceGetAttribute(self, attrib: Any, dev: int) -> Any:
        return self.answer("cuDeviceGetAttribute", attrib, dev, give=lambda: ATTRIBUTES[attrib])

    def cuDeviceTotalMem(self, dev: int) -> Any:
        return self.answer("cuDeviceTotalMem", dev, give=lambda: 8 << 30)

    def cuDevicePrimaryCtxRetain(self, dev: int) -> Any:
        return self.answer("cuDevicePrimaryCtxRetain", dev, give=lambda: self.new("context"))

    def cuDevicePrimaryCtxRelease(self, dev: int) -> Any:
        self.open = {handle: kind for handle, kind in self.open.items() if kind != "context"}
        return self.answer("cuDevicePrimaryCtxRelease", dev)

    def cuCtxPushCurrent(self, ctx: int) -> Any:
        self.contexts.append(ctx)
        return self.answer("cuCtxPushCurrent", ctx)

    def cuCtxPopCurrent(self) -> Any:
        return self.answer("cuCtxPopCurrent", give=self.contexts.pop)

    def cuMemGetInfo(self) -> Any:
        self.calls.append(("cuMemGetInfo",))
        return CUresult.CUDA_SUCCESS, 3 << 30, 8 << 30

    def cuStreamCreate(self, Flags: int) -> Any:
        return self.answer("cuStreamCreate", Flags, give=lambda: self.new("stream"))

    def cuStreamSynchronize(self, hStream: int) -> Any:
        return self.answer("cuStreamSynchronize", hStream)

    def cuStreamDestroy(self, hStream: int) -> Any:
        self.end(hStream, "stream")
        return self.answer("cuStreamDestroy", hStream)

    def cuEventCreate(self, Flags: int) -> Any:
        return self.answer("cuEventCreate", Flags, give=lambda: self.new("event"))

    def cuEventRecord(self, hEvent: int, hStream: int) -> Any:
        return self.answer("cuEventRecord", hEvent, hStream)

    def cuEventElapsedTime(self, hStart: int, hEnd: int) -> Any:
        return self.answer("cuEventElapsedTime", hStart, hEnd, give=lambda: 1.5)

    def cuEventDestroy(self, hEvent: int) -> Any:
        self.end(hEvent, "event")
        return self.answer("cuEventDestroy", hEvent)

    def cuMemAlloc(self, bytesize: int) -> Any:
        return self.answer("cuMemAlloc", bytesize, give=lambda: Handle(self.block(bytesize)))

    def cuMemFree(self, dptr: int) -> Any:
        del self.blocks[dptr]
        return self.answer("cuMemFree", dptr)

    def cuMemHostAlloc(self, bytesize: int, Flags: int) -> Any:
        return self.answer("cuMemHostAlloc", bytesize, Flags, give=lambda: self.block(bytesize))

    def cuMemHostGetDevicePointer(self, p: int, Flags: int) -> Any:
        return self.answer("cuMemHostGetDevicePointer", p, Flags, give=lambda: Handle(p + 1))

    def cuMemFreeHost(self, p: int) -> Any:
        del self.blocks[p]
        return self.answer("cuMemFreeHost", p)

    def cuMemcpyHtoDAsync(self, dstDevice: int, srcHost: int, ByteCount: int, hStream: int) -> Any:
        ctypes.memmove(dstDevice, srcHost, ByteCount)
        return self.answer("cuMemcpyHtoDAsync", dstDevice, srcHost, ByteCount, hStream)

    def cuMemcpyDtoHAsync(self, dstHost: int, srcDevice: int, ByteCount: int, hStream: int) -> Any:
        ctypes.memmove(dstHost, srcDevice, ByteCount)
        return self.answer("cuMemcpyDtoHAsync", dstHost, srcDevice, ByteCount, hStream)

    def cuStreamBeginCapture(self, hStream: int, mode: Any) -> Any:
        return self.answer("cuStreamBeginCapture", hStream, mode)

    def cuStreamEndCapture(self, hStream: int) -> Any:
        return self.answer("cuStreamEndCapture", hStream, give=lambda: self.new("template"))

    def cuGraphInstantiate(self, hGraph: int, flags: int) -> Any:
        return self.answer("cuGraphInstantiate", hGraph, flags, give=lambda: self.new("graph"))

    def cuGraphDestroy(self, hGraph: int) -> Any:
        self.end(hGraph, "template")
        return self.answer("cuGraphDestroy", hGraph)

    def cuGraphLaunch(self, hGraphExec: int, hStream: int) -> Any:
        return self.answer("cuGraphLaunch", hGraphExec, hStream)

    def cuGraphExecDestroy(self, hGraphExec: int) -> Any:
        self.end(hGraphExec, "graph")
        return self.answer("cuGraphExecDestroy", hGraphExec)


FUNCTIONS = [name for name in vars(FakeDriver) if name.startswith("cu")]


def use_everything(cuda: Cuda) -> None:
    """Call all of the contract once, and give everything back."""
    assert cuda.devices()[0].index == 0
    assert cuda.driver_version() == "12.6"
    context = cuda.retain(0)
    with Active(cuda, context):
        assert cuda.memory() == (3 << 30, 8 << 30)
        stream = cuda.create_stream()
        start, end = cuda.create_event(), cuda.create_event()
        buffer, mapped = cuda.allocate_host(6), cuda.allocate_host(4, mapped=True)
        assert (buffer.array.dtype, buffer.array.shape, buffer.array.flags.carray) == (np.uint8, (6,), True)
        assert buffer.device_address == 0 and mapped.device_address != 0
        address = cuda.allocate(6)
        buffer.array[:] = range(6)
        cuda.record(start, stream)
        cuda.copy_to_device(address, buffer, 6, stream)
        cuda.synchronize(stream)
        buffer.array[:] = 0
        cuda.copy_to_host(buffer, address, 4, stream)
        cuda.record(end, stream)
        cuda.synchronize(stream)
        assert buffer.array.tolist() == [0, 1, 2, 3, 0, 0]
        assert cuda.elapsed_ms(start, end) == 1.5
        if cuda.has_graphs:
            cuda.begin_capture(stream)
            cuda.abandon_capture(stream)
            cuda.begin_capture(stream)
            graph = cuda.end_capture(stream)
            cuda.launch(graph, stream)
            cuda.destroy_graph(graph)
        cuda.free(address)
        cuda.free_host(buffer)
        cuda.free_host(mapped)
        cuda.destroy_event(start)
        cuda.destroy_event(end)
        cuda.destroy_stream(stream)
    cuda.release(context)


def test_every_call_reaches_the_driver() -> None:
    driver = FakeDriver()
    use_everything(CudaBindings(driver))
    assert {call[0] for call in driver.calls} == set(FUNCTIONS)
    assert (driver.open, driver.blocks, driver.contexts) == ({}, {}, [])


def test_the_flags_are_those_of_the_drivers_header() -> None:
    driver = FakeDriver()
    use_everything(CudaBindings(driver))
    calls = {call[0]: call for call in driver.calls}
    assert calls["cuStreamCreate"] == ("cuStreamCreate", 1)  # CU_STREAM_NON_BLOCKING
    assert ("cuMemHostAlloc", 6, 1) in driver.calls  # CU_MEMHOSTALLOC_PORTABLE
    assert ("cuMemHostAlloc", 4, 3) in driver.calls  # and CU_MEMHOSTALLOC_DEVICEMAP
    assert calls["cuStreamBeginCapture"][2] == "thread local"


def test_a_device_is_described() -> None:
    device = CudaBindings(FakeDriver()).devices()[1]
    assert (device.index, device.name, device.compute_capability) == (1, "Orin (nvgpu)", "8.7")
    assert (device.integrated, device.total_bytes) == (True, 8 << 30)


@pytest.mark.parametrize("call", [name for name in FUNCTIONS if name not in ("cuInit", "cuMemGetInfo")])
def test_every_code_becomes_an_error_with_the_names_of_call_and_error(call: str) -> None:
    driver = FakeDriver()
    cuda = CudaBindings(driver)
    driver.failing[call] = CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    with pytest.raises(BackendError, match=f"^{call} failed: CUDA_ERROR_ILLEGAL_ADDRESS") as caught:
        use_everything(cuda)
    assert type(caught.value) is BackendError
    assert "start it again" in caught.value.hint
    assert "template" not in driver.open.values()
    assert len([kind for kind in driver.open.values() if kind == "graph"]) == (call == "cuGraphLaunch")


def test_no_memory_is_an_error_of_its_own() -> None:
    driver = FakeDriver()
    driver.failing["cuMemAlloc"] = CUresult.CUDA_ERROR_OUT_OF_MEMORY
    with pytest.raises(DeviceMemoryError, match="cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY") as caught:
        CudaBindings(driver).allocate(5)
    assert caught.value.hint


def test_mapped_memory_that_the_device_does_not_see_is_given_back() -> None:
    driver = FakeDriver()
    driver.failing["cuMemHostGetDevicePointer"] = CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    with pytest.raises(BackendError):
        CudaBindings(driver).allocate_host(5, mapped=True)
    assert driver.blocks == {}


def test_a_capture_that_failed_is_abandoned_without_a_word() -> None:
    driver = FakeDriver()
    cuda = CudaBindings(driver)
    driver.failing["cuStreamEndCapture"] = CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    cuda.abandon_capture(cuda.create_stream())


def test_a_function_that_the_driver_lacks_is_a_matter_of_versions() -> None:
    driver = FakeDriver()
    driver.cuGraphLaunch = lambda *_: exec('raise RuntimeError("Function cuGraphLaunch not found")')  # type: ignore
    with pytest.raises(BackendError, match="cuGraphLaunch not found") as caught:
        CudaBindings(driver).launch(1, 2)
    assert "major version" in caught.value.hint


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_real_function_takes_as_many_arguments(name: str) -> None:
    driver = pytest.importorskip("cuda.bindings.driver")
    real = inspect.signature(getattr(driver, name)).parameters
    ours = inspect.signature(getattr(FakeDriver(), name)).parameters
    assert len(real) == len(ours), (real, ours)
    if name not in ("cuDeviceGetName",):
        assert [key.lower() for key in real] == [key.lower() for key in ours]


def test_the_real_module_has_the_names_that_are_used() -> None:
    driver = pytest.importorskip("cuda.bindings.driver")
    assert hasattr(driver.CUstreamCaptureMode, "CU_STREAM_CAPTURE_MODE_THREAD_LOCAL")
    for name in ATTRIBUTES:
        assert hasattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
    assert (int(driver.CU_MEMHOSTALLOC_PORTABLE), int(driver.CU_MEMHOSTALLOC_DEVICEMAP)) == (1, 2)
    assert int(driver.CUstream_flags.CU_STREAM_NON_BLOCKING) == 1
    known = {code.name for code in driver.CUresult}
    assert set(HINTS) <= known
    for name in ("CUstream", "CUevent", "CUdeviceptr", "CUgraph", "CUgraphExec", "CUcontext"):
        assert int(getattr(driver, name)(5)) == 5


@pytest.mark.parametrize("kind", [CudaBindings, PyCuda, StandInCuda])
def test_the_contract_is_met_by_the_letter(kind: type) -> None:
    for name, method in vars(Cuda).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            want = inspect.signature(method).parameters
            assert inspect.signature(getattr(kind, name)).parameters.keys() == want.keys(), name
