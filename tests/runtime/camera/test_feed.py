"""Several sources at once, those that come later, and those that fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.camera.controls import Controls
from runtime.camera.feed import Feed
from runtime.camera.frame import Frame, State
from runtime.camera.outputs.outputs import Outputs
from runtime.camera.outputs.window import Window
from runtime.camera.pipeline import Limits, run
from runtime.camera.sources.open import open_source
from runtime.camera.summary import Tally, summarize
from runtime.errors import SourceError
from tests.runtime.camera.stand_ins import DrawnSource, SquareReader, stand_ins


class HangingSource(DrawnSource):
    """One whose driver does not answer, until it is closed or for good."""

    def __init__(self, name: str, *, for_good: bool = False) -> None:
        super().__init__(None, live=True, name=name)
        self.for_good, self.let_go = for_good, threading.Event()

    def read(self, timeout: float) -> Frame | None:
        self.let_go.wait()
        self.state = State.ENDED
        return None

    def close(self) -> None:
        super().close()
        if not self.for_good:
            self.let_go.set()


class FailingSource(DrawnSource):
    """One that gives frames, and then is of no use."""

    def read(self, timeout: float) -> Frame | None:
        if self.next == self.count:
            raise SourceError(f"{self.name} is on fire", "put it out")
        return super().read(timeout)


@contextmanager
def feed_of(*sources: DrawnSource) -> Iterator[Feed]:
    feed = Feed(sources)
    try:
        yield feed
    finally:
        feed.close()
        for source in sources:
            if isinstance(source, HangingSource):
                source.let_go.set()


def read(feed: Feed, reader: SquareReader | None = None, **limits: float) -> tuple[Tally, list[str]]:
    said: list[str] = []
    outputs = Outputs(say=said.append)
    _, tally = run(feed, stand_ins(reader), outputs, Controls(), Limits(**limits), lambda: False)  # type: ignore[arg-type]
    return tally, said


def test_frames_of_several_sources_are_read_in_one_batch() -> None:
    reader = SquareReader(0.01)
    with feed_of(DrawnSource(20, name="left"), DrawnSource(30, name="right")) as feed:
        tally, said = read(feed, reader)
    assert (tally.sources["left"].frames, tally.sources["right"].frames) == (20, 30)
    assert sum(reader.together) == 50
    assert reader.together.count(2) >= 15
    assert {"left: streaming: 160x120, drawn", "right: streaming: 160x120, drawn"} <= set(said)
    assert tally.timing.summary()["total"].count == 50


@pytest.mark.parametrize("for_good", [False, True])
def test_a_source_that_hangs_delays_no_other_and_not_the_end(for_good: bool) -> None:
    with feed_of(HangingSource("hung", for_good=for_good), DrawnSource(None, live=True, fps=100, name="well")) as feed:
        tally, _ = read(feed, seconds=0.7)
        start = time.monotonic()
        feed.close()
        assert time.monotonic() - start < 10  # a driver may hang for good
    assert tally.sources["hung"].frames == 0
    assert tally.sources["well"].frames > 5


def test_a_slow_source_has_all_its_frames_read_and_a_live_one_its_newest() -> None:
    slow, fast = DrawnSource(4, live=True, fps=8, name="slow"), DrawnSource(None, live=True, fps=200, name="fast")
    reader = SquareReader(0.02)
    with feed_of(slow, fast) as feed:
        tally, _ = read(feed, reader, seconds=1.5)
        feed.close()
        summary = summarize(feed, "seconds", tally, None, None)
    first, second = summary.sources
    assert first.frames + first.dropped.replaced + first.dropped.too_old + first.dropped.at_end == 4
    assert second.dropped.replaced > 0
    # every frame that came was read or dropped for a reason
    assert second.frames + second.dropped.replaced + second.dropped.too_old + second.dropped.at_end == fast.next


def test_one_source_that_fails_is_told_of_and_the_others_go_on() -> None:
    with feed_of(FailingSource(2, name="bad"), DrawnSource(10, name="good")) as feed:
        tally, said = read(feed)
        summary = summarize(feed, "source", tally, None, None)
    assert tally.sources["good"].frames == 10
    assert said.count("bad is read no more: bad is on fire") == 1
    assert [source.problem for source in summary.sources] == ["bad is on fire", ""]


def test_the_summary_says_what_of_a_source_was_not_read(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((48, 64), np.uint8))
    (tmp_path / "2.png").write_bytes(b"no picture")
    with feed_of(open_source(str(tmp_path)), DrawnSource(10)) as feed:
        tally, _ = read(feed)
        summary = summarize(feed, "source", tally, None, None)
    hurt, whole = summary.sources
    assert hurt.frames == 1 and hurt.problem.startswith("1 cannot be read: ") and "2.png" in hurt.problem
    assert whole.problem == ""


def test_when_all_sources_fail_that_is_the_end() -> None:
    one, other = FailingSource(0, name="one"), FailingSource(0, name="other")
    with feed_of(one, other) as feed, pytest.raises(SourceError, match="is on fire"):
        read(feed)


def test_a_defect_in_a_source_is_never_passed_over() -> None:
    class Defect(DrawnSource):
        def read(self, timeout: float) -> Frame | None:
            raise ZeroDivisionError

    with feed_of(Defect(name="defect"), DrawnSource(None, live=True)) as feed, pytest.raises(ZeroDivisionError):
        read(feed, seconds=20)


def test_a_frame_that_waits_at_the_end_is_counted() -> None:
    with feed_of(DrawnSource(5, name="one"), DrawnSource(5, name="two")) as feed:
        while any(channel.frame is None for channel in feed.channels):
            feed.changed.acquire()
            for channel in feed.channels:
                channel.wanted = channel.frame is None
            feed.changed.notify_all()
            feed.changed.release()
            time.sleep(0.01)
        feed.close()
        assert [drops.at_end for drops in feed.drops().values()] == [1, 1]


def test_visitors_come_and_go_and_are_counted_together() -> None:
    coming = [[DrawnSource(3, name="browser://1"), DrawnSource(4, name="browser://2")]]
    feed = Feed([], lambda: coming.pop() if coming else [])
    tally = read(feed, seconds=0.5)[0]
    assert not feed.ended
    assert feed.channels == []
    assert {name: counts.frames for name, counts in tally.sources.items()} == {"browser://": 7}
    assert list(feed.drops()) == ["browser://"]
    feed.close()


def test_the_window_shows_the_source_that_was_chosen(tmp_path: object) -> None:
    class Chosen(Window):
        def __init__(self) -> None:
            super().__init__(tmp_path, sources=["small", "large"])  # type: ignore[arg-type]
            self.shapes: list[tuple[int, ...]] = []

        def show(self, picture: object) -> None:
            self.shapes.append(picture.shape)  # type: ignore[attr-defined]
            if len(self.shapes) == 3:
                self.on_key(ord("n"))

        def listen(self, milliseconds: int) -> None:
            pass

    window = Chosen()
    with feed_of(DrawnSource(9, name="small"), DrawnSource(9, name="large", sizes=((320, 240),))) as feed:
        run(feed, stand_ins(), Outputs(window=window), window.controls, Limits(), lambda: False)
    assert set(window.shapes[:3]) == {(120, 160, 3)}
    assert set(window.shapes[3:]) == {(240, 320, 3)}
