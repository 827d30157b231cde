"""What turns pictures into an MP4 file of H.264, which every browser plays: ffmpeg, or a Jetson's encoder.

Of what the OpenCV wheel for Linux writes, nothing will do. It has no H.264; MPEG-4 (`mp4v`) takes 3 ms a frame, but no
browser plays it; VP8 and VP9 take 131 and 753 ms for a frame of 640x480 on one slow core, their options for speed being
out of reach. ffmpeg's libx264 takes 6 ms there. It runs as a process of its own, fed by a pipe: a crash of it ends the
recording and not the reading, it finishes the file by itself where this process is killed, and its licence (GPL) stays
its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Protocol

import cv2
import numpy as np

from runtime.camera.frame import Picture
from runtime.camera.opencv import parse_build
from runtime.camera.outputs.deadline import Deadline
from runtime.camera.sources.answers import ORIGIN
from runtime.errors import MissingPackageError

KEYFRAME_S = 2  # a fragment of the file begins with each keyframe: what a power cut may cost
LOOK_S = 0.05  # how often it is looked whether a copy still has time
FASTER_ABOVE = 800 * 600  # pixels of a frame, from which on files may be larger so that a core keeps up
NVENC = (Path("/dev/v4l2-nvenc"), Path("/dev/nvhost-msenc"))  # a Jetson that has an encoder; Orin Nano has none
# A file that is cut off anywhere plays up to there.
FRAGMENTS = "+frag_keyframe+empty_moov+default_base_moof"


class Encoder(Protocol):
    """Writes one video file."""

    def write(self, image: Picture) -> None:
        """Add a frame, uint8 (H, W, 3) BGR of the size that the encoder was made for.

        Raises:
            OSError: it cannot be written; the message says why.
        """
        ...

    def finish(self, patience: float) -> bool:
        """Write what is left; may be called again where it was not done in time.

        Args:
            patience: seconds to wait for that.

        Returns:
            Whether the file was whole in that time. If not, it soon will be, without this process.

        Raises:
            OSError: it could not be written.
        """
        ...

    def abandon(self) -> None:
        """End at once; the file is of no use."""
        ...


def make_encoder(path: Path, size: tuple[int, int], fps: float) -> Encoder:
    """The best one of this machine.

    Args:
        path: the file, which is replaced.
        size: even width and height of its frames.
        fps: frames a second.

    Raises:
        MissingPackageError: there is none.
        OSError: it cannot be started.
    """
    if has_jetson_encoder():
        return JetsonEncoder(path, size, fps)
    return FfmpegEncoder(require_ffmpeg(), path, size, fps)


def require_encoder() -> None:
    """Find out before a recording whether there is an encoder.

    Raises:
        MissingPackageError: there is none.
    """
    if not has_jetson_encoder():
        require_ffmpeg()


def has_jetson_encoder() -> bool:
    """Whether this is a Jetson with a hardware encoder, and OpenCV can use it."""
    if not any(device.exists() for device in NVENC):
        return False
    return parse_build(cv2.getBuildInformation()).gstreamer


def require_ffmpeg() -> str:
    """An ffmpeg that writes H.264: that of the package imageio-ffmpeg, or the one on the PATH.

    Raises:
        MissingPackageError: there is none.
    """
    found = [path for path in (packaged_ffmpeg(), shutil.which("ffmpeg")) if path]
    for path in found:
        if writes_h264(path):
            return path
    without = f"{found[0]} writes no H.264 (libx264)" if found else "there is no ffmpeg here"
    raise MissingPackageError(
        f"a recording needs ffmpeg: {without}",
        "pip install 'imageio-ffmpeg>=0.6', or on a Jetson: sudo apt install ffmpeg",
    )


@lru_cache
def writes_h264(ffmpeg: str) -> bool:
    """Whether that ffmpeg has libx264; asked once, so that the first picture does not wait for the answer."""
    asked = [ffmpeg, "-v", "error", "-h", "encoder=libx264"]
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(asked, capture_output=True, stdin=subprocess.DEVNULL, timeout=20)
        return b"Encoder libx264" in done.stdout
    return False


def packaged_ffmpeg() -> str:
    """That of the package imageio-ffmpeg; empty where there is none."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # RuntimeError: a wheel without the program
        return ""


class FfmpegEncoder:
    """libx264 in a process of ffmpeg.

    Args:
        ffmpeg: the program.
        path: the file, which is replaced.
        size: even width and height.
        fps: frames a second.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, ffmpeg: str, path: Path, size: tuple[int, int], fps: float) -> None:
        self.ffmpeg, self.path = ffmpeg, path
        self.messages = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        preset = "ultrafast" if size[0] * size[1] > FASTER_ABOVE else "veryfast"
        command = [ffmpeg, "-v", "error", "-nostdin", "-f", "rawvideo", "-pix_fmt", "bgr24"]
        command += ["-s", f"{size[0]}x{size[1]}", "-r", f"{fps:g}", "-i", "pipe:0"]
        command += ["-c:v", "libx264", "-preset", preset, "-crf", "23", "-pix_fmt", "yuv420p"]
        command += ["-g", str(max(1, round(KEYFRAME_S * fps))), "-movflags", FRAGMENTS, "-f", "mp4", "pipe:1"]
        with path.open("wb") as file:  # opened here, it can be renamed before ffmpeg is up
            self.process = self.start(command, subprocess.PIPE, file)

    def start(
        self, command: list[str], stdin: int, stdout: int | IO[bytes] = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start ffmpeg where neither Ctrl-C nor the end of this process reaches it."""
        return subprocess.Popen(
            command,
            bufsize=0,  # what is written is in the pipe, and none of it lost with this process
            stdin=stdin,
            stdout=stdout,
            stderr=self.messages,
            start_new_session=True,
            restore_signals=False,  # a file size limit is then an error that it reports, and no death
        )

    def write(self, image: Picture) -> None:
        assert self.process.stdin
        rest = np.ascontiguousarray(image).data.cast("B")
        try:
            while rest:
                rest = rest[self.process.stdin.write(rest) :]
        except (BrokenPipeError, ValueError):
            raise OSError(self.trouble()) from None

    def finish(self, patience: float) -> bool:
        assert self.process.stdin
        with suppress(OSError):  # it has ended; why, its exit code tells
            self.process.stdin.close()
        try:
            if self.process.wait(patience):
                raise OSError(self.trouble())
        except subprocess.TimeoutExpired:
            return False
        return True

    def abandon(self) -> None:
        self.process.kill()
        self.process.wait()

    def trouble(self) -> str:
        """Why ffmpeg ended: the disk, or the first that it said."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.messages.seek(0)
        lines = self.messages.read().decode("utf-8", "replace").splitlines()
        said = [ORIGIN.sub("", line.strip()) for line in lines if line.strip()]
        disk = [why for why in ("No space left on device", "File too large") if any(why in line for line in said)]
        return (disk or said or [f"ffmpeg ended with {self.process.returncode}"])[0]

    def rewrite(self, other: Path, end: Deadline) -> bool:
        """Copy a finished file into the usual form, with its index in front, by which players seek at once.

        Args:
            other: the copy; left out where it takes too long.
            end: of the time that it may take.

        Returns:
            Whether there is one.
        """
        command = [self.ffmpeg, "-v", "error", "-nostdin", "-y", "-i", as_file(self.path)]
        command += ["-c", "copy", "-movflags", "+faststart", "-f", "mp4", as_file(other)]
        process = self.start(command, stdin=subprocess.DEVNULL)
        while end.left and process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(min(LOOK_S, end.left))
        if process.poll() == 0:
            return True
        process.kill()
        process.wait()
        other.unlink(missing_ok=True)
        return False


class JetsonEncoder:
    """The encoder of a Jetson's chip, through GStreamer.

    Raises:
        OSError: the pipeline cannot be started.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        place = os.fspath(path.absolute()).replace("\\", "\\\\").replace('"', '\\"')
        pipeline = (
            "appsrc ! video/x-raw,format=BGR ! videoconvert ! video/x-raw,format=BGRx ! nvvidconv ! "
            "video/x-raw(memory:NVMM),format=NV12 ! nvv4l2h264enc insert-sps-pps=true "
            f"idrinterval={max(1, round(KEYFRAME_S * fps))} ! h264parse ! "
            f'mp4mux fragment-duration={1000 * KEYFRAME_S} ! filesink location="{place}"'
        )
        self.writer = cv2.VideoWriter(pipeline, cv2.CAP_GSTREAMER, 0, fps, size)
        if not self.writer.isOpened():
            raise OSError("GStreamer cannot start nvv4l2h264enc")

    def write(self, image: Picture) -> None:
        self.writer.write(image)

    def finish(self, patience: float) -> bool:
        self.writer.release()
        return True

    def abandon(self) -> None:
        self.writer.release()


def as_file(path: Path) -> str:
    """A path as ffmpeg takes it for one, whatever it begins with or holds."""
    return f"file:{path.absolute()}"
