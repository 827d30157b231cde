"""CUDA by pycuda: over a module of the same names and manners, since pycuda is seldom installed."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

from runtime.backends.cuda import Active
from runtime.backends.cuda.pycuda import PyCuda
from runtime.errors import BackendError, DeviceMemoryError
from tests.runtime.tensorrt.test_cuda_bindings import use_everything


class Error(Exception):
    pass


class MemoryError_(Error):
    pass


class FakePyCuda:
    """pycuda.driver, as its C++ source has it.

    Objects belong to the context that is current when they are made, and are given back by their destructors, for
    which that context must be current or the thread the one that retained it. A thread that ends with a context on its
    stack aborts the process.
    """

    Error, MemoryError = Error, MemoryError_

    class device_attribute:
        COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR, INTEGRATED, CAN_MAP_HOST_MEMORY = 8, 7, 1, 2

    class host_alloc_flags:
        PORTABLE, DEVICEMAP = 1, 2

    def __init__(self) -> None:
        module = self
        self.local = threading.local()
        self.alive: list[str] = []
        self.leaked: list[str] = []
        self.retained = 0
        self.device_memory: dict[int, bytearray] = {}
        self.failing: dict[str, Exception] = {}

        class Owned:
            def __init__(self) -> None:
                module.may_fail(type(self).__name__)
                self.context = module.current()
                module.alive.append(type(self).__name__)

            def give_back(self) -> None:
                module.alive.remove(type(self).__name__)
                if module.current_or_none() is not self.context and threading.get_ident() != self.context.thread:
                    module.leaked.append(type(self).__name__)

            def __del__(self) -> None:
                if hasattr(self, "context"):
                    self.give_back()

        class Device:
            def __init__(self, number: int) -> None:
                module.may_fail("Device")
                assert 0 <= number < 1

            @staticmethod
            def count() -> int:
                return 1

            def name(self) -> str:
                return "Orin"

            def get_attribute(self, attribute: int) -> int:
                return attribute

            def total_memory(self) -> int:
                return 8 << 30

            def retain_primary_context(self) -> Context:
                module.may_fail("retain_primary_context")
                module.retained += 1
                return Context()

        class Context:
            def __init__(self) -> None:
                self.thread, self.valid = threading.get_ident(), True

            def push(self) -> None:
                module.may_fail("push")
                module.stack().append(self)
                module.local.depth = module.depth() + 1

            @staticmethod
            def pop() -> None:
                module.stack().pop()
                module.pop_current()

            def detach(self) -> None:
                assert self.valid
                self.valid = False
                if module.current_or_none() is self:
                    module.retained -= 1
                    module.stack().pop()
                elif threading.get_ident() == self.thread:
                    module.retained -= 1

        class Stream(Owned):
            def __init__(self, flags: int = 0) -> None:
                super().__init__()
                assert flags == 1
                self.handle = 0x5000 + len(module.alive)

            def synchronize(self) -> None:
                module.may_fail("synchronize")

        class Event(Owned):
            def record(self, stream: Any = None) -> Event:
                assert isinstance(stream, Stream)
                return self

            def time_since(self, start: Event) -> float:
                assert isinstance(start, Event)
                return 1.5

        class DeviceAllocation(Owned):
            def __init__(self, size: int) -> None:
                super().__init__()
                self.address = 0x9000 + 4096 * len(module.device_memory)
                module.device_memory[self.address] = bytearray(size)

            def __int__(self) -> int:
                return self.address

            def free(self) -> None:
                del module.device_memory[self.address]
                self.give_back()
                del self.context

        class PagelockedHostAllocation(Owned):
            def __init__(self, size: int, flags: int) -> None:
                super().__init__()
                self.memory, self.flags = bytearray(size), flags

            def __buffer__(self, flags: int) -> memoryview:
                return memoryview(self.memory)

            def get_device_pointer(self) -> int:
                module.may_fail("get_device_pointer")
                assert self.flags & 2
                return 0x7000

            def free(self) -> None:
                self.give_back()
                del self.context

        self.Device, self.Context, self.Stream, self.Event = Device, Context, Stream, Event
        self.DeviceAllocation, self.PagelockedHostAllocation = DeviceAllocation, PagelockedHostAllocation

    def depth(self) -> int:
        """Of the driver's stack, in this thread."""
        return int(getattr(self.local, "depth", 0))

    def pop_current(self) -> None:
        assert self.depth() > 0
        self.local.depth = self.depth() - 1

    def stack(self) -> list[Any]:
        found: list[Any] = self.local.__dict__.setdefault("stack", [])
        return found

    def current_or_none(self) -> Any:
        return self.stack()[-1] if self.stack() else None

    def current(self) -> Any:
        if not self.stack():
            raise Error("explicit_context_dependent failed: invalid device context - no currently active context?")
        return self.stack()[-1]

    def may_fail(self, name: str) -> None:
        if name in self.failing:
            raise self.failing[name]

    def init(self, flags: int = 0) -> None:
        self.may_fail("init")

    def get_driver_version(self) -> int:
        return 12060

    def mem_get_info(self) -> tuple[int, int]:
        self.current()
        return 3 << 30, 8 << 30

    def mem_alloc(self, size: int) -> Any:
        return self.DeviceAllocation(size)

    def pagelocked_empty(self, shape: int, dtype: Any, order: str = "C", mem_flags: int = 0) -> Any:
        base = self.PagelockedHostAllocation(shape, mem_flags)
        return ArrayWithBase.over(base, np.dtype(dtype))

    def memcpy_htod_async(self, dest: int, src: Any, stream: Any = None) -> None:
        assert isinstance(stream, self.Stream)
        self.device_memory[dest][: src.nbytes] = src.tobytes()

    def memcpy_dtoh_async(self, dest: Any, src: int, stream: Any = None) -> None:
        assert isinstance(stream, self.Stream)
        dest[:] = np.frombuffer(self.device_memory[src], np.uint8)[: dest.nbytes]


class ArrayWithBase(np.ndarray):  # type: ignore[type-arg]
    """An array whose `base` is the allocation, as C++ makes it."""

    allocation: Any = None

    @classmethod
    def over(cls, allocation: Any, dtype: Any) -> ArrayWithBase:
        array = np.frombuffer(allocation.memory, dtype).view(cls)
        array.allocation = allocation
        return array

    @property
    def base(self) -> Any:
        return self.allocation


def check(driver: FakePyCuda) -> None:
    gc.collect()
    assert (driver.alive, driver.leaked, driver.retained, driver.stack(), driver.depth()) == ([], [], 0, [], 0)
    assert driver.device_memory == {}


def test_every_call_works_and_everything_is_given_back() -> None:
    driver = FakePyCuda()
    use_everything(PyCuda(driver, driver.pop_current))
    check(driver)


def test_a_device_is_described() -> None:
    device = PyCuda(FakePyCuda()).devices()[0]
    assert (device.name, device.compute_capability, device.integrated) == ("Orin", "8.7", True)
    assert device.total_bytes == 8 << 30


def test_another_thread_may_give_everything_back() -> None:
    """pycuda forgets to, unless the context is current there."""
    driver = FakePyCuda()
    cuda = PyCuda(driver, driver.pop_current)
    context = cuda.retain(0)
    active = Active(cuda, context)
    with active:
        stream, event, address, buffer = (
            cuda.create_stream(),
            cuda.create_event(),
            cuda.allocate(4),
            cuda.allocate_host(4),
        )
    left: list[Any] = []

    def give_back() -> None:
        with active:
            cuda.free(address)
            cuda.free_host(buffer)
            cuda.destroy_event(event)
            cuda.destroy_stream(stream)
        cuda.release(context)
        left.extend([*driver.stack(), *range(driver.depth())])

    thread = threading.Thread(target=give_back)
    thread.start()
    thread.join()
    assert left == []
    check(driver)


@pytest.mark.parametrize(
    "call", ["Device", "retain_primary_context", "push", "Stream", "Event", "DeviceAllocation", "synchronize"]
)
def test_its_errors_become_ours(call: str) -> None:
    driver = FakePyCuda()
    cuda = PyCuda(driver, driver.pop_current)
    driver.failing[call] = Error("cuSomething failed: an illegal memory access was encountered")
    with pytest.raises(BackendError, match="cuSomething failed: an illegal memory access") as caught:
        use_everything(cuda)
    assert type(caught.value) is BackendError
    assert caught.value.hint


def test_no_memory_is_an_error_of_its_own() -> None:
    driver = FakePyCuda()
    cuda = PyCuda(driver, driver.pop_current)
    driver.failing["DeviceAllocation"] = MemoryError_("cuMemAlloc failed: out of memory")
    context = cuda.retain(0)
    with Active(cuda, context), pytest.raises(DeviceMemoryError, match="cuMemAlloc failed: CUDA_ERROR_OUT_OF_MEMORY"):
        cuda.allocate(4)
    cuda.release(context)
    check(driver)


def test_mapped_memory_that_the_device_does_not_see_is_given_back() -> None:
    driver = FakePyCuda()
    cuda = PyCuda(driver, driver.pop_current)
    driver.failing["get_device_pointer"] = Error("cuMemHostGetDevicePointer failed: invalid argument")
    context = cuda.retain(0)
    with Active(cuda, context):
        with pytest.raises(BackendError):
            cuda.allocate_host(4, mapped=True)
        gc.collect()
    cuda.release(context)
    check(driver)


def test_there_are_no_graphs() -> None:
    cuda = PyCuda(FakePyCuda())
    assert not cuda.has_graphs
    for call in (cuda.begin_capture, cuda.end_capture, cuda.abandon_capture, cuda.destroy_graph):
        with pytest.raises(NotImplementedError):
            call(1)
    with pytest.raises(NotImplementedError):
        cuda.launch(1, 2)
