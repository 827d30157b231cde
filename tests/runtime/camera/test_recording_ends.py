"""How recordings end: full disks, killed processes, signals, an ffmpeg that is missing or slow."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime.camera.outputs import encoders
from runtime.camera.outputs.encoders import FfmpegEncoder, require_encoder, require_ffmpeg
from runtime.camera.outputs.recording import NOT_READY, Recording, plays
from runtime.errors import MissingPackageError
from tests.command import environment
from tests.runtime.camera.recordings import boxes_of, frames_of, source_of
from tests.runtime.camera.stand_ins import moving_picture

pytest.importorskip("imageio_ffmpeg")
SECOND = 1_000_000_000


def test_an_encoder_that_dies_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(30, live=True))
    recording.add(moving_picture(0), 0)
    wait_for(lambda: recording._encoder is not None)
    recording._encoder.process.kill()  # type: ignore[union-attr]
    index = 0
    while not recording.problem and index < 5000:
        index += 1
        recording.add(moving_picture(index), index * SECOND // 30)
        time.sleep(0.005)
    recording.close()
    assert "ffmpeg ended with -9" in recording.problem
    assert [path for path in tmp_path.iterdir() if not plays(path)] == []
    assert recording.text == "recording stopped"


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to be in a minute")


FILL = """
import resource, sys
import numpy as np
from pathlib import Path
from runtime.camera.outputs.recording import Recording
from tests.runtime.camera.stand_ins import DrawnSource
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
recording = Recording(Path(sys.argv[1]), DrawnSource(fps=10))
rng = np.random.default_rng(0)
for index in range(400):
    if recording.problem:
        break
    recording.add(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8), index)
recording.close()
print(recording.problem)
print(recording.file)
"""


def fill(path: Path, *limit: object) -> tuple[str, Path]:
    """Record noise until the place is full: the problem that was told, and the file."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(path), *map(str, limit)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    problem, file = done.stdout.splitlines()
    return problem, Path(file)


def test_a_limit_on_files_ends_the_recording_and_what_is_there_plays(tmp_path: Path) -> None:
    problem, file = fill(tmp_path / "out.mp4", 3_000_000)
    assert problem == "File too large"
    assert len(frames_of(file)) > 20
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] < 0  # of the child alone


def test_a_full_disk_ends_the_recording_and_what_is_there_plays(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3000k", "none", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no file system may be mounted here")
    try:
        problem, file = fill(disk / "out.mp4")
        assert problem == "No space left on device"
        assert len(frames_of(file)) > 20
        assert [path.name for path in disk.iterdir()] == ["out.mp4"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_killed_process_leaves_a_video_that_plays(tmp_path: Path) -> None:
    endless = FILL.replace("range(400)", "range(10**9)").replace("240, 320", "48, 64")
    process = subprocess.Popen([sys.executable, "-c", endless, str(tmp_path / "out.mp4")], env=environment())
    part = tmp_path / "out.part.mp4"
    wait_for(lambda: part.exists() and part.stat().st_size > 100_000)
    process.kill()
    process.wait()

    def settled() -> bool:  # ffmpeg ends by itself, since nobody feeds it any more
        size = part.stat().st_size
        time.sleep(1)
        return size == part.stat().st_size

    wait_for(settled)
    assert len(frames_of(part)) > 10


def test_a_video_that_was_cut_off_anywhere_plays_up_to_there(tmp_path: Path) -> None:
    """As a power cut leaves it."""
    recording = Recording(tmp_path / "out.mp4", source_of(10, live=False))
    rng = np.random.default_rng(0)
    for index in range(200):
        recording.add(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), index)
    part = tmp_path / "out.part.mp4"
    wait_for(lambda: part.exists() and part.read_bytes().count(b"moof") > 2)
    data = part.read_bytes()
    recording.close()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) - 1000])
    assert len(frames_of(tmp_path / "cut.mp4")) > 10


def test_without_ffmpeg_there_is_a_command_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "packaged_ffmpeg", lambda: "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="no ffmpeg") as caught:
        require_encoder()
    assert "pip install 'imageio-ffmpeg" in caught.value.hint


def test_an_ffmpeg_without_h264_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\necho 'Codec libx264 is not recognized'\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setattr(encoders, "packaged_ffmpeg", lambda: "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(MissingPackageError, match=r"writes no H\.264"):
        require_encoder()


def ffmpeg_that(
    folder: Path, *, starts: str = "", copies: str = ""
) -> Callable[[Path, tuple[int, int], float], FfmpegEncoder]:
    """Encoders whose ffmpeg does something else first, when it starts to record or when it copies the finished file."""
    script = folder / "ffmpeg"
    script.write_text(f'#!/bin/sh\ncase "$*" in *faststart*) {copies or ":"};; *) {starts or ":"};; esac\n')
    with script.open("a") as file:
        file.write(f'exec "{require_ffmpeg()}" "$@"\n')
    script.chmod(0o755)
    return lambda path, size, fps: FfmpegEncoder(str(script), path, size, fps)


def test_a_signal_while_the_file_is_copied_leaves_it_in_fragments(tmp_path: Path) -> None:
    copying, stopped = tmp_path / "copying", threading.Event()
    encoder = ffmpeg_that(tmp_path, copies=f"touch '{copying}'; exec sleep 600")
    path = tmp_path / "new" / "out.mp4"
    recording = Recording(path, source_of(25, live=False), stop=stopped.is_set, encoder=encoder)
    for index in range(5):
        recording.add(moving_picture(index), index)
    closing = threading.Thread(target=recording.close, args=(3600.0,))
    closing.start()
    wait_for(copying.exists)
    stopped.set()
    closing.join(120)
    assert not closing.is_alive()
    assert (recording.file, recording.problem) == (path, "")
    assert [each.name for each in path.parent.iterdir()] == ["out.mp4"]
    assert b"moof" in boxes_of(path.read_bytes())
    assert len(frames_of(path)) == 5


def test_a_signal_before_ffmpeg_takes_a_picture_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.mp4"
    encoder = ffmpeg_that(tmp_path, starts="exec sleep 600")
    recording = Recording(path, source_of(30, live=True), stop=lambda: True, encoder=encoder)
    recording.add(moving_picture(0, (640, 480)), 0)
    wait_for(lambda: recording._encoder is not None)
    recording.close(3600.0, 0.2)
    assert (recording.file, recording.written, recording.problem) == (None, 0, NOT_READY)
    assert list(path.parent.iterdir()) == []
    assert recording._encoder.process.poll() is not None  # type: ignore[union-attr]


def test_a_signal_before_ffmpeg_is_up_leaves_a_video_that_it_finishes(tmp_path: Path) -> None:
    """The first picture fits into the pipe, the second does half."""
    path = tmp_path / "new" / "out.mp4"
    encoder = ffmpeg_that(tmp_path, starts="sleep 2")
    recording = Recording(path, source_of(30, live=True), stop=lambda: True, encoder=encoder)
    for index in range(3):
        recording.add(moving_picture(index), index * SECOND // 30)
    wait_for(lambda: recording.written > 0)
    recording.close(3600.0, 0.1)
    assert (recording.file, recording.problem) == (path, "")
    wait_for(lambda: len(frames_of(path)) > 0)
    assert [each.name for each in path.parent.iterdir()] == ["out.mp4"]


def test_a_signal_while_the_encoder_is_made_leaves_nothing_or_a_video(tmp_path: Path) -> None:
    def make(path: Path, size: tuple[int, int], fps: float) -> FfmpegEncoder:
        time.sleep(0.3)
        return FfmpegEncoder(require_ffmpeg(), path, size, fps)

    path = tmp_path / "out.mp4"
    recording = Recording(path, source_of(30, live=True), stop=lambda: True, encoder=make)
    recording.add(moving_picture(0), 0)
    recording.close(3600.0, 0.0)
    if recording.file:
        wait_for(lambda: len(frames_of(path)) > 0)
    else:
        assert (list(tmp_path.iterdir()), recording.problem) == ([], NOT_READY)


def test_a_file_without_pictures_does_not_play(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(10, live=False))
    recording.add(moving_picture(0), 0)
    recording.close()
    whole = (tmp_path / "out.mp4").read_bytes()
    for length in (0, 5, 40, whole.index(b"mdat") - 4, len(whole)):
        (tmp_path / "cut.mp4").write_bytes(whole[:length])
        assert plays(tmp_path / "cut.mp4") == (length == len(whole))
