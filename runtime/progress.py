"""How long work tells what it is doing. The display itself is the caller's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from runtime.errors import Cancelled


class Stage(Protocol):
    """One stage of a longer work."""

    def advance(self, n: int = 1) -> bool:
        """Count n more units as done. False means: stop, the user asked for it."""
        ...

    def note(self, text: str) -> None:
        """Say one thing that the user should read."""
        ...


class Progress(Protocol):
    """A display of stages."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """Open a stage of `total` units (None: unknown) for the length of a `with` block."""
        ...


class SilentStage:
    """A `Stage` that shows nothing."""

    def advance(self, n: int = 1) -> bool:
        return True

    def note(self, text: str) -> None:
        return None


class SilentProgress:
    """A `Progress` that shows nothing."""

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[SilentStage]:
        yield SilentStage()


class TimedProgress:
    """Another display, with the seconds of each stage kept.

    Attributes:
        seconds: by stage, in the order in which they ended; of a stage inside another, the outer one counts.
    """

    def __init__(self, shown: Progress) -> None:
        self.shown = shown
        self.seconds: dict[str, float] = {}
        self.depth = 0
        self.start = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self.start

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        start = time.perf_counter()
        self.depth += 1
        try:
            with self.shown.stage(name, total) as stage:
                yield stage
        finally:
            self.depth -= 1
            if not self.depth:
                self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)


def advance_or_stop(stage: Stage, n: int = 1) -> None:
    """`stage.advance(n)`, with the request to stop turned into `Cancelled`."""
    if not stage.advance(n):
        raise Cancelled("stopped on request", "run the command again to start over")
