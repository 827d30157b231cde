"""Scenes one after another, as a camera would give them."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import runtime
from runtime.camera.frame import Frame, State
from runtime.camera.synthetic.scene import DIFFICULTIES, Scene
from runtime.camera.synthetic.truth import Truth
from runtime.camera.synthetic.url import Wish, parse
from runtime.datasets import read_idx_split

DIGITS = Path(runtime.__file__).parent / "data" / "mnist"
SCENES_KEPT = 2  # truth is asked for shortly after its frame


def open_synthetic(url: str, *, fast: bool = False) -> SyntheticSource:
    """Open a drawn camera.

    Args:
        url: such as "synthetic://" or "synthetic://desk?seed=3&size=640x480&fps=30&digits=10&seconds=20&scene=4".
        fast: every frame in turn, as soon as it is asked for; otherwise frames come at their rate, and those that
            are not taken in time are dropped.

    Raises:
        SourceError: the URL asks for what is not there; or the shipped digits cannot be read (DataError).
    """
    return SyntheticSource(url, parse(url), *shipped_digits(), fast=fast)


@lru_cache(maxsize=1)
def shipped_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The MNIST training digits that come with this package, and their labels."""
    digits = read_idx_split(DIGITS, "train", 10)
    assert digits.labels is not None  # both files ship
    return digits.images, digits.labels


class SyntheticSource:
    """A camera that draws what it sees, and knows the truth of it. Meets `Source`.

    Args:
        name: of the source.
        wish: what to draw.
        digits: uint8 (N, 28, 28), light on dark.
        labels: (N,), 0..9.
        fast: whether frames come when they are asked for, and not at their rate.
    """

    def __init__(
        self, name: str, wish: Wish, digits: NDArray[np.uint8], labels: NDArray[np.integer], *, fast: bool = False
    ) -> None:
        self.name, self.wish, self.digits, self.labels = name, wish, digits, labels
        self.live = not fast
        self.fps: float | None = wish.fps
        self.size: tuple[int, int] | None = wish.size
        self.state = State.STREAMING
        what = wish.difficulty or "all difficulties in turn"
        self.status = f"{wish.size[0]}x{wish.size[1]} drawn, {wish.fps:g} fps, {what}"
        self.dropped = 0
        self.reconnects, self.problem = 0, ""
        self.next = 0
        self.started_ns = time.monotonic_ns()
        self.last = None if wish.seconds is None else max(0, round(wish.seconds * wish.fps) - 1)
        self.scenes: dict[int, Scene] = {}

    def read(self, timeout: float) -> Frame | None:
        """The next frame; where frames come at their rate, the newest one.

        Args:
            timeout: seconds to wait at most.
        """
        if self.state is State.ENDED:
            return None
        index = self.next
        if self.live:
            if not self.wait(timeout):
                return None
            index = max(index, int((time.monotonic_ns() - self.started_ns) * self.wish.fps / 1e9))
        if self.last is not None and index > self.last:
            self.dropped += self.last + 1 - self.next
            self.next, self.state = self.last + 1, State.ENDED
            return None
        self.dropped += index - self.next
        self.next = index + 1
        taken, utc = time.monotonic_ns(), time.time_ns()
        if self.live:  # the moment at which it was due
            late = taken - self.started_ns - int(index * 1e9 / self.wish.fps)
            taken, utc = taken - late, utc - late
        picture, _ = self.scene(index).frame(index)
        return Frame(picture, index, taken, utc, self.name)

    def wait(self, timeout: float) -> bool:
        """Until the next frame is due, or the time is up."""
        due = self.started_ns + int(self.next * 1e9 / self.wish.fps)
        left = (due - time.monotonic_ns()) / 1e9
        time.sleep(max(0.0, min(left, timeout)))
        return time.monotonic_ns() >= due

    def truth(self, index: int) -> tuple[Truth, ...]:
        """What is on a frame. Ids start anew with each scene."""
        return self.scene(index).truth(index)

    def scene(self, index: int) -> Scene:
        """The scene that a frame shows."""
        number = int(index / (self.wish.scene * self.wish.fps))
        if number not in self.scenes:
            while len(self.scenes) >= SCENES_KEPT:
                self.scenes.pop(next(iter(self.scenes)))
            self.scenes[number] = Scene(
                self.digits,
                self.labels,
                difficulty=self.wish.difficulty or DIFFICULTIES[number % len(DIFFICULTIES)],
                seed=self.wish.seed * 100_003 + number,
                size=self.wish.size,
                count=self.wish.digits,
            )
        return self.scenes[number]

    def close(self) -> None:
        """End it."""
        self.state = State.ENDED
        self.scenes.clear()
