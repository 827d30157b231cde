"""One request after another: the time of a call, of the CPU, and how both spread."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from runtime.latency import MIN_CALLS
from runtime.measure.result import Round, SingleStream
from runtime.measure.statistics import histogram, is_steady, milliseconds, ratio, summarise
from runtime.measure.turns import Block, Work, calls_to_fill, take_turns
from runtime.progress import Progress, advance_or_stop

WINDOW_S = 0.05  # of warming up: its median is compared with those of the windows before
WINDOWS = 4  # in a row that have to be alike
ALIKE = 0.05  # of the smallest median
MOST_WARM_UP_S = 3.0
LEAST_WARM_UP_S = 0.5  # of the limit
SHORTEST_WARM_UP_S = 0.2  # an engine of microseconds is steady before the clocks of the CPU are


@dataclass(frozen=True)
class WarmUp:
    """What came before anything counted.

    Attributes:
        calls: that were thrown away.
        steady: whether times became so.
        mean_ns: of a call of the last window; its median where others take the CPU would promise too much.
    """

    calls: int
    steady: bool
    mean_ns: float


def measure_single(
    works: Mapping[str, Work], progress: Progress, *, seconds: float, rounds: int
) -> tuple[dict[str, list[Block]], dict[str, WarmUp]]:
    """Warm every engine up, then let them take turns.

    Args:
        works: by the engine's name.
        progress: told of every engine, then of every round.
        seconds: for each engine, about.
        rounds: how often they take turns.
    """
    warm_ups = {}
    with progress.stage("warm up", len(works)) as stage:
        for name, work in works.items():
            warm_ups[name] = warm_up(work, min(MOST_WARM_UP_S, max(seconds, LEAST_WARM_UP_S)))
            advance_or_stop(stage)
    calls = {name: calls_to_fill(seconds / rounds, warm_ups[name].mean_ns) for name in works}
    with progress.stage("measure latency", rounds) as stage:
        return take_turns(works, calls, rounds, stage), warm_ups


def warm_up(work: Work, most_seconds: float) -> WarmUp:
    """Call until a few windows in a row are alike, or the time is over."""
    start = time.perf_counter()
    times = work.times(MIN_CALLS)
    medians, calls = [float(np.median(times))], len(times)
    while True:
        times = work.times(calls_to_fill(WINDOW_S, float(np.mean(times))))
        medians.append(float(np.median(times)))
        calls += len(times)
        took, steady = time.perf_counter() - start, is_steady(medians, WINDOWS, ALIKE)
        if took >= most_seconds or (steady and took >= SHORTEST_WARM_UP_S):
            return WarmUp(calls, steady, float(np.mean(times)))


def describe_single(
    blocks: Mapping[str, list[Block]], warm_ups: Mapping[str, WarmUp], batch: int
) -> dict[str, SingleStream]:
    """The values of every engine, with its ratio to the one named first."""
    times = {name: [block.times for block in turns] for name, turns in blocks.items()}
    reference = next(iter(times))
    start = min(turns[0].at_ns for turns in blocks.values())
    return {
        name: SingleStream(
            batch=batch,
            times=summarise(times[name]),
            ratio=None if name == reference else ratio(times[name], times[reference]),
            cpu_ms=milliseconds(sum(block.cpu_ns for block in turns) / sum(map(len, times[name])) / 1e6),
            warm_up_calls=warm_ups[name].calls,
            steady=warm_ups[name].steady,
            histogram=histogram(times[name]),
            rounds=tuple(describe_round(block, start) for block in turns),
        )
        for name, turns in blocks.items()
    }


def describe_round(block: Block, start_ns: int) -> Round:
    """One turn."""
    p50, most = float(np.median(block.times)) / 1e6, float(block.times.max()) / 1e6
    return Round(round((block.at_ns - start_ns) / 1e9, 6), milliseconds(p50), milliseconds(most))
