"""Pixels from one process to another: one frame, in memory that both see and that has no name in any file system.

There is one place for one frame. The capturing process writes to it only when it was asked for a frame, and the other
one asks only when it has copied the last one: no frame is ever torn, and none is copied that nobody wants.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from threading import Lock

import numpy as np
from numpy.typing import NDArray


class FrameMemory:
    """Grows with the largest frame. It vanishes with the last process that has it, however that one ends.

    Args:
        name: of the other process's memory; empty makes it anew.
    """

    def __init__(self, name: str = "") -> None:
        self.map: mmap.mmap | None = None
        self.lock, self.closed = Lock(), False
        if sys.platform == "win32":
            self.file, self.name = -1, name or f"frame-{os.getpid()}-{os.urandom(8).hex()}"
        else:
            self.file = int(name) if name else unnamed_file()
            self.name = str(self.file)

    def write(self, image: NDArray[np.uint8]) -> None:
        """Put a frame there, contiguous or not."""
        self.view(image.shape)[...] = image

    def read(self, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """A copy of the frame, which has this shape; None when another thread has closed the memory."""
        with self.lock:
            return None if self.closed else self.view(shape).copy()

    def view(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """The memory itself, as an array of this shape."""
        count = int(np.prod(shape))
        if self.map is None or len(self.map) < count:
            self.map = self.mapped(count)  # the old one is unmapped with the last array that shows it
        return np.frombuffer(self.map, np.uint8, count).reshape(shape)

    def mapped(self, count: int) -> mmap.mmap:
        """At least so many bytes of it."""
        if sys.platform == "win32":
            return mmap.mmap(-1, count, tagname=f"{self.name}-{count}")  # such a memory cannot grow: a new one
        if os.fstat(self.file).st_size < count:
            os.ftruncate(self.file, count)
        return mmap.mmap(self.file, count)

    def close(self) -> None:
        """Give it back; may be called twice."""
        with self.lock:
            if not self.closed and self.file >= 0:
                os.close(self.file)
            self.map, self.closed = None, True


def unnamed_file() -> int:
    """A file descriptor of memory, or of a file that is deleted already."""
    if sys.platform == "linux":
        return os.memfd_create("frame")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
