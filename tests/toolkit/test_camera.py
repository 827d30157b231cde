"""`toolkit camera` on videos and drawn pictures, its files, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.camera.reading.reader import THRESHOLD
from runtime.errors import ModelError
from runtime.spec import Preprocess, classifier_spec
from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, strict_validator, toolkit, without_packages
from tests.runtime.camera.digit_bundle import write_digit_bundle
from toolkit.commands.camera import command, require_digits

FRAMES = 12
ENGINE = ("--backend", "onnxruntime", "--threads", 1)
ENDLESS = ("--source", "synthetic://clean?size=320x240&digits=3", *ENGINE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digit_bundle(tmp_path_factory.mktemp("digits") / "digits")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 1 that moves to the right, drawn with a thick pen."""
    path = tmp_path_factory.mktemp("video") / "one.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (320, 240))
    assert writer.isOpened()
    for index in range(FRAMES):
        picture = np.full((240, 320, 3), 225, np.uint8)
        cv2.line(picture, (100 + 2 * index, 80), (98 + 2 * index, 140), (30, 30, 30), 7, cv2.LINE_AA)
        writer.write(cv2.GaussianBlur(picture, (0, 0), 1))
    writer.release()
    return path


def frames_in(path: Path) -> int:
    reader, count = cv2.VideoCapture(str(path)), 0
    while reader.read()[0]:
        count += 1
    return count


def start(*arguments: object, cwd: Path, **variables: str) -> subprocess.Popen[bytes]:
    """A command that goes on, and is killed after a while."""
    process = subprocess.Popen(
        [*TOOLKIT, "camera", *map(str, arguments)],
        cwd=cwd,
        env=environment(DISPLAY="", WAYLAND_DISPLAY="", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    watchdog = threading.Timer(120, process.kill)  # a hang fails by the exit code
    watchdog.daemon = True
    watchdog.start()
    return process


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_whoever_starts_it_may_have_closed_its_input_and_outputs(
    closed: tuple[int, ...], bundle: Path, video: Path, tmp_path: Path
) -> None:
    arguments = ("--source", video, "--fast", "--jsonl", "lines", "--view", "none", *ENGINE)
    done = toolkit("camera", bundle, *arguments, cwd=tmp_path, first=lambda: [*map(os.close, closed)] and None)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "lines").read_text().splitlines()) == FRAMES


def test_a_line_of_json_for_every_frame_of_a_video(bundle: Path, video: Path, tmp_path: Path) -> None:
    done = toolkit(
        "camera", bundle, "--source", video, "--fast", "--jsonl", "-", "--view", "none", *ENGINE, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        strict_validator("camera").validate(line)
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    labels = [digit["label"] for line in lines for digit in line["digits"]]
    assert labels.count("1") >= FRAMES - 2
    assert len({digit["track"] for line in lines for digit in line["digits"] if digit["label"] == "1"}) == 1
    assert {number["text"] for line in lines for number in line["numbers"]} >= {"1"}
    for word in ("stage", "infer", "p99 ms", f"{FRAMES} frames"):
        assert word in done.stderr


def test_the_summary_in_json_and_a_recording(bundle: Path, video: Path, tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    options = ("--jsonl", "new/out.jsonl", "--record", "new/out.mp4", "--json", "--view", "none", *ENGINE)
    done = toolkit("camera", bundle, "--source", video, "--fast", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["ended_by"], summary["frames"], summary["lines"]) == ("source", FRAMES, FRAMES)
    assert summary["recording"] == {"file": "new/out.mp4", "frames": FRAMES, "missed": 0, "problem": ""}
    assert frames_in(tmp_path / "new" / "out.mp4") == FRAMES
    assert len((tmp_path / "new" / "out.jsonl").read_text().splitlines()) == FRAMES
    again = toolkit("camera", bundle, "--source", video, "--fast", *options, cwd=tmp_path)
    assert_clean_failure(again, "new/out.mp4 is there already", "--force")
    replaced = toolkit("camera", bundle, "--source", video, "--fast", "--frames", 2, "--force", *options, cwd=tmp_path)
    assert replaced.returncode == 0, replaced.stderr
    assert frames_in(tmp_path / "new" / "out.mp4") == 2
    assert len((tmp_path / "new" / "out.jsonl").read_text().splitlines()) == 2


def test_what_is_read_is_not_written_over(bundle: Path, video: Path, tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    own, link = tmp_path / "own.mp4", tmp_path / "link.mp4"
    own.write_bytes(video.read_bytes())
    link.symlink_to(own)
    for option, file in (("--record", own), ("--record", link), ("--jsonl", own)):
        done = toolkit("camera", bundle, "--source", own, "--fast", option, file, "--force", *ENGINE, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert f"{file.name} is read" in done.stderr
    assert own.read_bytes() == video.read_bytes()


def test_lines_and_recording_do_not_go_into_one_file(bundle: Path, video: Path, tmp_path: Path) -> None:
    files = ("--jsonl", "out.mp4", "--record", tmp_path / "out.mp4", "--force")
    done = toolkit("camera", bundle, "--source", video, *files, *ENGINE, cwd=tmp_path)
    assert done.returncode == 2 and "--jsonl and --record are the same file" in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_names_that_are_no_utf_8_are_told_as_well_as_can_be(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"z\xff")
    folder.mkdir()
    (folder / "1.png").write_bytes((ROOT / "examples/digits/3-dark-on-light.png").read_bytes())
    options = ("--view", "none", "--json", "--jsonl", "out.jsonl", *ENGINE)
    done = toolkit("camera", bundle, "--source", folder.name, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"][0]["source"] == "z?"
    assert json.loads((tmp_path / "out.jsonl").read_text())["source"].startswith("z?")


def test_one_picture_is_one_frame(bundle: Path, tmp_path: Path) -> None:
    three, four = (ROOT / "examples/digits" / name for name in ("3-dark-on-light.png", "4-light-on-dark.png"))
    done = toolkit("camera", bundle, "--source", three, "--view", "none", *ENGINE, cwd=tmp_path)
    assert done.returncode == 0 and "\n1 frame in " in done.stderr
    done = toolkit("camera", bundle, "--source", three, "--source", four, "--view", "none", *ENGINE, cwd=tmp_path)
    assert "\n2 frames in " in done.stderr and f"{three}: 1 frame\n" in done.stderr, done.stderr


def test_it_lives_without_pytorch_and_onnx(bundle: Path, video: Path, tmp_path: Path) -> None:
    path = without_packages(tmp_path, "torch", "onnx", "onnx_ir", "onnxscript", "onnxsim")
    done = toolkit("camera", bundle, "--source", video, "--fast", *ENGINE, cwd=tmp_path, PYTHONPATH=path, DISPLAY="")
    assert done.returncode == 0, done.stderr
    assert "no window: " in done.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--json", "--jsonl", "-"), "--jsonl"),
        (("--force",), "--force"),
        (("--force", "--jsonl", "-"), "--force"),
        (("--record", "out.avi"), "out.mp4"),
        (("--roi", "1,2,3"), "X,Y,W,H"),
        (("--roi", "1,2,0,4"), "X,Y,W,H"),
        (("--roi", "-1,2,3,4"), "X,Y,W,H"),
        (("--size", "640"), "WxH"),
        (("--size", "0x480"), "WxH"),
        (("--max-age", "nan"), "--max-age"),
        (("--seconds", "0"), "--seconds"),
        (("--frames", "0"), "--frames"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], word: str, bundle: Path, tmp_path: Path) -> None:
    done = toolkit("camera", bundle, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert word in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--source", "gone.mp4"), ("gone.mp4",)),
        (("--source", "synthetic://clean?size=320x240", "--roi", "320,0,10,10"), ("320,0,10,10", "320x240")),
        (("--view", "window"), ("no window", "display")),
        (("--jsonl", "."), ("folder", "--jsonl")),
    ],
)
def test_failures_have_a_hint_and_leave_nothing(
    options: tuple[str, ...], words: tuple[str, ...], bundle: Path, tmp_path: Path
) -> None:
    without_display = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    files = () if "--jsonl" in options else ("--jsonl", "new/out.jsonl")
    done = toolkit("camera", bundle, *files, *options, *ENGINE, cwd=tmp_path, **without_display)
    assert_clean_failure(done, *words)
    assert list(tmp_path.iterdir()) == []


def test_the_threshold_is_the_readers() -> None:
    (option,) = (one for one in command.params if one.name == "threshold")
    assert option.default == THRESHOLD


def test_a_model_that_reads_no_digits_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    done = toolkit("camera", tiny_bundle, *ENDLESS, cwd=tmp_path)
    assert_clean_failure(done, "tiny takes grey pictures of 8x8", "toolkit build lenet")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_its_normal_end(number: signal.Signals, bundle: Path, tmp_path: Path) -> None:
    """Twice, as a terminal and a supervisor send them: the recording is whole all the same."""
    pytest.importorskip("imageio_ffmpeg")
    process = start(bundle, *ENDLESS, "--jsonl", "-", "--record", "out.mp4", cwd=tmp_path)
    assert process.stdout
    read = [process.stdout.readline() for _ in range(10)]
    process.send_signal(number)
    process.send_signal(number)
    rest, said = process.communicate()
    assert process.returncode == 0, said
    lines = [json.loads(line) for line in [*read, *rest.splitlines()]]
    assert b"frames in" in said and b"out.mp4" in said
    assert b"interrupted" not in said and b"Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert len(lines) >= 10
    assert plays_soon(tmp_path / "out.mp4")


def plays_soon(path: Path) -> bool:
    """On a machine with much to do, ffmpeg takes longer than we do."""
    for _ in range(300):
        if frames_in(path):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("delay_s", [0.0, 0.15, 0.4])
def test_a_signal_right_after_the_start_leaves_a_video_or_says_that_there_is_none(
    delay_s: float, bundle: Path, tmp_path: Path
) -> None:
    pytest.importorskip("imageio_ffmpeg")
    process = start(bundle, *ENDLESS, "--view", "none", "--record", "out.mp4", cwd=tmp_path)
    assert process.stderr and b"streaming" in process.stderr.readline()
    time.sleep(delay_s)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 0, said
    files = [path.name for path in tmp_path.iterdir()]
    if b"nothing was recorded" in said:
        assert files == []
    else:
        assert files == ["out.mp4"] and plays_soon(tmp_path / "out.mp4")


def test_a_signal_ends_the_finishing_of_a_recording(bundle: Path, video: Path, tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    ffmpeg, copying, folder = tmp_path / "ffmpeg", tmp_path / "copying", tmp_path / "new"
    real = imageio_ffmpeg.get_ffmpeg_exe()
    ffmpeg.write_text(
        f"#!/bin/sh\ncase \"$*\" in *faststart*) touch '{copying}'; exec sleep 600;; *) exec '{real}' \"$@\";; esac\n"
    )
    ffmpeg.chmod(0o755)
    options = ("--source", video, "--fast", "--view", "none", "--record", folder / "out.mp4", *ENGINE)
    process = start(bundle, *options, cwd=tmp_path, IMAGEIO_FFMPEG_EXE=str(ffmpeg))
    while not copying.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert f"out.mp4: {FRAMES} frames" in said.decode()
    assert [path.name for path in folder.iterdir()] == ["out.mp4"]
    assert frames_in(folder / "out.mp4") == FRAMES


def test_a_reader_that_has_enough_ends_it(bundle: Path, tmp_path: Path) -> None:
    process = start(bundle, *ENDLESS, "--jsonl", "-", cwd=tmp_path)
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait() == 0, said
    assert re.search(b"frames? in", said) and b"Traceback" not in said


def test_a_reader_that_does_not_read_does_not_keep_it_from_ending(bundle: Path, tmp_path: Path) -> None:
    process = start(bundle, *ENDLESS, "--fast", "--jsonl", "-", cwd=tmp_path)
    assert process.stdout and process.stderr
    begin = process.stdout.readline()
    time.sleep(3)  # the pipe is full by now, or soon
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 0, said
    *lines, rest = (begin + process.stdout.read()).split(b"\n")
    frames = re.search(rb"([\d,]+) frames in", said)
    assert frames and [json.loads(line)["frame"] for line in lines] == list(range(len(lines)))
    assert (b"their reader has stalled" in said) == (len(lines) < int(frames[1].replace(b",", b"")))
    assert not rest or b"stalled" in said


def test_a_full_disk_ends_the_lines_and_not_the_reading(bundle: Path, video: Path, tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*TOOLKIT, "camera", str(bundle), "--source", str(video), "--fast", "--jsonl", "-", *map(str, ENGINE)],
            cwd=tmp_path,
            env=environment(DISPLAY="", WAYLAND_DISPLAY=""),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no more lines are written: No space left on device") == 1
    assert f"{FRAMES} frames" in done.stderr


@pytest.mark.parametrize("labels", [("cat", *"123456789"), tuple("0123456789ab")])
def test_a_model_of_other_things_than_digits_is_refused(labels: tuple[str, ...]) -> None:
    gray = Preprocess("gray", (), (0.0,), (1.0,))
    spec = classifier_spec("things", height=28, width=28, classes=len(labels), preprocess=gray, labels=labels)
    with pytest.raises(ModelError, match="the camera reads digits"):
        require_digits(spec)
