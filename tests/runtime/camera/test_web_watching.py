"""Those who watch the page: frames, controls, and that nobody is in another's way."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from runtime.camera.frame import Frame
from tests.runtime.camera.page import Gate, Running, hasten, live, running, until
from tests.runtime.camera.stand_ins import DrawnSource

POLITE = "there is no such source"


class NoisySource(DrawnSource):
    """Its pictures are large as JPEG, too."""

    def __init__(self) -> None:
        super().__init__(None, live=True, fps=10, name="noisy")
        self.picture = np.random.default_rng(0).integers(100, 256, (480, 640, 3), np.uint8)

    def read(self, timeout: float) -> Frame | None:
        frame = super().read(timeout)
        return frame and replace(frame, image=self.picture)


@pytest.fixture(scope="module")
def page() -> Iterator[Running]:
    """Of two cameras, the second of larger pictures, and a video that is over."""
    large = DrawnSource(None, live=True, fps=20, name="large", sizes=((1600, 900),))
    with running(live("small"), large, DrawnSource(3, name="video")) as it:
        yield it


def test_a_frame_is_told_of_and_then_its_picture_comes(page: Running) -> None:
    with page.view() as viewer:
        text, picture = viewer.frame()
        assert (text["source"], text["width"], text["height"], text["region"]) == (0, 160, 120, None)
        assert picture.shape == (120, 160, 3)
        (digit,) = text["digits"]
        x, y, width, height = digit["box"]
        assert picture[y + height // 2, x + width // 2].max() < 60  # it is the very frame that was read
        assert picture[y + height // 2, (x + 2 * width) % 160].min() > 160
        assert (digit["label"], digit["probability"]) == ("7", 0.9)
        assert text["numbers"] == [{"text": "7", "box": digit["box"], "tracks": [digit["track"]]}]
        assert text["refused"] == [[1, 2, 3, 4]]
        assert text["age_ms"] >= 0
        later, _ = viewer.frame()
        assert later["frame"] > text["frame"]


def test_no_frame_comes_that_was_not_asked_for(page: Running) -> None:
    with page.view() as viewer:
        for _ in range(3):
            assert viewer.receive()["type"] == "stats"
        viewer.say("next")
        viewer.say("next")  # one is on its way already
        viewer.until("frame")
        before = page.frames
        until(lambda: page.frames > before + 10, "frames that nobody asked for")


def test_a_large_picture_is_made_smaller_and_its_boxes_are_not(page: Running) -> None:
    with page.view() as viewer:
        viewer.say("watch", source=1)
        text, picture = viewer.frame()
        while text["source"] != 1:
            text, picture = viewer.frame()
        assert (text["width"], text["height"]) == (1600, 900)
        assert picture.shape == (720, 1280, 3)
        assert text["digits"][0]["box"][1] == 30


def test_who_waits_for_a_source_that_is_over_may_watch_another(page: Running) -> None:
    with page.view() as viewer:
        viewer.say("watch", source=2)
        viewer.stats(lambda stats: stats["sources"][2]["state"] == "ended")
        text, _ = viewer.frame()
        while text["source"] != 2:
            text, _ = viewer.frame()
        assert text["frame"] == 2  # its last one
        viewer.say("next")
        viewer.say("watch", source=0)
        text = viewer.until("frame")  # for the one that was asked for before
        assert text["source"] == 0


def test_while_the_reading_is_paused_who_comes_late_sees_the_latest_frame() -> None:
    with running(live("left"), live("right")) as it:
        until(lambda: len(it.page.latest) == 2)
        it.page.controls.paused = True
        with it.view() as viewer:
            text, picture = viewer.frame()
            viewer.say("watch", source=1)
            other, _ = viewer.frame()
        assert (text["source"], picture.shape, other["source"]) == (0, (120, 160, 3), 1)
        assert it.ask("/snapshot.png").status == 200
        frames = it.frames
        time.sleep(0.3)
        assert it.frames == frames


def test_statistics_say_how_each_source_does(page: Running) -> None:
    with page.view() as viewer:
        stats = viewer.stats(lambda stats: min(source["frames"] for source in stats["sources"][:2]) > 5)
    small, large, video = stats["sources"]
    assert (small["name"], small["index"], small["viewable"], small["live"]) == ("small", 0, True, True)
    assert (small["state"], small["size"], small["error"]) == ("streaming", [160, 120], "")
    assert set(small["dropped"]) == {"replaced", "too_old", "at_end"}
    assert small["fps"] > 0 and small["latency_ms"] > 0 and small["reconnects"] == 0
    assert (large["index"], large["size"]) == (1, [1600, 900])
    assert (video["state"], video["live"], video["frames"]) == ("ended", False, 3)
    assert stats["uptime_s"] > 0
    assert {"age", "find", "infer", "total"} <= set(stats["latency_ms"])
    assert set(stats["latency_ms"]["total"]) == {"p50", "p99", "count"}


def test_what_one_viewer_changes_all_see(page: Running) -> None:
    with page.view() as one, page.view() as other:
        one.say("threshold", value=0.75)
        other.stats(lambda stats: stats["threshold"] == 0.75)
        one.say("region", source=0, region=[4, 8, 100, 90])
        other.stats(lambda stats: stats["sources"][0]["region"] == [4, 8, 100, 90])
        text, _ = other.frame()
        while text["region"] is None:
            text, _ = other.frame()
        assert text["region"] == [4, 8, 100, 90]
        other.say("region", source=0, region=None)
        one.stats(lambda stats: stats["sources"][0]["region"] is None)
        one.say("pause", paused=True)
        other.stats(lambda stats: stats["paused"])
        until(lambda: page.page.controls.paused)
        other.say("pause", paused=False)
        one.stats(lambda stats: not stats["paused"])
        one.frame()
    assert page.page.controls.threshold == 0.75


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"type": "watch", "source": 4}, POLITE),
        ({"type": "watch", "source": -1}, POLITE),
        ({"type": "watch", "source": int("9" * 4000)}, POLITE),
        ({"type": "region", "source": 9, "region": None}, "no source 9"),
        ({"type": "region", "source": 0, "region": [0, 0, 7, 100]}, "8 pixels"),
        ({"type": "region", "source": 0, "region": [-1, 0, 70, 100]}, "within the frame"),
        ({"type": "region", "source": 0, "region": [0, 0, 10**30, 100]}, "within the frame"),
        ({"type": "threshold", "value": 1.5}, "0 to 1"),
        ({"type": "threshold", "value": -0.1}, "0 to 1"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(asked: dict[str, object], word: str, page: Running) -> None:
    before = dict(page.page.controls.regions)
    with page.view() as viewer:
        viewer.send(json.dumps(asked))
        assert word in viewer.until("error")["message"]
    assert page.page.controls.regions == before


GARBAGE = [
    "",
    "no JSON",
    "[]",
    "null",
    "[" * 4000,
    '{"type":"next","x":' + "[" * 3900,
    '{"a":' * 700,
    '{"type":"unknown"}',
    '{"type":"pause","paused":"yes"}',
    '{"type":"threshold","value":NaN}',
    '{"type":"threshold","value":1e999}',
    '{"type":"region","source":0,"region":[1,2,3]}',
    '{"type":"region","source":0,"region":[1.5,2,30,40]}',
    b"\x00\xff\xfe binary",
    b"",
]


def test_garbage_changes_nothing_and_who_sends_much_of_it_is_sent_away(page: Running) -> None:
    before = page.page.controls.threshold, page.page.controls.paused
    with page.view() as viewer:
        for data in GARBAGE:
            viewer.send(data)
        viewer.frame()
        for data in GARBAGE:
            viewer.send(data)
        assert viewer.ended() == 1008
    assert (page.page.controls.threshold, page.page.controls.paused) == before
    with page.view() as viewer:
        viewer.send("x" * 5000)
        assert viewer.ended() in (1009, None)
    assert page.ask("/healthz").status == 200


def test_a_viewer_that_does_not_read_is_dropped_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch, viewers__SLOW_S=3)
    with running(NoisySource()) as page, page.view() as deaf, page.view() as viewer:
        process = page.process
        stream = deaf.connection.protocol.stream
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        viewer.frame()
        while "toolkit_camera_viewers 1.0" not in page.ask("/metrics").text:
            for _ in range(5):
                if not stream.closed():
                    deaf.connection.protocol._write_frame(True, 1, b'{"type":"next"}')
                viewer.frame()  # each comes
        assert page.process is process


def test_a_picture_of_one_row_is_shown() -> None:
    thin = DrawnSource(None, live=True, fps=20, name="thin", sizes=((4000, 1), (160, 120)))
    with running(thin) as it, it.view() as viewer:
        assert {viewer.frame()[1].shape for _ in range(12)} >= {(1, 1280, 3)}


def test_while_the_reading_stands_still_viewers_are_told_nothing_new_and_the_end_is_soon() -> None:
    gate = Gate()
    with running(live(), reader=gate) as it, it.view() as viewer:
        viewer.frame()
        gate.open.clear()
        viewer.say("next")
        viewer.receive()
        gate.open.set()
        viewer.frame()
        it.stop()
        assert viewer.until("bye")["reason"] == "the toolkit has ended"
        assert viewer.ended() == 1001
