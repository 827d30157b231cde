"""A camera's pace: a request whenever a frame is due, and sleep between, in which caches cool and clocks fall."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from runtime.measure.result import Paced
from runtime.measure.statistics import summarise
from runtime.measure.turns import Work
from runtime.progress import Progress, Stage, advance_or_stop

WARM_UP_FRAMES = 5  # the first ones find the clocks as whatever came before has left them
MIN_FRAMES = 20
PARTS = 20  # that the frames are cut into, in their order, for a bootstrap
SHOWN_S = 0.5  # a display that is drawn at every frame would keep the CPU awake
MOST_BEHIND_S = 1.0  # an engine that cannot keep up would only fall further behind

Clock = Callable[[], int]
Sleep = Callable[[float], None]


def measure_paced(works: Mapping[str, Work], fps: float, progress: Progress, *, seconds: float) -> dict[str, Paced]:
    """Let one engine after another keep a pace: in turns, the others would keep the clocks awake.

    Args:
        works: by the engine's name.
        fps: frames a second.
        progress: told of the frames.
        seconds: for each engine.
    """
    frames = max(MIN_FRAMES, round(seconds * fps)) + WARM_UP_FRAMES
    with progress.stage(f"keep {fps:g} fps", frames * len(works)) as stage:
        return {name: keep_pace(work, fps, frames, stage) for name, work in works.items()}


def keep_pace(
    work: Work, fps: float, frames: int, stage: Stage, *, clock: Clock = time.perf_counter_ns, sleep: Sleep = time.sleep
) -> Paced:
    """Answer each frame when it is due. Deadlines are absolute: who is late with one starts late with the next.

    So the time that a frame waits for the one before counts, as it does behind a camera. It ends early where an engine
    has fallen too far behind.

    Args:
        work: the calls, of which only the first is made for each frame.
        fps: frames a second.
        frames: how many, with those that warm up.
        stage: told of the frames, twice a second.
        clock: nanoseconds.
        sleep: for some seconds.
    """
    period = 1e9 / fps
    start = clock() + round(period)
    times: list[int] = []
    every, told = max(1, round(fps * SHOWN_S)), 0
    for frame in range(frames):
        due = start + round(frame * period)
        if (early := due - clock()) > 0:
            sleep(early / 1e9)
        work.times(1)
        times.append(max(clock() - due, 0))
        if len(times) % every == 0:
            advance_or_stop(stage, every)
            told += every
        if times[-1] > MOST_BEHIND_S * 1e9 + period and len(times) > WARM_UP_FRAMES:
            break
    advance_or_stop(stage, frames - told)
    counted = np.array(times[WARM_UP_FRAMES:], np.int64)
    parts = np.array_split(counted, min(PARTS, len(counted)))
    return Paced(fps, summarise(parts), late=int((counted > period).sum()))
