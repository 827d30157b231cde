"""Latency of several sessions in one run: measured in turns, so that a machine that drifts favours none."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from runtime.manifest import Latency
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session

ROUNDS = 20
SECONDS_PER_SESSION = 0.4
WARM_UP_SHARE = 0.25
MIN_CALLS = 4
MAX_CALLS = 2000


def measure(
    sessions: Mapping[str, Session],
    images: NDArray[np.uint8],
    progress: Progress,
    *,
    seconds: float = SECONDS_PER_SESSION,
    rounds: int = ROUNDS,
) -> dict[str, Latency]:
    """Time calls with one batch, from an array in memory to an array in memory.

    In every round each session makes a block of calls, in an order that rotates. The first quarter of a block is thrown
    away: there the threads of the session before are still spinning, and the caches hold its weights.

    Args:
        sessions: by name.
        images: uint8 (n, height, width, channels), given to every session.
        progress: told of every round.
        seconds: for each session, about.
        rounds: how often they take turns.

    Returns:
        Percentiles for each session, in milliseconds a call.
    """
    outs = {name: np.empty((len(images), session.spec.classes), np.float32) for name, session in sessions.items()}
    calls = {name: calls_for(session, images, outs[name], seconds / rounds) for name, session in sessions.items()}
    samples: dict[str, list[int]] = {name: [] for name in sessions}
    names = list(sessions)
    with progress.stage("measure latency", rounds) as stage:
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                times = time_calls(sessions[name], images, outs[name], calls[name])
                samples[name] += times[int(len(times) * WARM_UP_SHARE) :]
            advance_or_stop(stage)
    return {name: percentiles(samples[name]) for name in names}


def calls_for(session: Session, images: NDArray[np.uint8], out: NDArray[np.float32], seconds: float) -> int:
    """How many calls fill `seconds`, after a few that warm up."""
    median = float(np.median(time_calls(session, images, out, MIN_CALLS * 2)[MIN_CALLS:]))
    return int(np.clip(seconds * 1e9 / max(median, 1.0), MIN_CALLS, MAX_CALLS))


def time_calls(session: Session, images: NDArray[np.uint8], out: NDArray[np.float32], count: int) -> list[int]:
    """Nanoseconds of each of `count` calls."""
    times = []
    clock = time.perf_counter_ns
    for _ in range(count):
        start = clock()
        session.run(images, out)
        times.append(clock() - start)
    return times


def percentiles(nanoseconds: list[int]) -> Latency:
    """p50, p90 and p99 of calls, in milliseconds."""
    p50, p90, p99 = (round(float(value) / 1e6, 6) for value in np.percentile(nanoseconds, (50, 90, 99)))
    return Latency(p50, p90, p99)
