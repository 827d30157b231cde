"""Video files: every frame, in its order, at its pace or as fast as it is decoded."""

from __future__ import annotations

import os
import time
from threading import Event

from runtime.camera.frame import Frame, State
from runtime.camera.sources.answers import CaptureOver, Mode, Shot
from runtime.camera.sources.pacing import Pacer
from runtime.camera.sources.process import CaptureProcess
from runtime.camera.sources.request import FFMPEG, Request
from runtime.errors import SourceError

USUAL_FPS = 25.0
LONGEST_INTERVAL_S = 60.0
#: Of the number of frames that a container announces, what may be missing: some only guess it.
GUESS = 0.02


class VideoSource:
    """A file that another process decodes, since broken ones crash decoders; see `Source`.

    Args:
        path: of the file.
        fast: as fast as it is decoded; else frames come as far apart as they were taken.
        timeout_s: how long a frame may take to decode.
    """

    live = False

    def __init__(self, path: str, *, fast: bool = False, timeout_s: float = 5.0) -> None:
        self.name, self.fast, self.timeout_s = path, fast, timeout_s
        self.fps: float | None = None
        self.size: tuple[int, int] | None = None
        self.state, self.status, self.dropped, self.reconnects = State.CONNECTING, "", 0, 0
        self.problem = ""
        self.process: CaptureProcess | None = None
        self.closed = Event()
        self.pacer, self.taken, self.position = Pacer(), -1, 0.0
        self.waiting: Shot | None = None

    def read(self, timeout: float) -> Frame | None:
        deadline = time.monotonic() + timeout
        if self.state is State.ENDED:
            return None
        if not self.waiting:
            try:
                process = self.process or self.start()
                self.waiting = process.take(self.taken, timeout)
            except CaptureOver as over:
                if not self.closed.is_set():
                    self.end(over)
                return None
            if not self.waiting:
                return None
            self.announce(process.mode, self.waiting)
        if not self.fast and not self.pacer.wait(deadline, self.closed):
            return None
        if self.closed.is_set():
            self.state = State.ENDED  # another thread has closed it meanwhile
            return None
        shot, self.waiting = self.waiting, None
        return Frame(shot.image, shot.index, time.monotonic_ns(), time.time_ns(), self.name)

    def start(self) -> CaptureProcess:
        """Decode, in a new process."""
        request = Request(FFMPEG, os.path.abspath(self.name), live=False)  # no name then looks like a protocol's
        self.process = process = CaptureProcess(request, self.timeout_s)
        if self.closed.is_set():  # by another thread, which did not know of this process
            process.stop(at_once=True)
        return process

    def announce(self, mode: Mode, shot: Shot) -> None:
        """Say what is known, and when the frame is due."""
        self.fps, self.size = mode.fps, (shot.image.shape[1], shot.image.shape[0])
        self.state, self.status = State.STREAMING, mode.in_words(self.size)
        interval = shot.position - self.position
        if not 0 < interval <= LONGEST_INTERVAL_S:  # no time stamps, or broken ones
            interval = 1 / (self.fps or USUAL_FPS)
        self.pacer.schedule(interval)
        self.taken, self.position = shot.index, shot.position

    def end(self, over: CaptureOver) -> None:
        """Say how it ended.

        Raises:
            SourceError: nothing at all could be decoded.
        """
        self.close()
        count, announced = self.taken + 1, self.process.mode.frames if self.process else None
        if not count:
            reason, hint = over.reason, "it may be no video, or cut off or damaged: copy it again"
            if not reason:
                codec = self.process.mode.codec if self.process else ""
                reason = f"not one frame of {codec or 'it'} could be decoded"
                hint = (
                    "this OpenCV may not decode that, as AV1: ffmpeg -i FILE -c:v libx264 NEW.mp4; "
                    "or it is cut off or damaged: copy it again"
                )
            raise SourceError(f"{self.name} cannot be played: {reason}", hint)
        self.status = f"{count} frames"
        if over.reason:
            self.problem = self.status = f"{self.status}, then {over.reason}: it is damaged"
        elif announced and count < announced * (1 - GUESS) - 1:
            self.problem = self.status = f"{self.status} of {announced}: it is cut off or damaged"
        elif over.damaged:
            self.problem = self.status = f"{self.status}, {over.damaged} damaged packets"

    def close(self) -> None:
        self.closed.set()
        self.state = State.ENDED
        if self.process:
            self.process.stop()
