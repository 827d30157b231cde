"""Throughput over batch sizes: all images are there, and only their number in a time counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.measure.result import BatchPoint
from runtime.measure.statistics import milliseconds
from runtime.measure.turns import Block, calls_to_fill, make_work, take_turns
from runtime.progress import Progress
from runtime.session import Session

ROUNDS = 5
WARM_UP_CALLS = 2  # before as many that say how long one takes
MOST_AUTO = 256


def powers_of_two(sessions: Mapping[str, Session]) -> tuple[int, ...]:
    """The batch sizes 1, 2, 4 and so on that at least one of the engines serves in one call."""
    sizes = [1 << power for power in range(MOST_AUTO.bit_length())]
    return tuple(size for size in sizes if any(serves(session, size) for session in sessions.values()))


def serves(session: Session, size: int) -> bool:
    """Whether the engine takes a batch as it is: others are split and padded, which would be timed with it."""
    return session.batch.smallest <= size <= session.batch.largest


def measure_offline(
    sessions: Mapping[str, Session],
    images: Mapping[str, NDArray[np.uint8]],
    batches: Sequence[int],
    progress: Progress,
    *,
    seconds: float,
) -> dict[str, tuple[BatchPoint, ...]]:
    """Time every engine at every batch size that it serves, in turns at each size.

    Args:
        sessions: by the engine's name.
        images: uint8 (n, height, width, channels) for each, by the same names.
        batches: images a call.
        progress: told of every round.
        seconds: for each engine, over all sizes, about.
    """
    points: dict[str, list[BatchPoint]] = {name: [] for name in sessions}
    with progress.stage("measure batch sizes", ROUNDS * len(batches)) as stage:
        for name, session in sessions.items():
            if left_out := [str(size) for size in batches if not serves(session, size)]:
                served = f"{session.batch.smallest} to {session.batch.largest}"
                stage.note(f"{name} serves {served} images a call: left out {', '.join(left_out)}")
        for size in batches:
            works = {name: make_work(one, images[name], size) for name, one in sessions.items() if serves(one, size)}
            if not works:
                continue
            each = seconds / len(batches) / ROUNDS
            calls = {
                name: calls_to_fill(each, float(np.mean(work.times(2 * WARM_UP_CALLS)[WARM_UP_CALLS:])))
                for name, work in works.items()
            }
            for name, blocks in take_turns(works, calls, ROUNDS, stage).items():
                points[name].append(describe_batch(size, blocks))
    return {name: tuple(found) for name, found in points.items()}


def describe_batch(size: int, blocks: Sequence[Block]) -> BatchPoint:
    """The values of one size."""
    times = np.concatenate([block.times for block in blocks])
    seconds = max(float(times.sum()) / 1e9, 1e-9)
    return BatchPoint(size, milliseconds(float(np.median(times)) / 1e6), round(size * len(times) / seconds, 3))
