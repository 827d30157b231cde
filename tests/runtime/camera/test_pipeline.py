"""From a source to all outputs, with stand-ins for what reads."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runtime.camera.controls import Controls
from runtime.camera.feed import Feed
from runtime.camera.frame import Box, Frame, Picture, Source, State
from runtime.camera.outputs.lines import JsonLines
from runtime.camera.outputs.outputs import Outputs
from runtime.camera.outputs.recording import Recording
from runtime.camera.outputs.window import Window
from runtime.camera.pipeline import Limits, run
from runtime.camera.stages import Follower, Stages
from runtime.camera.summary import Dropped, SourceSummary, Summary, summarize
from runtime.errors import InputError
from tests.runtime.camera.stand_ins import SIDE, DrawnSource, SquareReader, moving_picture, stand_ins


@dataclass
class Run:
    """What came of a run."""

    summary: Summary
    said: list[str]
    lines: list[dict[str, object]] = field(default_factory=list)


def never() -> bool:
    return False


def read(
    source: DrawnSource,
    folder: Path,
    limits: Limits | None = None,
    *,
    reader: SquareReader | None = None,
    window: Window | None = None,
    recording: Recording | None = None,
    stop: Callable[[], bool] = never,
    region: Box | None = None,
    every_frame: bool = False,
) -> Run:
    lines, said, feed = JsonLines(folder / "lines.jsonl"), list[str](), Feed([source])
    controls = window.controls if window else Controls(region=region)
    outputs = Outputs(lines, recording, window, say=said.append)
    try:
        ended_by, tally = run(feed, stand_ins(reader, every_frame), outputs, controls, limits or Limits(), stop)
    finally:
        feed.close()
    if recording:
        recording.close()
    lines.close()
    text = (folder / "lines.jsonl").read_text() if lines.written else ""
    summary = summarize(feed, ended_by, tally, lines, recording)
    return Run(summary, said, [json.loads(line) for line in text.splitlines()])


class PressedWindow(Window):
    """A window without a display, whose keys are pressed at given pictures."""

    def __init__(
        self, folder: Path, keys: dict[int, str], region: Box | None = None, sources: Sequence[str] = ("drawn",)
    ) -> None:
        super().__init__(folder, Controls(region=region), sources)
        self.keys, self.shown, self.pictures, self.waits = keys, 0, list[Picture](), 0
        self.changes: dict[int, Callable[[], None]] = {}

    def show(self, picture: Picture) -> None:
        self._picture = picture
        self.pictures.append(picture)
        self.changes.get(self.shown, lambda: None)()
        for key in self.keys.get(self.shown, ""):
            self.on_key(ord(key))
        self.shown += 1

    def listen(self, milliseconds: int) -> None:
        self.waits += 1


def test_every_frame_of_a_video_is_read_in_order(tmp_path: Path) -> None:
    done = read(DrawnSource(10), tmp_path)
    assert [line["frame"] for line in done.lines] == list(range(10))
    first = done.lines[0]
    assert first["digits"] == [{"box": [10, 30, SIDE, SIDE], "label": "7", "probability": 0.9, "track": 1}]
    assert first["refused"] == 1
    assert first["numbers"] == [{"text": "7", "box": [10, 30, SIDE, SIDE], "tracks": [1]}]
    summary = done.summary
    assert summary.ended_by == "source"
    assert (summary.frames, summary.lines, summary.recording) == (10, 10, None)
    assert summary.sources == (SourceSummary("drawn", 10, 0, Dropped(0, 0, 0), 0, 10, 10, ""),)


def test_times_of_every_stage_are_in_the_summary(tmp_path: Path) -> None:
    times = read(DrawnSource(5), tmp_path).summary.latency_ms
    assert list(times) == ["age", "watch", "find", "crop", "infer", "choose", "track", "show", "total"]
    assert times["infer"].p50 == pytest.approx(3, rel=0.03)
    assert all(0 < stage.p50 <= stage.p99 and stage.count == 5 for stage in times.values())


def test_what_does_not_change_is_not_read_again(tmp_path: Path) -> None:
    reader = SquareReader()
    done = read(DrawnSource(20, still=True), tmp_path, reader=reader)
    source, times = done.summary.sources[0], done.summary.latency_ms
    assert source.frames == 20 == source.recalled + reader.batches
    assert source.recalled >= 15
    assert [line["recalled"] for line in done.lines] == [False] * reader.batches + [True] * source.recalled
    assert len({str(line["digits"]) + str(line["refused"]) for line in done.lines}) == 1
    assert (times["watch"].count, times["infer"].count, times["total"].count) == (20, reader.batches, 20)


def test_every_frame_is_read_where_that_is_asked_for(tmp_path: Path) -> None:
    reader = SquareReader()
    done = read(DrawnSource(20, still=True), tmp_path, reader=reader, every_frame=True)
    assert (done.summary.sources[0].recalled, reader.batches) == (0, 20)
    assert "watch" not in done.summary.latency_ms


def test_pictures_of_a_folder_are_all_read_even_the_same_ones(tmp_path: Path) -> None:
    reader = SquareReader()
    read(DrawnSource(20, still=True, names=["a.png", "b.png"]), tmp_path, reader=reader)
    assert reader.batches == 20


def test_another_threshold_or_region_is_read_at_once(tmp_path: Path) -> None:
    reader = SquareReader()
    window = PressedWindow(tmp_path, {})
    window.changes = {10: lambda: setattr(window.controls, "threshold", 0.25)}
    window.changes[15] = lambda: setattr(window.controls, "region", (5, 25, 100, 60))
    done = read(DrawnSource(20, still=True), tmp_path, reader=reader, window=window)
    recalled = [line["recalled"] for line in done.lines]
    assert recalled[9:12] == [True, True, False]
    assert recalled[14:17] == [True, True, False]
    assert reader.shapes[-1] == (60, 100, 3)


def test_a_slow_reader_drops_frames_of_a_camera_and_none_of_a_video(tmp_path: Path) -> None:
    live = read(DrawnSource(30, live=True, fps=100), tmp_path, reader=SquareReader(0.05)).summary
    dropped = live.sources[0].dropped
    assert dropped.replaced > 0
    assert live.frames + dropped.replaced + dropped.too_old == 30
    video = read(DrawnSource(12), tmp_path, reader=SquareReader(0.02)).summary
    assert (video.frames, video.sources[0].dropped.replaced) == (12, 0)


def test_a_frame_that_is_too_old_is_never_read(tmp_path: Path) -> None:
    reader = SquareReader()
    done = read(DrawnSource(10, live=True, fps=200, age_s=2), tmp_path, Limits(max_age_s=0.5), reader=reader)
    assert (done.summary.frames, reader.shapes, done.lines) == (0, [], [])
    dropped = done.summary.sources[0].dropped
    assert dropped.too_old + dropped.replaced == 10
    assert read(DrawnSource(10, age_s=2), tmp_path).summary.frames == 10  # a video has no age


def test_it_ends_after_so_many_frames_or_seconds(tmp_path: Path) -> None:
    frames = read(DrawnSource(None), tmp_path, Limits(frames=4)).summary
    assert (frames.ended_by, frames.frames) == ("frames", 4)
    seconds = read(DrawnSource(None, live=True), tmp_path, Limits(seconds=0.3)).summary
    assert seconds.ended_by == "seconds"
    assert seconds.seconds >= 0.3


def test_a_wish_to_stop_ends_it(tmp_path: Path) -> None:
    stopped = threading.Event()
    threading.Timer(0.3, stopped.set).start()
    done = read(DrawnSource(None, live=True), tmp_path, stop=stopped.is_set)
    assert done.summary.ended_by == "signal"
    assert done.summary.frames == len(done.lines) > 0


def test_only_the_region_is_read_and_boxes_are_those_of_the_frame(tmp_path: Path) -> None:
    reader = SquareReader()
    done = read(DrawnSource(1), tmp_path, region=(5, 25, 60, 40), reader=reader)
    assert reader.shapes == [(40, 60, 3)]
    assert done.lines[0]["digits"][0]["box"] == [10, 30, SIDE, SIDE]  # type: ignore[index]


def test_a_region_that_reaches_beyond_the_frame_is_cut_and_one_outside_is_an_error(tmp_path: Path) -> None:
    reader = SquareReader()
    read(DrawnSource(1), tmp_path, region=(100, 100, 500, 500), reader=reader)
    assert reader.shapes == [(20, 60, 3)]
    with pytest.raises(InputError, match="160x120"):
        read(DrawnSource(1), tmp_path, region=(160, 0, 10, 10))


def test_a_region_outside_of_a_source_whose_first_frame_comes_later_is_an_error_too() -> None:
    first, second = DrawnSource(None, live=True, name="first", sizes=((640, 480),)), DrawnSource(2, name="second")
    late = threading.Event()
    read_first, second.read = second.read, lambda timeout: read_first(timeout) if late.wait(timeout) else None  # type: ignore[method-assign]
    threading.Timer(0.3, late.set).start()
    feed = Feed([first, second])
    with pytest.raises(InputError, match="160x120"):
        run(feed, stand_ins(), Outputs(), Controls(region=(400, 300, 100, 100)), Limits(), never)
    feed.close()


def test_of_a_visitor_whose_frame_lies_outside_of_the_region_all_is_read() -> None:
    reader, visitors = SquareReader(), [DrawnSource(2, live=True, name="browser://1")]
    feed = Feed([], lambda: [visitors.pop()] if visitors else [])
    controls = Controls(region=(400, 300, 100, 100))
    ended_by, _ = run(feed, stand_ins(reader, every_frame=True), Outputs(), controls, Limits(frames=1), never)
    feed.close()
    assert (ended_by, reader.shapes[0]) == ("frames", (120, 160, 3))


def test_names_that_are_no_utf_8_are_told_as_well_as_can_be(tmp_path: Path) -> None:
    done = read(DrawnSource(2, names=("folder\udcff/a.png",)), tmp_path)
    assert [line["source"] for line in done.lines] == ["folder?/a.png"] * 2


def test_a_source_that_shrinks_below_the_region_is_read_whole(tmp_path: Path) -> None:
    reader = SquareReader()
    source = DrawnSource(2, sizes=((320, 240), (80, 60)))
    read(source, tmp_path, region=(200, 100, 50, 50), reader=reader)
    assert reader.shapes == [(50, 50, 3), (60, 80, 3)]


def test_what_happens_to_the_source_is_said_once(tmp_path: Path) -> None:
    done = read(DrawnSource(100, live=True, gaps=(3,)), tmp_path, Limits(frames=6))
    states = [line.split(": ")[1] for line in done.said]
    assert states == ["streaming", "lost", "streaming"]
    assert done.said[1] == "drawn: lost: no frame for 2.0 s, trying again in 0.8 s"
    assert done.summary.sources[0].reconnects == 1


def test_keys_of_the_window(tmp_path: Path) -> None:
    """Help at the third picture, a pause of three pictures from the fifth on, a snapshot, and q."""
    window = PressedWindow(tmp_path / "snaps", {2: "h", 4: " ", 7: " ", 9: "s", 11: "q"})
    done = read(DrawnSource(None), tmp_path, window=window)
    assert done.summary.ended_by == "key"
    assert len(window.pictures) == 12
    assert done.summary.frames == 12 - 3
    assert (window.pictures[5] == window.pictures[6]).all()
    assert len(list((tmp_path / "snaps").iterdir())) == 1
    assert any(line.startswith("wrote ") for line in done.said)


def test_the_region_of_the_window_counts(tmp_path: Path) -> None:
    window, reader = PressedWindow(tmp_path, {3: "c"}, region=(0, 0, 100, 80)), SquareReader()
    read(DrawnSource(6), tmp_path, window=window, reader=reader)
    assert reader.shapes == [(80, 100, 3)] * 4 + [(120, 160, 3)] * 2


def test_the_window_tells_of_a_source_that_has_no_frame_yet(tmp_path: Path) -> None:
    window = PressedWindow(tmp_path, {})
    done = read(DrawnSource(2, live=True, gaps=(0,), gap_s=0.5), tmp_path, window=window)
    assert len(window.pictures) > done.summary.frames
    assert window.pictures[0].shape == (120, 160, 3)


@pytest.mark.parametrize("second", [{"count": 3}, {"gaps": range(1, 100), "gap_s": 0.1}])
def test_the_window_listens_and_shows_the_last_frame_of_a_source_that_gives_none_while_another_does(
    second: dict[str, Any], tmp_path: Path
) -> None:
    """After n, keys are heard, and what is shown is of the other size."""
    window = PressedWindow(tmp_path, {2: "n", 20: "q"}, sources=["one", "other"])
    other = DrawnSource(**{"count": None, "live": True, "name": "other", "sizes": ((100, 80),), **second})
    feed = Feed([DrawnSource(None, live=True, name="one"), other])
    ended_by, _ = run(feed, stand_ins(), Outputs(window=window), window.controls, Limits(seconds=60), never)
    feed.close()
    assert ended_by == "key"
    assert {picture.shape[:2] for picture in window.pictures[3:]} == {(80, 100)}


def test_what_is_recorded_has_the_drawing_on_it(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", DrawnSource(), encoder=Collector())
    done = read(DrawnSource(3), tmp_path, recording=recording)
    pictures = Collector.latest
    assert len(pictures) == 3
    assert (pictures[1] != moving_picture(1)).any()
    assert done.summary.recording and (done.summary.recording.frames, done.summary.recording.missed) == (3, 0)


def test_what_is_recorded_of_a_source_that_is_lost_counts_as_no_frame(tmp_path: Path) -> None:
    source = DrawnSource(6, live=True, gaps=range(2, 5), gap_s=0.3)
    done = read(source, tmp_path, recording=Recording(tmp_path / "out.mp4", source, encoder=Collector()))
    recorded = done.summary.recording
    assert recorded and recorded.frames + recorded.missed == done.summary.frames < len(Collector.latest)


class Collector:
    """An encoder that keeps what it is given."""

    latest: list[Picture] = []  # noqa: RUF012

    def __call__(self, path: Path, size: tuple[int, int], fps: float) -> Collector:
        path.write_bytes(b"video")
        Collector.latest = []
        return self

    def write(self, image: Picture) -> None:
        Collector.latest.append(image)

    def finish(self, patience: float) -> bool:
        return True


class BrokenEncoder(Collector):
    """One whose disk is full after two pictures."""

    def write(self, image: Picture) -> None:
        super().write(image)
        if len(Collector.latest) > 2:
            raise OSError("No space left on device")


def test_a_recording_that_fails_does_not_end_the_reading(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", DrawnSource(), encoder=BrokenEncoder())
    done = read(DrawnSource(40), tmp_path, recording=recording)
    assert done.summary.frames == len(done.lines) == 40
    assert done.said.count("the recording has stopped: No space left on device") == 1
    assert done.summary.recording and done.summary.recording.problem == "No space left on device"
    assert done.summary.recording.missed == 38


def test_a_reader_of_the_lines_that_leaves_ends_it() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    said: list[str] = []
    outputs, feed = Outputs(JsonLines(write_end), say=said.append), Feed([DrawnSource(None)])
    ended_by, tally = run(feed, stand_ins(), outputs, Controls(), Limits(), never)
    feed.close()
    assert (ended_by, tally.frames) == ("reader", 1)
    assert not any("no more lines" in line for line in said)
    os.close(write_end)


def test_a_full_disk_for_the_lines_does_not_end_the_reading() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    said: list[str] = []
    outputs = Outputs(JsonLines(Path("/dev/full")), say=said.append)
    ended_by, tally = run(Feed([DrawnSource(20)]), stand_ins(), outputs, Controls(), Limits(), never)
    assert (ended_by, tally.frames) == ("source", 20)
    assert said.count("no more lines are written: No space left on device") == 1


def test_pictures_that_do_not_belong_together_are_not_followed() -> None:
    made: list[int] = []
    stages = stand_ins()

    def make(source: Source) -> Follower:
        made.append(1)
        return stages.make_tracker(source)

    feed = Feed([DrawnSource(6, names=("a.png", "b.png"))])
    run(feed, Stages(stages.reader, make, stages.read_numbers), Outputs(), Controls(), Limits(), never)
    assert len(made) == 6


def test_a_source_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    class Failing(DrawnSource):
        def read(self, timeout: float) -> Frame | None:
            raise InputError("no camera", "plug one in")

    with pytest.raises(InputError, match="no camera"):
        read(Failing(), tmp_path)
    assert not (tmp_path / "lines.jsonl").exists()


def test_a_source_that_is_streaming_but_silent_keeps_the_window_alive(tmp_path: Path) -> None:
    class Silent(DrawnSource):
        def read(self, timeout: float) -> Frame | None:
            self.state = State.STREAMING
            time.sleep(0.01)
            return None

    window = PressedWindow(tmp_path, {})
    read(Silent(live=True), tmp_path, Limits(seconds=0.2), window=window)
    assert window.waits > 1
