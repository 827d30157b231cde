"""Engines, sessions and progress displays that need no inference library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from runtime.session import Session
from runtime.spec import BatchRange, ModelSpec

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class FakeEngine:
    """Answers by a function of the batch; counts its calls.

    Attributes:
        batches: the size of each batch that it was given.
        closed: how often it was closed.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.batches: list[int] = []
        self.closed = 0

    def run(self, batch: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
        self.batches.append(len(batch))
        out[...] = self.answer(batch)

    def close(self) -> None:
        self.closed += 1


def fake_session(spec: ModelSpec, answer: Answer, batch: BatchRange | None = None) -> tuple[Session, FakeEngine]:
    """A session over a fake engine, and that engine."""
    engine = FakeEngine(answer)
    return Session(engine, spec, batch or BatchRange()), engine


def first_pixel_class(classes: int, shift: int = 0) -> Answer:
    """The class is the first pixel plus `shift`, modulo the number of classes, with probability 0.7."""

    def answer(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        out = np.full((len(batch), classes), 0.3 / (classes - 1), np.float32)
        out[np.arange(len(batch)), (batch[:, 0, 0, 0].astype(int) + shift) % classes] = 0.7
        return out

    return answer


class RecordingStage:
    """A stage that counts, and asks to stop after `stop_after` units."""

    def __init__(self, total: int | None, stop_after: int | None) -> None:
        self.total, self.stop_after = total, stop_after
        self.done = 0
        self.notes: list[str] = []

    def advance(self, n: int = 1) -> bool:
        self.done += n
        return self.stop_after is None or self.done < self.stop_after

    def note(self, text: str) -> None:
        self.notes.append(text)


class RecordingProgress:
    """A progress display that keeps its stages, by name."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.stages: dict[str, RecordingStage] = {}

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[RecordingStage]:
        self.stages[name] = RecordingStage(total, self.stop_after)
        yield self.stages[name]
