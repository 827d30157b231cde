"""Energy of an inference: what the machine takes while it answers, less what it took when it was idle just before."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from runtime.measure.meters import Clock, Meter
from runtime.measure.result import Energy
from runtime.measure.turns import Work
from runtime.progress import Progress, advance_or_stop

OTHER_DEVICE = "the engine runs on a GPU, and RAPL counts the CPU alone"

SETTLE_S = 0.5  # after whatever came before, until the machine is idle
IDLE_S = 2.0
LOOK_S = 0.05  # between readings


def measure_energy(
    works: Mapping[str, Work],
    on_gpu: Mapping[str, bool],
    progress: Progress,
    *,
    seconds: float,
    meter: Meter | str,
    clock: Clock = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Energy | str]:
    """Run one engine after another, each after a while of nothing.

    Args:
        works: by the engine's name.
        on_gpu: which of them run on a GPU.
        progress: told of every engine.
        seconds: for each.
        meter: of this machine, or why there is none.
        clock: seconds.
        sleep: for some.

    Returns:
        For each engine its energy, or why it is not known.
    """
    if isinstance(meter, str):
        return dict.fromkeys(works, meter)
    found: dict[str, Energy | str] = {}
    with progress.stage("measure energy", len(works)) as stage:
        for name, work in works.items():
            if meter.of_cpu and on_gpu[name]:
                found[name] = OTHER_DEVICE
            else:
                sleep(SETTLE_S)
                idle = spend(meter, IDLE_S, partial(rest, sleep), clock)
                busy = spend(meter, seconds, partial(call_for, work, clock), clock)
                found[name] = describe_energy(idle, busy, len(work.images), meter.source)
            advance_or_stop(stage)
    return found


@dataclass(frozen=True)
class Spent:
    """What a while took: joules, seconds, and the calls that were made."""

    joules: float
    seconds: float
    calls: int

    @property
    def watts(self) -> float:
        return max(self.joules, 0.0) / self.seconds


def spend(meter: Meter, seconds: float, action: Callable[[], int], clock: Clock) -> Spent:
    """Do something, which tells of its calls, again and again, and read the meter in between."""
    meter.start()
    start, calls = clock(), 0
    while True:
        calls += action()
        meter.look()
        if (took := clock() - start) >= seconds:
            return Spent(meter.joules(), took, calls)


def rest(sleep: Callable[[float], None]) -> int:
    """Do nothing for a moment."""
    sleep(LOOK_S)
    return 0


def call_for(work: Work, clock: Clock) -> int:
    """Call for a moment, once at least."""
    start, calls = clock(), 0
    while not calls or clock() - start < LOOK_S:
        work.times(1)
        calls += 1
    return calls


def describe_energy(idle: Spent, busy: Spent, batch: int, source: str) -> Energy:
    """The values of one engine."""
    joules = (busy.watts - idle.watts) * busy.seconds / (busy.calls * batch)
    return Energy(round(1e3 * joules, 6), round(busy.watts, 4), round(idle.watts, 4), source)
