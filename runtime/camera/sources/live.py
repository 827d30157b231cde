"""Sources that go on by themselves: cameras and network streams. One that is lost is opened again and again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Event

from runtime.camera.frame import Frame, State
from runtime.camera.sources.address import scrub
from runtime.camera.sources.answers import CaptureOver, Mode, Shot
from runtime.camera.sources.process import CaptureProcess
from runtime.camera.sources.request import Request
from runtime.errors import SourceError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


class LiveSource:
    """The newest frame of a camera or a stream that another process captures; see `Source`.

    Args:
        request: what to capture.
        name: how to call it.
        timeout_s: how long a frame may take before the source counts as lost.
        explain: makes an error of the reason why it could not be opened the first time, where trying again is no use;
            None tries again.
        wait: False makes anything an error that goes wrong before the first frame.
    """

    live = True

    def __init__(
        self,
        request: Request,
        name: str,
        *,
        timeout_s: float = 5.0,
        explain: Callable[[str], SourceError] | None = None,
        wait: bool = True,
    ) -> None:
        self.request, self.name, self.timeout_s, self.explain, self.forgiving = request, name, timeout_s, explain, wait
        self.fps: float | None = None
        self.size: tuple[int, int] | None = None
        self.state, self.dropped, self.reconnects = State.CONNECTING, 0, 0
        self.process: CaptureProcess | None = None
        self.closed = Event()
        self.mode, self.reason = Mode(), ""
        self.failures, self.retry_at = 0, 0.0
        self.first = 0  # the index of the first frame of the process that runs now
        self.taken = -1  # of the latest frame, in that process
        self.streamed = False

    @property
    def status(self) -> str:
        """The mode, or what is wrong and when it is tried again."""
        if self.state is State.ENDED:
            return "closed"
        if self.state is State.STREAMING:
            return self.mode.in_words(self.size)
        if not self.reason:
            return ""
        pause = self.retry_at - time.monotonic()
        return f"{self.reason}, trying again" + (f" in {pause:.1f} s" if not self.process and pause > 0 else "")

    @property
    def problem(self) -> str:
        """Why it is lost."""
        return self.reason

    def read(self, timeout: float) -> Frame | None:
        frame = self.newest(timeout)
        if not self.closed.is_set():
            return frame
        self.state = State.ENDED  # another thread has closed it meanwhile
        return None

    def newest(self, timeout: float) -> Frame | None:
        """The newest frame, once there is a process that gives one."""
        deadline = time.monotonic() + timeout
        while not self.closed.is_set():
            if not self.process:
                self.closed.wait(max(min(self.retry_at, deadline) - time.monotonic(), 0))
                if self.closed.is_set() or time.monotonic() < self.retry_at:
                    return None
            try:
                process = self.process or self.start()
                shot = process.take(self.taken, max(deadline - time.monotonic(), 0))
            except CaptureOver as over:
                if self.closed.is_set():
                    return None
                self.lose(over)
                continue
            self.mode = process.mode
            self.fps, self.size = self.mode.fps, self.mode.size or self.size
            return self.hand_out(shot) if shot else None
        return None

    def start(self) -> CaptureProcess:
        """Capture, in a new process."""
        self.first, self.taken = self.first + self.taken + 1, -1
        self.process = process = CaptureProcess(self.request, self.timeout_s)
        if self.closed.is_set():  # by another thread, which did not know of this process
            process.stop(at_once=True)
        return process

    def hand_out(self, shot: Shot) -> Frame:
        """Count what was left out since the last one."""
        self.dropped += shot.index - self.taken - 1
        if self.state is State.LOST and self.streamed:
            self.reconnects += 1
        self.taken, self.streamed, self.failures, self.state, self.reason = shot.index, True, 0, State.STREAMING, ""
        self.size = (shot.image.shape[1], shot.image.shape[0])
        return Frame(shot.image, self.first + shot.index, shot.monotonic_ns, shot.utc_ns, self.name)

    def lose(self, over: CaptureOver) -> None:
        """Try again after a pause that grows, of random length: many cameras must not come back all at once.

        Raises:
            SourceError: trying again is no use.
        """
        self.process = None
        ended = "the stream ended" + ("" if self.taken >= 0 else " without a frame, as a file or a picture there does")
        self.reason = scrub(over.reason or ended, self.request.target)
        self.state = State.LOST
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self.failures, 10))
        self.failures += 1
        self.retry_at = time.monotonic() + random.uniform(0, longest)
        if self.streamed:
            return
        if self.explain and over.refused:
            self.close()
            raise self.explain(self.reason)
        if not self.forgiving:
            self.close()
            raise SourceError(f"{self.name}: {self.reason}", "check the address, and that the camera is on")

    def close(self) -> None:
        self.closed.set()
        self.state = State.ENDED
        if self.process:
            self.process.stop()
            self.process = None
