"""Progress: silence, and being told to stop."""

from __future__ import annotations

import pytest

from runtime.errors import Cancelled
from runtime.progress import SilentProgress, advance_or_stop
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
