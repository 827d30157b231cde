"""Recordings are real H.264 files, whatever comes in between."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.camera.frame import Picture
from runtime.camera.outputs import encoders
from runtime.camera.outputs.encoders import FfmpegEncoder, require_encoder, require_ffmpeg
from runtime.camera.outputs.recording import AHEAD, NOT_READY, Recording, fitted, plays, reserve, speed_of
from runtime.errors import MissingPackageError
from tests.command import environment
from tests.runtime.camera.stand_ins import DrawnSource, moving_picture

pytest.importorskip("imageio_ffmpeg")
SECOND = 1_000_000_000


def source_of(fps: float | None, *, live: bool) -> DrawnSource:
    return DrawnSource(fps=fps, live=live)


def frames_of(path: Path) -> list[Picture]:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while (read := video.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    return frames


def boxes_of(data: bytes) -> list[bytes]:
    """The outermost parts of an MP4 file, by name."""
    names, place = [], 0
    while place + 8 <= len(data):
        names.append(data[place + 4 : place + 8])
        place += int.from_bytes(data[place : place + 4], "big") or len(data)
    return names


def square_at(picture: Picture) -> int:
    """How far right the square of `moving_picture` is."""
    return int(np.nonzero(picture[40, :, 0] < 100)[0].min())


def test_a_video_has_every_picture_once_and_in_order(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "new" / "out.mp4", source_of(25, live=False))
    for index in range(30):
        recording.add(moving_picture(index), index)
    recording.close()
    recording.close()
    frames = frames_of(tmp_path / "new" / "out.mp4")
    assert (recording.written, recording.missed, recording.problem) == (30, 0, "")
    assert recording.file == tmp_path / "new" / "out.mp4"
    places = [square_at(frame) for frame in frames]
    assert np.abs(np.array(places) - [square_at(moving_picture(index)) for index in range(30)]).max() <= 2
    assert [path.name for path in recording.file.parent.iterdir()] == ["out.mp4"]


def test_browsers_play_it_from_the_start(tmp_path: Path) -> None:
    """H.264 in yuv420p, with the index before the pictures."""
    recording = Recording(tmp_path / "out.mp4", source_of(25, live=False))
    for index in range(5):
        recording.add(moving_picture(index), index)
    recording.close()
    said = subprocess.run([require_ffmpeg(), "-i", str(recording.file)], capture_output=True, text=True).stderr
    assert "Video: h264" in said and "yuv420p" in said and "25 fps" in said
    names = boxes_of((tmp_path / "out.mp4").read_bytes())
    assert names.index(b"moov") < names.index(b"mdat")
    assert b"moof" not in names


def test_a_live_recording_keeps_real_time(tmp_path: Path) -> None:
    """Ten frames a second, one of them late, then a second without any: at 20 frames a second each is there twice."""
    recording = Recording(tmp_path / "out.mp4", source_of(20, live=True))
    times = [0.0, 0.1, 0.2, 0.37, 0.4, 1.4, 1.5]
    for index, moment in enumerate(times):
        recording.add(moving_picture(index), int(moment * SECOND))
        time.sleep(0.05)  # the encoder is not what is tested
    recording.close()
    assert recording.missed == 0
    assert abs(len(frames_of(tmp_path / "out.mp4")) - 31) <= 1


def test_a_camera_that_is_faster_than_the_video_has_frames_left_out(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(10, live=True))
    for index in range(40):
        while not recording._waiting.empty():
            time.sleep(0.001)
        recording.add(moving_picture(index), int(index / 40 * SECOND))
    recording.close()
    frames = frames_of(tmp_path / "out.mp4")
    assert abs(len(frames) - 11) <= 1
    assert recording.written == len(frames) == 40 - recording.missed


def test_an_hour_without_frames_is_cut_short(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(2, live=True))
    for index, moment in enumerate((0, 3600, 3600.5)):
        recording.add(moving_picture(index), int(moment * SECOND))
    recording.close()
    assert 20 <= len(frames_of(tmp_path / "out.mp4")) <= 23


@pytest.mark.parametrize("size", [(161, 121), (160, 121), (17, 16)])
def test_sizes_that_are_odd_are_padded(tmp_path: Path, size: tuple[int, int]) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(10, live=False))
    recording.add(np.full((size[1], size[0], 3), 128, np.uint8), 0)
    recording.close()
    (frame,) = frames_of(tmp_path / "out.mp4")
    assert frame.shape == (size[1] + size[1] % 2, size[0] + size[0] % 2, 3)


def test_a_source_that_changes_its_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(10, live=False))
    for index, size in enumerate([(160, 120), (320, 240), (64, 200)]):
        recording.add(moving_picture(index, size), index)
    recording.close()
    frames = frames_of(tmp_path / "out.mp4")
    assert [frame.shape for frame in frames] == [(120, 160, 3)] * 3
    assert frames[2][60, 5].max() < 40 < frames[2][60, 80].min()  # black at the sides of what is narrow


def test_fitting_keeps_the_proportions() -> None:
    picture = np.full((100, 50, 3), 200, np.uint8)
    ground = fitted(picture, (80, 80))
    assert ground.shape == (80, 80, 3)
    assert int((ground[40, :, 0] > 100).sum()) == 40
    assert fitted(picture, (50, 100)) is picture


@pytest.mark.parametrize(
    ("fps", "live", "speed"),
    [
        (None, True, 30),
        (None, False, 2),
        (0.0, True, 30),
        (90000.0, False, 2),
        (15.0, True, 15),
        (29.97, False, 29.97),
        (240.0, False, 240),
    ],
)
def test_speeds_that_sources_tell(fps: float | None, live: bool, speed: float) -> None:
    assert speed_of(source_of(fps, live=live)) == speed


class SlowEncoder:
    """Takes a picture when it is let."""

    def __init__(self) -> None:
        self.let, self.pictures = threading.Event(), list[Picture]()

    def __call__(self, path: Path, size: tuple[int, int], fps: float) -> SlowEncoder:
        path.write_bytes(b"video")
        return self

    def write(self, image: Picture) -> None:
        assert self.let.wait(60)
        self.pictures.append(image)

    def finish(self, patience: float) -> bool:
        return True

    def abandon(self) -> None:
        self.let.set()


def test_a_slow_encoder_holds_no_live_source(tmp_path: Path) -> None:
    encoder = SlowEncoder()
    recording = Recording(tmp_path / "out.mp4", source_of(30, live=True), encoder=encoder)
    for index in range(50):
        recording.add(moving_picture(index), index * SECOND // 30)
    assert recording.missed >= 50 - AHEAD - 1
    encoder.let.set()
    recording.close()
    assert recording.written == 50 - recording.missed


def test_a_slow_encoder_holds_a_video_until_a_signal_comes(tmp_path: Path) -> None:
    encoder, stopped = SlowEncoder(), threading.Event()
    recording = Recording(tmp_path / "out.mp4", source_of(30, live=False), encoder=encoder, stop=stopped.is_set)
    threading.Timer(0.3, encoder.let.set).start()
    for index in range(30):
        recording.add(moving_picture(index), index)
    assert recording.missed == 0
    encoder.let.clear()
    threading.Timer(0.3, stopped.set).start()
    for index in range(2 * AHEAD):
        recording.add(moving_picture(index), index)
    assert recording.missed > 0
    encoder.let.set()
    recording.close()


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(30, live=True))
    recording.close()
    assert recording.file is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_came_to_be_in_the_meantime_is_kept(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(30, live=False))
    recording.add(moving_picture(0), 0)
    (tmp_path / "out.mp4").write_text("somebody else's")
    recording.close()
    assert (tmp_path / "out.mp4").read_text() == "somebody else's"
    assert recording.file == tmp_path / "out-2.mp4"
    assert len(frames_of(recording.file)) == 1


def test_force_replaces_a_file_when_the_new_one_is_done(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("old")
    recording = Recording(tmp_path / "out.mp4", source_of(30, live=False), force=True)
    recording.add(moving_picture(0), 0)
    assert (tmp_path / "out.mp4").read_text() == "old"
    recording.close()
    assert len(frames_of(tmp_path / "out.mp4")) == 1


def test_what_another_recording_left_is_not_written_over(tmp_path: Path) -> None:
    assert [reserve(tmp_path / "out.mp4").name for _ in range(3)] == ["out.part.mp4", "out.part2.mp4", "out.part3.mp4"]


def test_names_that_ffmpeg_would_take_for_something_else(tmp_path: Path) -> None:
    path = tmp_path / "http:-y %03d 'x'.mp4"
    recording = Recording(path, source_of(30, live=False))
    recording.add(moving_picture(0), 0)
    recording.close()
    assert len(frames_of(path)) == 1


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
    assert "File too large" in problem
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
        assert "No space left" in problem
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
