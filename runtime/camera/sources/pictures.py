"""Folders of pictures: one after the other, by name, as a person would sort them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import numpy as np

from runtime.camera.frame import Frame, State
from runtime.camera.sources.pacing import Pacer
from runtime.errors import ImageError, SourceError
from runtime.images import read_image


class PictureSource:
    """Image files, of any sizes, turned upright; see `Source`. Those that cannot be read are left out and counted.

    Args:
        name: what the user gave.
        paths: the files.
        fps: how many in a second; None as fast as they are taken.

    Attributes:
        skipped: how many could not be read.
    """

    live = False

    def __init__(self, name: str, paths: Sequence[Path], *, fps: float | None = None) -> None:
        self.name, self.fps = name, fps
        self.paths = sorted(paths, key=natural)
        self.size: tuple[int, int] | None = None
        self.state, self.dropped, self.reconnects, self.skipped = State.CONNECTING, 0, 0, 0
        self.complaint = ""
        self.next, self.index = 0, 0
        self.closed = Event()
        self.pacer, self.waiting = Pacer(), False

    @property
    def status(self) -> str:
        """How far it is, and what could not be read."""
        return ", ".join(filter(None, (f"{self.next} of {len(self.paths)} pictures", self.problem)))

    @property
    def problem(self) -> str:
        """What could not be read."""
        return f"{self.skipped} cannot be read: {self.complaint}" if self.skipped else ""

    def read(self, timeout: float) -> Frame | None:
        deadline = time.monotonic() + timeout
        if self.state is State.ENDED:
            return None
        if self.fps:
            if not self.waiting:
                self.pacer.schedule(1 / self.fps)
            self.waiting = not self.pacer.wait(deadline, self.closed)
            if self.waiting:
                return None
        while self.next < len(self.paths) and not self.closed.is_set():
            path = self.paths[self.next]
            self.next += 1
            try:
                image = read_image(path)
            except ImageError as error:
                self.skipped += 1
                self.complaint = error.message
                continue
            self.state, self.size = State.STREAMING, (image.shape[1], image.shape[0])
            self.index += 1
            upright = np.ascontiguousarray(image[:, :, ::-1])
            return Frame(upright, self.index - 1, time.monotonic_ns(), time.time_ns(), str(path))
        closed = self.closed.is_set()
        self.close()
        if not self.index and not closed:
            raise SourceError(
                f"none of the {len(self.paths)} pictures of {self.name} can be read: {self.complaint}",
                "open one in an image viewer",
            )
        return None

    def close(self) -> None:
        self.closed.set()
        self.state = State.ENDED


def natural(path: Path) -> list[tuple[str, int]]:
    """A key that sorts 2.png before 10.png."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(text, int(number or -1)) for text, number in zip(parts[::2], [*parts[1::2], ""], strict=True)]
