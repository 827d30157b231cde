"""Recordings are real H.264 files, whatever comes in between."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from runtime.camera.frame import Picture
from runtime.camera.outputs.encoders import require_ffmpeg
from runtime.camera.outputs.recording import AHEAD, Recording, fitted, reserve, speed_of
from tests.runtime.camera.recordings import boxes_of, frames_of, source_of
from tests.runtime.camera.stand_ins import moving_picture

pytest.importorskip("imageio_ffmpeg")
SECOND = 1_000_000_000


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
        (0.5, True, 30),
        (0.5, False, 0.5),
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


class FullDisk(SlowEncoder):
    """It fails at once."""

    def write(self, image: Picture) -> None:
        raise OSError("No space left on device")


def test_a_picture_that_comes_as_it_breaks_off_is_counted(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "out.mp4", source_of(30, live=False), encoder=FullDisk())
    recording.add(moving_picture(0), 0)
    assert recording._thread
    recording._thread.join(10)
    recording._waiting.put((moving_picture(1), 1, True))  # as if it had been handed over in the middle of that
    recording.close()
    assert (recording.written, recording.missed) == (0, 2)


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
