"""Video files as sources: whole, cut off, damaged, and what is none."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.camera.frame import State
from runtime.camera.sources import process
from runtime.camera.sources.capture import as_bgr
from runtime.camera.sources.open import open_source
from runtime.camera.sources.video import VideoSource
from runtime.errors import SourceError
from tests.runtime.camera.streams import FPS, SIZE, ffmpeg, make_video, next_frame, read_all, shown


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 frames; not to be changed."""
    return make_video(tmp_path_factory.mktemp("video") / "digits.mp4", 25)


def refused(text: str | Path, *words: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        source = open_source(str(text), timeout_s=30)
        try:
            read_all(source)
        finally:
            source.close()
    assert caught.value.hint
    for word in (str(text), *words):
        assert word in caught.value.message
    return caught.value


def test_every_frame_of_a_file_comes_once_and_in_order(video: Path) -> None:
    source = open_source(str(video), fast=True, timeout_s=30)
    frames = read_all(source)
    assert [shown(frame) for frame in frames] == list(range(25))
    assert [frame.index for frame in frames] == list(range(25))
    assert {frame.source for frame in frames} == {str(video)}
    assert frames[0].image.shape == (120, 160, 3) and frames[0].image.dtype == np.uint8
    assert not source.live and source.dropped == 0 and source.reconnects == 0
    assert source.fps == FPS and source.size == (160, 120) and source.status == "25 frames"
    assert source.problem == ""


def test_whatever_a_decoder_gives_becomes_color_of_8_bits() -> None:
    deep = np.array([[0, 255, 256, 40_000, 65_535]], np.uint16)
    assert as_bgr(deep)[:, :, 0].tolist() == [[0, 0, 1, 156, 255]]
    for shape in ((4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)):
        assert as_bgr(np.full(shape, 7, np.uint8)).shape == (4, 6, 3)
    with pytest.raises(ValueError, match="2 channels: end the pipeline with ! videoconvert"):
        as_bgr(np.zeros((4, 6, 2), np.uint8))


def test_a_file_comes_at_its_own_pace_and_waits_for_a_slow_reader(video: Path) -> None:
    source = open_source(str(video), timeout_s=30)
    first = next_frame(source)
    assert source.status.startswith("160x120") and source.status.endswith("25 fps")
    time.sleep(0.5)
    frames = [first, *read_all(source)]
    assert [shown(frame) for frame in frames] == list(range(25))
    taken = [frame.monotonic_ns for frame in frames]
    assert taken[-1] - taken[1] > 0.5e9  # 23 intervals of 40 ms


def test_a_frame_that_is_not_due_yet_is_not_lost(video: Path) -> None:
    source = open_source(str(video), timeout_s=30)
    frames = []
    while source.state is not State.ENDED:
        if frame := source.read(0.001):
            frames.append(frame)
    assert [frame.index for frame in frames] == list(range(25))


@pytest.mark.parametrize("suffix", ["avi", "mkv", "ts"])
def test_a_file_that_was_cut_off_gives_what_is_whole(suffix: str, tmp_path: Path) -> None:
    whole = make_video(tmp_path / f"whole.{suffix}", 50)
    data = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(data[: len(data) // 2])
    source = open_source(str(cut), fast=True, timeout_s=30)
    frames = read_all(source)
    assert 5 < len(frames) < 50
    assert [shown(frame) for frame in frames[:5]] == list(range(5))
    if suffix != "ts":  # this one announces no number of frames
        assert "of 50: it is cut off or damaged" in source.problem == source.status
    source.close()


def test_a_file_that_is_damaged_in_the_middle_goes_on_behind_it(tmp_path: Path) -> None:
    data = bytearray(make_video(tmp_path / "whole.ts", 50).read_bytes())
    third = len(data) // 3
    data[third : third + 2000] = os.urandom(2000)
    (tmp_path / "hurt.ts").write_bytes(data)
    frames = read_all(open_source(str(tmp_path / "hurt.ts"), fast=True, timeout_s=30))
    assert len(frames) > 30 and shown(frames[-1]) == 49 % 25


def test_an_mp4_that_lost_its_end_is_refused(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:-1200])
    error = refused(cut, "moov atom not found")
    assert "copy it again" in error.hint


@pytest.mark.parametrize("name", ["video.ts", "it's [a:b], c;d\\e=1.ts"])
def test_an_interlaced_file_is_read_as_any_other(name: str, tmp_path: Path) -> None:
    fields = make_video(tmp_path / name, 25, SIZE, "-flags", "+ildct+ilme", "-x264opts", "tff=1")
    frames = read_all(open_source(str(fields), fast=True, timeout_s=30))
    assert [shown(frame) for frame in frames] == list(range(25))


def test_a_file_that_becomes_interlaced_goes_on(tmp_path: Path) -> None:
    mpeg2 = ["-c:v", "mpeg2video", "-q:v", "2"]
    parts = [
        make_video(tmp_path / "progressive.m2v", 10, SIZE, *mpeg2).read_bytes(),
        make_video(tmp_path / "interlaced.m2v", 10, SIZE, *mpeg2, "-flags", "+ildct+ilme").read_bytes(),
    ]
    (tmp_path / "both.m2v").write_bytes(b"".join(parts))
    frames = read_all(open_source(str(tmp_path / "both.m2v"), fast=True, timeout_s=30))
    assert [shown(frame) for frame in frames] == 2 * list(range(10))
    assert [frame.index for frame in frames] == list(range(20))


def test_a_codec_that_opencv_does_not_decode_is_told(video: Path, tmp_path: Path) -> None:
    av1 = tmp_path / "new.mp4"
    encode = ["-frames:v", "5", "-c:v", "libaom-av1", "-cpu-used", "8", str(av1)]
    subprocess.run([ffmpeg(), "-v", "error", "-i", str(video), *encode], check=True)
    if cv2.VideoCapture(str(av1), cv2.CAP_FFMPEG).read()[0]:
        pytest.skip("this OpenCV decodes AV1")
    error = refused(av1, "not one frame of", "could be decoded")
    assert "av01" in error.message.lower() and "-c:v libx264" in error.hint


def test_noise_is_refused(tmp_path: Path) -> None:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(50_000))
    refused(noise, "cannot be played")


def test_text_is_refused_whatever_its_name(tmp_path: Path) -> None:
    for name, text in (("notes.txt", "seven\n"), ("notes.mp4", "sieben, große\n" * 200)):
        (tmp_path / name).write_text(text)
        refused(tmp_path / name, "is a text file, not a video")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.mp4", "does not exist")
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", "is empty")
    os.mkfifo(tmp_path / "pipe.mp4")
    refused(tmp_path / "pipe.mp4", "is no file")
    error = refused("webcam", "does not exist")
    assert "synthetic://" in error.hint and "rtsp://" in error.hint


def test_an_error_of_the_capturing_process_is_told(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = "from runtime.camera.sources import child; child.as_bgr = lambda image: 1 / 0; child.main()"
    monkeypatch.setattr(process, "START", f"import sys; sys.path[:] = {{path!r}}; {fails}")
    refused(video, "ended with exit code 1: ZeroDivisionError: division by zero")


def test_a_crash_of_the_decoder_ends_the_file_and_not_the_reader(video: Path) -> None:
    source = VideoSource(str(video), fast=True, timeout_s=30)
    next_frame(source)
    assert source.process
    os.kill(source.process.process.pid, signal.SIGSEGV)
    frames = read_all(source)
    assert len(frames) < 24
    assert "died by signal 11 (SIGSEGV): it is damaged" in source.status


def test_a_decoder_that_crashes_at_once_is_an_error(video: Path) -> None:
    source = VideoSource(str(video), fast=True, timeout_s=30)
    assert source.read(0) is None
    assert source.process
    os.kill(source.process.process.pid, signal.SIGSEGV)
    with pytest.raises(SourceError, match="SIGSEGV"):
        read_all(source)
    assert source.state is State.ENDED


def test_a_decoder_that_hangs_is_ended(video: Path) -> None:
    source = VideoSource(str(video), fast=True, timeout_s=2)
    next_frame(source)
    assert source.process
    pid = source.process.process.pid
    os.kill(pid, signal.SIGSTOP)
    read_all(source)
    assert "no frame for 2.0 s" in source.status
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_size_cannot_be_asked_of_a_file(video: Path) -> None:
    with pytest.raises(SourceError, match="cannot be given a size"):
        open_source(str(video), size=(640, 480))


def test_a_file_whose_name_looks_like_a_protocol_is_that_file(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "udp:1.mp4").write_bytes(video.read_bytes())
    assert len(read_all(open_source("udp:1.mp4", fast=True, timeout_s=30))) == 25


def test_close_in_the_middle_ends_it(video: Path) -> None:
    source = VideoSource(str(video), timeout_s=30)
    next_frame(source)
    assert source.process
    process = source.process.process
    source.close()
    source.close()
    assert process.returncode is not None
    assert source.state is State.ENDED and source.read(1) is None
