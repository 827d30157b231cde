"""Latency: who is called, how often and in which order. No time is asserted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from runtime import latency as module
from runtime.backend import Parts
from runtime.errors import Cancelled
from runtime.latency import MAX_CALLS, MIN_CALLS, calls_for, measure, measure_parts, percentiles, time_calls
from runtime.session import Session
from runtime.spec import BatchRange
from tests.fakes import Answer, FakeEngine, RecordingProgress, fake_session, first_pixel_class
from tests.tiny import CLASSES, make_images, make_spec


def recorded(log: list[str], name: str) -> Session:
    """A session that writes its name down at every call."""
    answer = first_pixel_class(CLASSES)

    def record(batch: np.ndarray) -> np.ndarray:
        log.append(name)
        return answer(batch)

    recording: Answer = record
    return fake_session(make_spec(), recording)[0]


@pytest.fixture
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by one microsecond at every look."""
    ticks = itertools.count(0, 1000)
    monkeypatch.setattr(module.time, "perf_counter_ns", lambda: next(ticks))


@pytest.mark.usefixtures("fixed_clock")
def test_sessions_take_turns_in_an_order_that_rotates() -> None:
    log: list[str] = []
    sessions = {name: recorded(log, name) for name in "abc"}
    progress = RecordingProgress()
    result = measure(sessions, make_images(1), progress, seconds=10 * 4e-6, rounds=4)
    assert list(result) == ["a", "b", "c"]
    warm_up = 3 * MIN_CALLS * 2
    blocks = [(name, len(list(calls))) for name, calls in itertools.groupby(log[warm_up:])]
    # Each round is one block of equal length for each session; neighbours of the same name run together.
    order = "".join(name * (count // (40 // 4)) for name, count in blocks)
    assert order == "abc" + "bca" + "cab" + "abc"
    assert (progress.stages["measure latency"].total, progress.stages["measure latency"].done) == (4, 4)


@pytest.mark.usefixtures("fixed_clock")
def test_a_call_takes_what_the_clock_says() -> None:
    session = recorded([], "a")
    assert time_calls(session, make_images(1), np.empty((1, CLASSES), np.float32), 3) == [1000] * 3
    result = measure({"a": session}, make_images(1), RecordingProgress(), seconds=1e-4, rounds=2)["a"]
    assert (result.p50, result.p90, result.p99) == (0.001, 0.001, 0.001)


def test_the_first_quarter_of_a_block_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    session = recorded([], "a")
    monkeypatch.setattr(module, "calls_for", lambda *_: 8)
    monkeypatch.setattr(module, "time_calls", lambda *_: [10**12, 10**12] + [2_000_000] * 6)
    result = measure({"a": session}, make_images(1), RecordingProgress(), rounds=3)["a"]
    assert result.p99 == 2


@pytest.mark.parametrize("took, calls", [(1000, MAX_CALLS), (10**6, 500), (10**9, MIN_CALLS), (0, MAX_CALLS)])
def test_the_number_of_calls_fills_the_time_within_limits(
    monkeypatch: pytest.MonkeyPatch, took: int, calls: int
) -> None:
    monkeypatch.setattr(module, "time_calls", lambda session, images, out, count: [10**12] * (count // 2) + [took] * 4)
    out = np.empty((1, CLASSES), np.float32)
    assert calls_for(recorded([], "a"), make_images(1), out, seconds=0.5) == calls


def test_percentiles_are_in_order_and_in_milliseconds() -> None:
    result = percentiles([n * 1_000_000 for n in range(101)])
    assert (result.p50, result.p90, result.p99) == (50, 90, 99)


def test_a_batch_is_timed_as_one_call() -> None:
    session, engine = fake_session(make_spec(), first_pixel_class(CLASSES))
    measure({"a": session}, make_images(5), RecordingProgress(), seconds=1e-6, rounds=2)
    assert set(engine.batches) == {5}
    assert len(engine.batches) == MIN_CALLS * 2 + 2 * MIN_CALLS


def test_a_request_to_stop_is_heard() -> None:
    with pytest.raises(Cancelled):
        measure({"a": recorded([], "a")}, make_images(1), RecordingProgress(stop_after=1), seconds=1e-6)


class TimedFake(FakeEngine):
    """An engine that says what a call spends its time on."""

    def __init__(self, *compute_ms: float, enqueue_ms: float = 0.1) -> None:
        super().__init__(first_pixel_class(CLASSES))
        self.turns, self.enqueue_ms = itertools.cycle(compute_ms), enqueue_ms

    def time_parts(self, batch: np.ndarray, out: np.ndarray) -> Parts:
        return Parts(0.2, next(self.turns), 0.05, self.enqueue_ms, 2.0)


def test_the_parts_of_a_call_on_a_gpu() -> None:
    images = make_images(2)
    found = measure_parts(Session(TimedFake(1.0), make_spec(), BatchRange()), images, 20)
    assert found is not None
    parts = (found.host_to_device_ms, found.compute_ms, found.device_to_host_ms, found.enqueue_ms, found.host_ms)
    assert [part.p50 for part in parts] == [0.2, 1.0, 0.05, 0.1, 2.0]
    assert (found.variation_percent, found.warnings) == (0, ())
    shaky = measure_parts(Session(TimedFake(1.0, 1.1), make_spec(), BatchRange()), images, 20)
    assert shaky is not None and shaky.variation_percent == 4.76
    assert [text for text in shaky.warnings if "varies by 4.76 %" in text] == [*shaky.warnings]
    queued = measure_parts(Session(TimedFake(0.05, enqueue_ms=0.5), make_spec(), BatchRange()), images, 20)
    assert queued is not None and [text[:8] for text in queued.warnings] == ["queueing"]


def test_where_an_engine_cannot_tell_there_are_no_parts() -> None:
    session, _ = fake_session(make_spec(), first_pixel_class(CLASSES))
    assert measure_parts(session, make_images(1)) is None
    outside = make_images(BatchRange().largest + 1)
    assert measure_parts(Session(TimedFake(1.0), make_spec(), BatchRange()), outside) is None
