"""Latency of several sessions in one run: measured in turns, so that a machine that drifts favours none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from runtime.manifest import GpuTimes, Latency
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session

ROUNDS = 20
SECONDS_PER_SESSION = 0.4
WARM_UP_SHARE = 0.25
MIN_CALLS = 4
MAX_CALLS = 2000
GPU_CALLS, GPU_WARM_UP = 200, 10
PART_NAMES = ("host_to_device_ms", "compute_ms", "device_to_host_ms", "enqueue_ms", "host_ms")
MOST_ENQUEUE, MOST_VARIATION_PERCENT = 0.8, 2.5  # as trtexec warns


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
    with progress.stage("measure latency", rounds) as stage:
        for turn in range(rounds):
            for name in rotated(sessions, turn):
                times = time_calls(sessions[name], images, outs[name], calls[name])
                samples[name] += times[int(len(times) * WARM_UP_SHARE) :]
            advance_or_stop(stage)
    return {name: percentiles(samples[name]) for name in sessions}


def rotated(names: Iterable[str], turn: int) -> list[str]:
    """The order of a turn, in which each name comes first in one of as many turns as there are names."""
    order = list(names)
    first = turn % len(order)
    return order[first:] + order[:first]


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


def measure_parts(session: Session, images: NDArray[np.uint8], calls: int = GPU_CALLS) -> GpuTimes | None:
    """What calls spend their time on; None where the engine cannot tell.

    Args:
        session: over a GPU's engine.
        images: uint8 (n, height, width, channels), n within the engine's batch sizes.
        calls: that are measured, after a few that warm up.
    """
    out = np.empty((len(images), session.spec.classes), np.float32)
    timed = [session.time_parts(images, out) for _ in range(calls + GPU_WARM_UP)][GPU_WARM_UP:]
    if not all(timed):
        return None
    columns = {name: np.array([getattr(parts, name) for parts in timed]) for name in PART_NAMES}
    compute = columns["compute_ms"]
    variation = round(100 * float(compute.std() / max(compute.mean(), 1e-9)), 2)
    warnings = []
    if np.median(columns["enqueue_ms"]) > MOST_ENQUEUE * np.median(compute):
        warnings.append("queueing takes over 0.8 of the computing: without its CUDA graph, the CPU would be the limit")
    if variation > MOST_VARIATION_PERCENT:
        warnings.append(
            f"the GPU's time varies by {variation:g} %, over {MOST_VARIATION_PERCENT:g}: fix its clocks "
            "(nvidia-smi -lgc; jetson_clocks on a Jetson), or measure for longer"
        )
    latencies = {name: percentiles([round(1e6 * value) for value in column]) for name, column in columns.items()}
    return GpuTimes(**latencies, variation_percent=variation, warnings=tuple(warnings))


def percentiles(nanoseconds: list[int]) -> Latency:
    """p50, p90 and p99 of calls, in milliseconds."""
    p50, p90, p99 = (round(float(value) / 1e6, 6) for value in np.percentile(nanoseconds, (50, 90, 99)))
    return Latency(p50, p90, p99)
