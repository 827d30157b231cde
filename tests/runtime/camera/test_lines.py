"""A line of JSON for each frame, whatever is at the other end."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.camera.frame import Frame, Number, Tracked
from runtime.camera.outputs.lines import STALLED, UNREAD, JsonLines, utc_text
from runtime.camera.outputs.seen import Seen

FULL = Path("/dev/full")


def seen(index: int = 0) -> Seen:
    frame = Frame(np.zeros((8, 8, 3), np.uint8), index, time.monotonic_ns(), time.time_ns(), "drawn")
    digits = (Tracked((1, 2, 3, 4), "4", 0.987654321, 5), Tracked((5, 2, 3, 4), "0", 1.0, 6))
    return Seen(frame, digits, (Number("40", (1, 2, 7, 4), (5, 6)),), ((0, 0, 1, 1),) * 3)


def test_a_line_says_all_that_was_read(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "out.jsonl")
    lines.write(seen(7))
    lines.close()
    line = json.loads((tmp_path / "out.jsonl").read_text())
    assert 0 <= line.pop("age_ms") < 60_000
    assert abs(line.pop("monotonic_ns") - time.monotonic_ns()) < 60e9
    assert line.pop("utc").endswith("Z")
    assert line == {
        "source": "drawn",
        "frame": 7,
        "digits": [
            {"box": [1, 2, 3, 4], "label": "4", "probability": 0.9877, "track": 5},
            {"box": [5, 2, 3, 4], "label": "0", "probability": 1.0, "track": 6},
        ],
        "refused": 3,
        "numbers": [{"text": "40", "box": [1, 2, 7, 4], "tracks": [5, 6]}],
        "recalled": False,
    }


def test_every_line_can_be_read_at_once(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "out.jsonl")
    for index in range(3):
        lines.write(seen(index))
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == index + 1 == lines.written


def test_a_name_that_is_no_utf_8_is_told_as_well_as_can_be(tmp_path: Path) -> None:
    lines, read = JsonLines(tmp_path / "out.jsonl"), seen()
    lines.write(replace(read, frame=replace(read.frame, source="pictures/\udcff.png")))
    lines.close()
    assert json.loads((tmp_path / "out.jsonl").read_text())["source"] == "pictures/?.png"


def test_a_pipe_is_waited_for_until_somebody_reads_it_or_it_is_to_end(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    tries = iter([False, False, True])
    given_up = JsonLines(fifo, lambda: next(tries))
    given_up.write(seen())
    assert (given_up.written, given_up.problem) == (0, UNREAD)
    given_up.close()

    lines, got = JsonLines(fifo), list[str]()
    writer = threading.Thread(target=lambda: [lines.write(seen(index)) for index in range(3)], daemon=True)
    writer.start()
    time.sleep(0.2)
    with fifo.open() as reader:
        writer.join(10)
        lines.close()
        got = reader.read().splitlines()
    assert [json.loads(line)["frame"] for line in got] == [0, 1, 2]


def test_times_are_exact_to_the_microsecond() -> None:
    assert utc_text(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456Z"
    assert utc_text(1_700_000_000_000_000_000) == "2023-11-14T22:13:20.000000Z"


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    JsonLines(tmp_path / "out.jsonl").close()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_left_is_noticed() -> None:
    read, write = os.pipe()
    os.close(read)
    lines = JsonLines(write)
    lines.write(seen())
    lines.write(seen())
    assert lines.gone and not lines.written
    os.close(write)


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_lines_with_a_reason() -> None:
    lines = JsonLines(FULL)
    lines.write(seen())
    lines.write(seen())
    assert (lines.gone, lines.written, lines.problem) == (False, 0, "No space left on device")
    lines.close()


def test_what_did_not_fit_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = JsonLines(tmp_path / "out.jsonl")
    lines.write(seen())
    whole, write, calls = (tmp_path / "out.jsonl").read_text(), os.write, []

    def full_after_a_few_bytes(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:10])

    monkeypatch.setattr(os, "write", full_after_a_few_bytes)
    lines.write(seen())
    assert lines.problem == "No space left on device"
    assert (tmp_path / "out.jsonl").read_text() == whole


def test_a_line_that_a_stalled_reader_did_not_take_is_not_counted() -> None:
    read, write = os.pipe()
    stopped, filled = threading.Event(), threading.Event()
    lines = JsonLines(write, stopped.is_set)

    def fill() -> None:
        while not lines.problem:
            lines.write(seen())
        filled.set()

    thread = threading.Thread(target=fill)
    thread.start()
    size = -1
    while size != lines.written:  # until the pipe is full
        size = lines.written
        time.sleep(0.3)
    assert not lines.problem  # a reader that takes its time is waited for
    stopped.set()
    assert filled.wait(60)
    assert lines.problem == STALLED and not lines.gone
    lines.write(seen())  # nothing follows half a line
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        whole = [line for line in pipe.read().splitlines(keepends=True) if line.endswith(b"\n")]
    assert len(whole) == lines.written
    for line in whole:
        json.loads(line)


def test_a_reader_that_still_reads_when_a_signal_comes_gets_its_line_whole() -> None:
    read, write = os.pipe()
    while select.select([], [write], [], 0)[1]:
        os.write(write, b" " * 4096)
    lines = JsonLines(write, lambda: True)
    thread = threading.Thread(target=os.read, args=(read, 1 << 20))
    threading.Timer(0.05, thread.start).start()
    lines.write(seen())
    assert (lines.written, lines.problem) in ((1, ""), (0, STALLED))  # the latter on a machine with much else to do
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read().count(b"\n") == lines.written
