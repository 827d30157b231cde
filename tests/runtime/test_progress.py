"""Progress: silence, and being told to stop."""

from __future__ import annotations

import time

import pytest

from runtime.errors import Cancelled
from runtime.progress import SilentProgress, TimedProgress, advance_or_stop
from tests.fakes import RecordingProgress


def test_silence_never_stops_the_work() -> None:
    with SilentProgress().stage("work", 2) as stage:
        stage.note("hello")
        assert stage.advance()
        assert stage.advance(100)
        advance_or_stop(stage)


def test_a_request_to_stop_becomes_an_error_with_a_hint() -> None:
    with RecordingProgress(stop_after=3).stage("work") as stage:
        advance_or_stop(stage, 2)
        with pytest.raises(Cancelled) as caught:
            advance_or_stop(stage)
    assert caught.value.hint


def test_the_seconds_of_stages_are_kept_those_of_inner_ones_in_the_outer() -> None:
    shown = RecordingProgress()
    timed = TimedProgress(shown)
    for _ in range(2):
        with timed.stage("outer", 3) as stage, timed.stage("inner") as inner:
            stage.advance()
            inner.note("said")
            time.sleep(0.01)
    with pytest.raises(ZeroDivisionError), timed.stage("broken"):
        raise ZeroDivisionError
    assert list(timed.seconds) == ["outer", "broken"]
    assert 0.02 <= timed.seconds["outer"] <= timed.elapsed_s + 0.001  # each of two is rounded to a millisecond
    assert (shown.stages["outer"].total, shown.stages["inner"].notes) == (3, ["said"])
