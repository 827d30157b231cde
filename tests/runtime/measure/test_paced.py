"""A camera's pace, by a clock that goes only when somebody sleeps or an engine answers."""

from __future__ import annotations

import pytest

from runtime.measure.paced import MIN_FRAMES, SHOWN_S, WARM_UP_FRAMES, keep_pace, measure_paced
from runtime.measure.turns import make_work
from tests.fakes import RecordingProgress, RecordingStage, fake_session, first_pixel_class
from tests.tiny import CLASSES, make_images, make_spec

MS = 1_000_000


class World:
    """Time, an engine that takes some of it, and a bed that one oversleeps in.

    Attributes:
        took: nanoseconds of each frame's answer, the last one again and again.
        now: nanoseconds.
        slept: how often.
    """

    def __init__(self, *took: int, oversleep: int = 0) -> None:
        self.took, self.oversleep = list(took), oversleep
        self.now = 5 * MS
        self.slept = self.calls = 0

    def times(self, calls: int) -> list[int]:
        spent = self.took.pop(0) if len(self.took) > 1 else self.took[0]
        self.now += spent
        self.calls += calls
        return [spent] * calls

    def clock(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9) + self.oversleep
        self.slept += 1


def run(world: World, fps: float = 100, frames: int = 40 + WARM_UP_FRAMES, stage: RecordingStage | None = None):  # type: ignore[no-untyped-def]
    stage = stage or RecordingStage(None, None)
    return keep_pace(world, fps, frames, stage, clock=world.clock, sleep=world.sleep)  # type: ignore[arg-type]


def test_an_engine_that_keeps_up_sleeps_before_every_frame() -> None:
    world = World(4 * MS)
    found = run(world)
    assert (found.fps, found.late, found.times.samples) == (100, 0, 40)
    assert (found.times.p50, found.times.max) == (4, 4)
    assert world.slept == world.calls == 40 + WARM_UP_FRAMES
    assert world.now == 5 * MS + 10 * MS * (40 + WARM_UP_FRAMES) + 4 * MS  # deadlines are absolute


def test_what_is_slept_too_long_counts_from_when_the_frame_was_due() -> None:
    assert run(World(4 * MS, oversleep=MS)).times.p50 == 5


def test_a_slow_frame_makes_the_ones_behind_it_late() -> None:
    world = World(*[4 * MS] * (WARM_UP_FRAMES + 3), 27 * MS, 4 * MS)
    found = run(world)
    # Answers after 27, 21, 15, 9 and then 4 ms; the first three came after the next frame was due.
    assert found.late == 3
    assert (found.times.p50, found.times.max) == (4, 27)
    assert world.slept == 40 + WARM_UP_FRAMES - 3


def test_who_cannot_keep_up_is_let_go() -> None:
    world = World(25 * MS)
    found = run(world, frames=10_000)
    assert world.calls < 100
    assert found.late == found.times.samples == world.calls - WARM_UP_FRAMES
    assert found.times.max == pytest.approx(1000, rel=0.05)


def test_a_call_that_takes_seconds_is_measured_once_at_least() -> None:
    assert run(World(5000 * MS)).times.samples == 1


def test_progress_is_told_twice_a_second() -> None:
    stage = RecordingStage(None, None)
    run(World(MS), fps=100, frames=200, stage=stage)
    assert stage.done == 200 and SHOWN_S == 0.5


def test_engines_keep_the_pace_one_after_another() -> None:
    log: list[str] = []

    def engine(name: str):  # type: ignore[no-untyped-def]
        answer = first_pixel_class(CLASSES)
        return fake_session(make_spec(), lambda batch: (log.append(name), answer(batch))[1])[0]

    works = {name: make_work(engine(name), make_images(1), 1) for name in "ab"}
    progress = RecordingProgress()
    found = measure_paced(works, 500, progress, seconds=0.01)
    frames = MIN_FRAMES + WARM_UP_FRAMES
    assert log == ["a"] * frames + ["b"] * frames
    assert {name: pace.times.samples for name, pace in found.items()} == {"a": MIN_FRAMES, "b": MIN_FRAMES}
    assert progress.stages["keep 500 fps"].total == 2 * frames
