"""`browser://`: frames of a visitor's own camera, which come through the page."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

from runtime.camera.frame import Frame, State
from runtime.camera.sources.memory import FrameMemory

LARGEST_SIDE = 1280  # pixels of a visitor's frame


class VisitorSource:
    """One visitor's frames, of which there is never more than one on its way; see `Source`.

    The page takes the next picture when it has the answer to the one before, so that it is always the newest.

    Attributes:
        met: whether it is among those that are read.

    Args:
        number: of the visitor, by which the source is named.
        memory: where pixels are handed over.
        unread: called for a frame that gets no answer, since it was not read.
    """

    live = True

    def __init__(self, number: int, memory: FrameMemory, unread: Callable[[], None]) -> None:
        self.number, self.name, self.met = number, f"browser://{number}", False
        self.memory, self.unread = memory, unread
        self.fps: float | None = None
        self.size: tuple[int, int] | None = None
        self.state, self.status, self.dropped, self.reconnects, self.problem = State.CONNECTING, "", 0, 0, ""
        self.changed = Condition()
        self.offered: tuple[tuple[int, ...], int, int] | None = None
        self.index, self.pending = 0, False

    def offer(self, shape: tuple[int, ...], monotonic_ns: int, utc_ns: int) -> None:
        """There is a frame of this shape in the memory, taken at that time."""
        rows, columns, channels = shape
        if channels != 3 or not 0 < min(rows, columns) <= max(rows, columns) <= LARGEST_SIDE:
            raise ValueError(f"a visitor's frame has the shape {shape}")
        with self.changed:
            self.offered = (shape, monotonic_ns, utc_ns)
            self.changed.notify_all()

    def read(self, timeout: float) -> Frame | None:
        if self.pending:  # another frame is wanted, so the last one was dropped
            self.pending = False
            self.unread()
        with self.changed:
            self.changed.wait_for(lambda: self.offered or self.state is State.ENDED, timeout)
            if not self.offered or self.state is State.ENDED:
                return None
            shape, monotonic_ns, utc_ns = self.offered
            self.offered = None
        image = self.memory.read(shape)
        if image is None:
            return None
        self.size, self.state, self.pending = (shape[1], shape[0]), State.STREAMING, True
        self.status = f"{shape[1]}x{shape[0]}"
        self.index += 1
        return Frame(image, self.index - 1, monotonic_ns, utc_ns, self.name)

    def answered(self) -> None:
        """The latest frame was read."""
        self.pending = False

    def close(self) -> None:
        with self.changed:
            self.state = State.ENDED
            self.changed.notify_all()
