"""Engines in turns: a block of calls each, in rounds whose order rotates, so that a machine's drift hits all alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.latency import MIN_CALLS, WARM_UP_SHARE, rotated, time_calls
from runtime.progress import Stage, advance_or_stop
from runtime.session import Session

MOST_CALLS = 20_000  # of a block


@dataclass(frozen=True)
class Work:
    """What is timed: calls of a session with one batch.

    Attributes:
        session: that answers.
        images: uint8 (n, height, width, channels).
        out: float32 (n, classes), for the answers.
    """

    session: Session
    images: NDArray[np.uint8]
    out: NDArray[np.float32]

    def times(self, calls: int) -> list[int]:
        """Nanoseconds of each of some calls."""
        return time_calls(self.session, self.images, self.out, calls)


@dataclass(frozen=True)
class Block:
    """The calls of one turn that count.

    Attributes:
        at_ns: when they began, by `time.perf_counter_ns`.
        times: of each call, in nanoseconds.
        cpu_ns: of all cores, for all of them together.
    """

    at_ns: int
    times: NDArray[np.int64]
    cpu_ns: int


def make_work(session: Session, images: NDArray[np.uint8], batch: int) -> Work:
    """Calls with the first images, which are taken again where there are too few."""
    pictures = np.ascontiguousarray(images[np.arange(batch) % len(images)])
    return Work(session, pictures, np.empty((batch, session.spec.classes), np.float32))


def take_turns(
    works: Mapping[str, Work], calls: Mapping[str, int], rounds: int, stage: Stage
) -> dict[str, list[Block]]:
    """Time every engine in every round.

    Args:
        works: by the engine's name.
        calls: of a turn, by the same names.
        rounds: how many turns each takes.
        stage: told of every round.
    """
    blocks: dict[str, list[Block]] = {name: [] for name in works}
    for turn in range(rounds):
        for name in rotated(works, turn):
            blocks[name].append(time_block(works[name], calls[name]))
        advance_or_stop(stage)
    return blocks


def time_block(work: Work, calls: int) -> Block:
    """One turn. A quarter as much goes before and is thrown away, with its CPU time.

    There the threads of the engine before are still spinning, and the caches hold its weights.
    """
    work.times(thrown_away(calls))
    at_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    times = work.times(calls - thrown_away(calls))
    return Block(at_ns, np.array(times, np.int64), time.process_time_ns() - cpu_ns)


def thrown_away(calls: int) -> int:
    """How many calls of a turn do not count."""
    return int(calls * WARM_UP_SHARE)


def calls_to_fill(seconds: float, call_ns: float) -> int:
    """How many calls take so long, within limits."""
    return int(np.clip(seconds * 1e9 / max(call_ns, 1.0), MIN_CALLS, MOST_CALLS))
