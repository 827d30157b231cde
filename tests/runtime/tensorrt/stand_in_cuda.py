"""NOT CUDA: a stand-in for its driver, for tests on machines without a GPU. It proves nothing about a real one.

It meets `runtime.backends.cuda.Cuda`, keeps "device" memory in numpy arrays, and holds its caller to the driver's
rules: a breach raises `Breach`, which is no `BackendError`. What is queued on a stream runs when the stream is
synchronized and not before, so that whoever reads an answer or changes an input too early gets wrong answers. Any call
can be made to fail: `fail_at` counts calls, `broken` names those that always fail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from runtime.backends.cuda import Context, Device, HostBuffer
from runtime.backends.cuda.failures import call_failed

UNWRITTEN, FREED = 0xCD, 0xDD
ALIGNMENT = 256


class Breach(AssertionError):
    """The caller broke a rule of CUDA's or TensorRT's."""


def require(condition: object, rule: str) -> None:
    if not condition:
        raise Breach(rule)


@dataclass
class Stream:
    queue: list[Callable[[], None]] = field(default_factory=list)
    recording: list[Callable[[], None]] | None = None
    thread: int = 0


@dataclass
class Event:
    recorded: int = 0
    reached: int = 0
    time: float = 0


class StandInCuda:
    """The driver, with GPUs as asked for.

    Attributes:
        calls: the name of each call, of TensorRT's stand-in too.
        fail_at: the number of the call, from 1 on, that fails; None for none.
        broken: names of calls that always fail.
        failed: the names of those that did.
        error: CUDA's name of the error that they fail with.
        reason: what TensorRT's stand-in logs of that, an error on each line.
        breaches: those that could not be raised.
        objects: how many objects of TensorRT's are alive.
    """

    name = "stand-in"

    def __init__(self, *, integrated: bool = False, has_graphs: bool = True, count: int = 1) -> None:
        self.has_graphs = has_graphs
        self.gpus = tuple(Device(i, f"Stand-in {i}", "8.6", integrated, 8 << 30) for i in range(count))
        self.calls: list[str] = []
        self.fail_at: int | None = None
        self.broken: set[str] = set()
        self.failed: list[str] = []
        self.error, self.reason = "CUDA_ERROR_UNKNOWN", ""
        self.breaches: list[str] = []
        self.objects = 0
        self.holds: list[Context] = []
        self.handles = 0
        self.streams: dict[int, Stream] = {}
        self.events: dict[int, Event] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.device_memory: dict[int, NDArray[np.uint8]] = {}
        self.host_memory: dict[int, HostBuffer] = {}
        self.next_address = ALIGNMENT
        self.local = threading.local()
        self.lock = threading.RLock()

    # What the stand-in for TensorRT uses too

    def fails(self, call: str) -> bool:
        """Count a call; whether it is to fail."""
        with self.lock:
            self.calls.append(call)
            if len(self.calls) == self.fail_at or call in self.broken:
                self.failed.append(call)
                return True
            return False

    def current(self) -> int:
        """The device whose context is current on this thread."""
        stack = self.stack()
        require(stack and stack[-1] in self.holds, "no live context is current on this thread")
        return stack[-1].device

    def stack(self) -> list[Context]:
        found: list[Context] = self.local.__dict__.setdefault("stack", [])
        return found

    def stream(self, handle: int) -> Stream:
        require(handle in self.streams, f"no stream {handle}")
        return self.streams[handle]

    def submit(self, stream: Stream, work: Callable[[], None]) -> None:
        """Queue or record work."""
        if stream.recording is None:
            stream.queue.append(work)
        else:
            require(stream.thread == threading.get_ident(), "another thread captures this stream")
            stream.recording.append(work)

    def at(self, address: int, size: int) -> NDArray[np.uint8]:
        """The bytes behind an address of the device's."""
        for start, block in list(self.device_memory.items()):
            if start <= address < start + len(block):
                require(address + size <= start + len(block), f"{size} bytes at {address:#x} end behind their block")
                return block[address - start : address - start + size]
        raise Breach(f"{address:#x} is no live address of the device")

    def check(self) -> None:
        """Everything was given back, and no rule broken."""
        left = {
            "breaches": self.breaches,
            "holds": self.holds,
            "streams": self.streams,
            "events": self.events,
            "graphs": self.graphs,
            "device memory": self.device_memory,
            "host memory": self.host_memory,
            "TensorRT's objects": self.objects,
            "current contexts": self.stack(),
        }
        assert not any(left.values()), {name: value for name, value in left.items() if value}

    def step(self, call: str, *, in_capture: bool = False) -> None:
        """Begin a call that needs a context; it may fail."""
        self.current()
        if not in_capture:
            capturing = [s for s in list(self.streams.values()) if s.recording is not None]
            require(
                all(s.thread != threading.get_ident() for s in capturing), f"{call} while this thread captures a stream"
            )
        self.may_fail(call)

    def may_fail(self, call: str) -> None:
        if self.fails(call):
            raise call_failed(call, self.error)

    def handle(self) -> int:
        with self.lock:
            self.handles += 1
            return self.handles

    # The contract

    def driver_version(self) -> str:
        return "12.6"

    def devices(self) -> tuple[Device, ...]:
        self.may_fail("devices")
        return self.gpus

    def retain(self, device: int) -> Context:
        self.may_fail("retain")
        context = Context(device, object())
        self.holds.append(context)
        return context

    def release(self, context: Context) -> None:
        require(context in self.holds, "release of what is not held")
        require(context not in self.stack(), "release of a current context")
        self.holds.remove(context)
        self.may_fail("release")

    def push(self, context: Context) -> None:
        require(context in self.holds, "push of what is not held")
        self.may_fail("push")
        self.stack().append(context)

    def pop(self) -> None:
        require(self.stack(), "pop without push")
        self.stack().pop()
        self.may_fail("pop")

    def memory(self) -> tuple[int, int]:
        self.step("memory")
        total = self.gpus[self.current()].total_bytes
        return total - sum(len(block) for block in self.device_memory.values()), total

    def create_stream(self) -> int:
        self.step("create_stream")
        handle = self.handle()
        self.streams[handle] = Stream()
        return handle

    def synchronize(self, stream: int) -> None:
        target = self.stream(stream)
        work, target.queue = target.queue, []
        self.step("synchronize")
        for do in work:
            do()

    def destroy_stream(self, stream: int) -> None:
        require(not self.stream(stream).queue, "a stream is destroyed with work on it")
        del self.streams[stream]
        self.step("destroy_stream")

    def create_event(self) -> int:
        self.step("create_event")
        handle = self.handle()
        self.events[handle] = Event()
        return handle

    def record(self, event: int, stream: int) -> None:
        self.step("record")
        target = self.events[event]
        target.recorded += 1

        def reach() -> None:
            target.reached, target.time = target.reached + 1, perf_counter()

        self.submit(self.stream(stream), reach)

    def elapsed_ms(self, start: int, end: int) -> float:
        self.step("elapsed_ms")
        for event in (self.events[start], self.events[end]):
            require(event.recorded == event.reached > 0, "an event is read before it was reached")
        return 1e3 * (self.events[end].time - self.events[start].time)

    def destroy_event(self, event: int) -> None:
        require(event in self.events, "no such event")
        del self.events[event]
        self.step("destroy_event")

    def new_block(self, size: int) -> tuple[int, NDArray[np.uint8]]:
        require(size > 0, "an allocation of no bytes")
        with self.lock:
            address = self.next_address
            self.next_address += -(-size // ALIGNMENT) * ALIGNMENT + ALIGNMENT
        return address, np.full(size, UNWRITTEN, np.uint8)

    def allocate(self, size: int) -> int:
        self.step("allocate")
        address, block = self.new_block(size)
        self.device_memory[address] = block
        return address

    def free(self, address: int) -> None:
        require(address in self.device_memory, f"no block of memory begins at {address:#x}")
        self.device_memory.pop(address)[:] = FREED
        self.step("free")

    def allocate_host(self, size: int, *, mapped: bool = False) -> HostBuffer:
        self.step("allocate_host")
        address, block = self.new_block(size)
        device_address = 0
        if mapped:
            device_address, _ = self.new_block(size)
            self.device_memory[device_address] = block
        buffer = HostBuffer(block, address, device_address)
        self.host_memory[address] = buffer
        return buffer

    def free_host(self, buffer: HostBuffer) -> None:
        require(self.host_memory.pop(buffer.address, None) is buffer, "no such host memory")
        if buffer.device_address:
            del self.device_memory[buffer.device_address]
        buffer.array[:] = FREED
        self.step("free_host")

    def host(self, buffer: HostBuffer, size: int) -> NDArray[np.uint8]:
        require(self.host_memory.get(buffer.address) is buffer, "host memory that is not alive")
        require(size <= len(buffer.array), "a copy is larger than its host memory")
        return buffer.array[:size]

    def copy_to_device(self, address: int, buffer: HostBuffer, size: int, stream: int) -> None:
        self.step("copy_to_device", in_capture=True)
        self.at(address, size), self.host(buffer, size)
        self.submit(self.stream(stream), lambda: np.copyto(self.at(address, size), self.host(buffer, size)))

    def copy_to_host(self, buffer: HostBuffer, address: int, size: int, stream: int) -> None:
        self.step("copy_to_host", in_capture=True)
        self.at(address, size), self.host(buffer, size)
        self.submit(self.stream(stream), lambda: np.copyto(self.host(buffer, size), self.at(address, size)))

    def begin_capture(self, stream: int) -> None:
        require(self.has_graphs, "there are no graphs")
        self.step("begin_capture")
        target = self.stream(stream)
        require(not target.queue, "a capture begins behind work that has not run")
        target.recording, target.thread = [], threading.get_ident()

    def end_capture(self, stream: int) -> int:
        target = self.stream(stream)
        require(target.recording is not None, "no capture to end")
        recorded, target.recording = target.recording, None
        self.step("end_capture")
        handle = self.handle()
        self.graphs[handle] = recorded or []
        return handle

    def abandon_capture(self, stream: int) -> None:
        require(self.stream(stream).recording is not None, "no capture to abandon")
        self.streams[stream].recording = None

    def launch(self, graph: int, stream: int) -> None:
        self.step("launch")
        require(graph in self.graphs, f"no graph {graph}")
        for work in self.graphs[graph]:
            self.submit(self.stream(stream), work)

    def destroy_graph(self, graph: int) -> None:
        require(graph in self.graphs, f"no graph {graph}")
        del self.graphs[graph]
        self.step("destroy_graph")
