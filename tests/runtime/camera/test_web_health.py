"""Health, readiness, metrics, snapshots and the list of sources: what programs ask for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.camera.frame import Frame, State
from runtime.camera.web.process import Served
from runtime.errors import SourceError
from tests.runtime.camera.page import BEARER, TOKEN, Gate, Running, hasten, live, running, until
from tests.runtime.camera.stand_ins import DrawnSource


class LostSource(DrawnSource):
    """One that is lost while it is told to be, and fails for good when it is told so."""

    def __init__(self, name: str) -> None:
        super().__init__(None, live=True, fps=20, name=name)
        self.lost, self.broken = threading.Event(), threading.Event()

    def read(self, timeout: float) -> Frame | None:
        if self.broken.is_set():
            raise SourceError("its \udcff cable is cut", "mend it")
        if self.lost.wait(0):
            self.state, self.status = State.LOST, "no frame for 2.0 s"
            threading.Event().wait(0.05)
            return None
        return super().read(timeout)


@pytest.fixture(scope="module")
def page() -> Iterator[Running]:
    with running(live("one"), live('two "\\\n\udcff')) as it:
        until(lambda: it.ask("/readyz").status == 200)
        yield it


def test_health_and_readiness(page: Running) -> None:
    for path in ("/healthz", "/readyz"):
        until(lambda path=path: page.ask(path).status == 200, path)
        answer = page.ask(path)
        assert (answer.text, answer.headers["Content-Type"]) == ("ok\n", "text/plain; charset=utf-8")


def test_it_is_not_ready_while_a_source_is_lost_or_broken() -> None:
    source = LostSource("far")
    with running(live("near"), source) as it:
        until(lambda: it.ask("/readyz").status == 200, "all is well")
        source.lost.set()
        until(lambda: it.ask("/readyz").status == 503, "the loss is seen")
        assert it.ask("/readyz").text == "1 of 2 sources give no frames\n"
        assert it.ask("/healthz").status == 200  # another process would not bring it back
        assert value(it, "toolkit_camera_source_up", source="far") == 0
        assert value(it, "toolkit_camera_source_up", source="near") == 1
        source.lost.clear()
        until(lambda: it.ask("/readyz").status == 200, "all is well again")
        assert value(it, "toolkit_camera_reconnects_total", source="far") == 1
        source.broken.set()
        with it.view() as viewer:
            broken = viewer.stats(lambda stats: stats["sources"][1]["error"])["sources"][1]
            assert broken["error"] == "its ? cable is cut"
            viewer.frame()  # of the other one


def test_a_reading_that_stands_still_is_neither_alive_nor_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch, desk__LAST_SIGN_S=2, pages__SNAPSHOT_S=1)
    gate = Gate()
    with running(live(), reader=gate) as it:
        until(lambda: it.ask("/readyz").status == 200)
        gate.open.clear()
        until(lambda: it.ask("/healthz").status == 503, "it is noticed")
        assert it.ask("/healthz").text == it.ask("/readyz").text == "the reading does not go on\n"
        assert it.ask("/readyz").status == 503
        assert it.ask("/snapshot.png").status == 503
        gate.open.set()
        until(lambda: it.ask("/readyz").status == 200, "it goes on")
        until(lambda: it.ask("/snapshot.png").status == 200, "nothing is left of those who waited")


def value(it: Running, name: str, **labels: str) -> float:
    """Of the one sample of a metric that has these labels."""
    (found,) = [
        sample.value
        for family in text_string_to_metric_families(it.ask("/metrics").text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found


def test_metrics_are_understood_and_add_up(page: Running) -> None:
    every = ("one", 'two "\\\n?')
    until(lambda: min(value(page, "toolkit_camera_frames_read_total", source=name) for name in every) > 0)
    text = page.ask("/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)
    names = {sample.labels["source"] for sample in samples if "source" in sample.labels}
    assert names == set(every)
    for name in names:
        source = ("source", name)
        reasons = ("replaced", "too_old", "at_end")
        dropped = sum(found["toolkit_camera_frames_dropped_total", ("reason", why), source] for why in reasons)
        read = found["toolkit_camera_frames_read_total", source]
        assert found["toolkit_camera_frames_total", source] == read + dropped
        assert found["toolkit_camera_digits_total", source] == found["toolkit_camera_refused_total", source] == read
        assert found["toolkit_camera_frames_recalled_total", source] == 0  # the square moves
        assert found["toolkit_camera_source_up", source] == 1
    read = sum(found["toolkit_camera_frames_read_total", ("source", name)] for name in names)
    assert found["toolkit_camera_inferences_total",] == read
    stages = {sample.labels["stage"] for sample in samples if "stage" in sample.labels}
    assert {"age", "find", "infer", "track", "show", "total"} <= stages
    for stage in stages:
        buckets = [
            (float(sample.labels["le"]), sample.value)
            for sample in samples
            if sample.name == "toolkit_camera_stage_seconds_bucket" and sample.labels["stage"] == stage
        ]
        counts = [count for _, count in sorted(buckets)]
        assert counts == sorted(counts)
        assert counts[-1] == found["toolkit_camera_stage_seconds_count", ("stage", stage)] == read
        assert found["toolkit_camera_stage_seconds_sum", ("stage", stage)] >= 0
    assert found["toolkit_camera_threshold",] == 0.5
    assert found["toolkit_camera_paused",] == found["toolkit_camera_viewers",] == 0


def test_metrics_of_the_process_are_of_the_one_that_reads(page: Running) -> None:
    with open("/proc/self/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(page.ask("/metrics").text)
        for sample in family.samples
        if sample.name.startswith("process_")
    }
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= set(found)
    with open("/proc/stat", encoding="ascii") as file:
        (boot,) = [int(line.split()[1]) for line in file if line.startswith("btime")]
    assert abs(found["process_start_time_seconds"] - (boot + ticks / os.sysconf("SC_CLK_TCK"))) < 2


def test_a_snapshot_is_the_frame_with_what_was_read_on_it(page: Running) -> None:
    for path in ("/snapshot.png", "/snapshot.png?source=1"):
        answer = page.ask(path)
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None and picture.shape == (120, 160, 3)
        assert np.ptp(picture, axis=2).max() > 50  # boxes have colours, and the frame has none
    for source in ("2", "-1", "x", "", "1e0", "0000", "%ff", "9" * 300):
        assert page.ask(f"/snapshot.png?source={source}").status in (400, 404)


def test_the_sources_have_names(page: Running) -> None:
    assert page.ask("/sources.json").text == '{"sources": ["one", "two \\"\\\\\\n?"], "browser": false}'
    assert page.ask("/visit").status == 404
    assert page.ask("/visit/socket").status == 404


def test_without_a_page_there_are_health_and_metrics_alone() -> None:
    with running(live(), served=Served(page=False, token=TOKEN)) as it:
        until(lambda: it.ask("/readyz").status == 200)
        assert it.ask("/healthz").status == 200
        assert it.ask("/metrics").status == 401
        assert "toolkit_camera_frames_total" in it.ask("/metrics", **BEARER).text
        for path in ("/", "/login", "/socket", "/snapshot.png", "/sources.json", "/static/style.css", "/visit"):
            assert it.ask(path, **BEARER).status == 404
