"""The few calls of CUDA's driver that running an engine takes, whichever Python package makes them.

Every call that fails raises a `BackendError` with its name and CUDA's own name of the error; `DeviceMemoryError` where
no memory is left. Handles and addresses are plain integers. Apart from `devices`, `driver_version`, `retain` and
`release`, every call works in the context that is current on the calling thread: see `Active`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import BackendError


@dataclass(frozen=True)
class Device:
    """A GPU.

    Attributes:
        index: its number here.
        name: its maker's.
        compute_capability: such as `8.6`.
        integrated: it shares the CPU's memory, and can use the CPU's addresses: no copies needed.
        total_bytes: its memory.
    """

    index: int
    name: str
    compute_capability: str
    integrated: bool
    total_bytes: int


@dataclass(frozen=True)
class Context:
    """One hold on a device's primary context, which everything in this process shares.

    Attributes:
        device: the number of the device.
        handle: for the adapter alone.
    """

    device: int
    handle: Any


@dataclass(frozen=True)
class HostBuffer:
    """Page-locked memory, which copies to and from a GPU without a detour.

    Attributes:
        array: its bytes, uint8 (size,): not to be used any more once the buffer is freed.
        address: where it begins.
        device_address: where the GPU sees it; 0 for one that is not mapped.
    """

    array: NDArray[np.uint8]
    address: int
    device_address: int = 0


class Cuda(Protocol):
    """CUDA's driver.

    Attributes:
        name: of the Python package.
        has_graphs: it can capture CUDA graphs; where it cannot, their methods must not be called.
    """

    name: str
    has_graphs: bool

    def driver_version(self) -> str:
        """The CUDA version that the driver serves, such as `12.6`."""
        ...

    def devices(self) -> tuple[Device, ...]: ...

    def retain(self, device: int) -> Context:
        """Take hold of a device's primary context, which is not current by that yet."""
        ...

    def release(self, context: Context) -> None:
        """Give a hold back; the last one ends the primary context. It must not be current."""
        ...

    def push(self, context: Context) -> None:
        """Make a context current on the calling thread."""
        ...

    def pop(self) -> None:
        """Make current again what was so before `push`."""
        ...

    def memory(self) -> tuple[int, int]:
        """Free and total bytes of the current context's device."""
        ...

    def create_stream(self) -> int:
        """A stream that does not wait for the default one; the handle is what TensorRT takes."""
        ...

    def synchronize(self, stream: int) -> None:
        """Wait until all that was queued is done; raises what failed meanwhile."""
        ...

    def destroy_stream(self, stream: int) -> None: ...

    def create_event(self) -> int: ...

    def record(self, event: int, stream: int) -> None: ...

    def elapsed_ms(self, start: int, end: int) -> float:
        """Milliseconds between two events whose stream was synchronized."""
        ...

    def destroy_event(self, event: int) -> None: ...

    def allocate(self, size: int) -> int:
        """The address of `size` bytes, one at least, on the device."""
        ...

    def free(self, address: int) -> None: ...

    def allocate_host(self, size: int, *, mapped: bool = False) -> HostBuffer:
        """`size` bytes, one at least, of page-locked memory; `mapped` gives it an address on the device too."""
        ...

    def free_host(self, buffer: HostBuffer) -> None: ...

    def copy_to_device(self, address: int, buffer: HostBuffer, size: int, stream: int) -> None:
        """Queue a copy of the buffer's first `size` bytes."""
        ...

    def copy_to_host(self, buffer: HostBuffer, address: int, size: int, stream: int) -> None:
        """Queue a copy into the buffer's first `size` bytes."""
        ...

    def begin_capture(self, stream: int) -> None:
        """From now on the stream records what this thread queues, and runs none of it."""
        ...

    def end_capture(self, stream: int) -> int:
        """What was recorded, ready to be launched; the stream runs again, even where this raises."""
        ...

    def abandon_capture(self, stream: int) -> None:
        """End a capture in which something failed, and drop it. Raises nothing."""
        ...

    def launch(self, graph: int, stream: int) -> None:
        """Queue what was recorded."""
        ...

    def destroy_graph(self, graph: int) -> None: ...


class Active:
    """`with` it, a context is current on the calling thread; afterwards is current again what was before."""

    def __init__(self, cuda: Cuda, context: Context) -> None:
        self.cuda = cuda
        self.context = context

    def __enter__(self) -> None:
        self.cuda.push(self.context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.cuda.pop()
        else:
            with suppress(BackendError):  # the first error is the one to tell
                self.cuda.pop()
