"""Latency: who is called, how often and in which order. No time is asserted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from runtime import latency as module
from runtime.errors import Cancelled
from runtime.latency import MAX_CALLS, MIN_CALLS, calls_for, measure, percentiles, time_calls
from runtime.session import Session
from tests.fakes import Answer, RecordingProgress, fake_session, first_pixel_class
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
