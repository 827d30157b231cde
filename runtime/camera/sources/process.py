"""The capturing process, seen from the one that wants frames."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from runtime.camera.sources.answers import CaptureOver, Mode, Shot, last_words, of_exit
from runtime.camera.sources.memory import FrameMemory
from runtime.camera.sources.request import Request

START = "import sys; sys.path[:] = {path!r}; from runtime.camera.sources.child import main; main()"
START_S = 60.0  # for Python and OpenCV to be loaded, on a busy machine from a slow card
OPEN_FACTOR = 3  # of the time that a frame may take: what opening may take
FFMPEG_FACTOR = 2  # of the same: FFMPEG itself gives up a little earlier, and says why
GO_S, TERMINATE_S, KILL_S = 0.35, 0.2, 0.15  # how long to wait for it to end, by the means used
JOIN_S = 0.1
ANSWER_S = 0.5  # a process that has a frame answers long before that
LAST_WORDS = 20
NO_ANSWER = "it does not answer"
INTERRUPTED = "Immediate exit requested"  # FFMPEG, where a server has not answered in time
#: For glibc: to give a large frame's memory back and to ask for it again costs more than to decode the frame.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
WARNINGS = "24"  # of FFMPEG's levels: one of them is that a server wants another password
#: OpenCV 4.7 to 4.12 with FFMPEG 5 and newer: it repeats the last picture when those that follow are larger.
GREW = re.compile(r"Slice parameters \d+, \d+ are invalid")


class CaptureProcess:
    """One process that captures one source, once.

    Args:
        request: what to capture; its `memory` and `patience_ms` are filled in here.
        timeout_s: how long a frame may take before the process counts as hung.

    Raises:
        CaptureOver: it cannot be started.
    """

    def __init__(self, request: Request, timeout_s: float) -> None:
        self.timeout_s, self.live = timeout_s, request.live
        self.mode = Mode()
        self.messages: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.words: deque[str] = deque(maxlen=LAST_WORDS)
        self.memory = FrameMemory()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-c", START.format(path=sys.path)],  # -u: nor does C keep back what it prints
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(request),
                pass_fds=() if sys.platform == "win32" else (self.memory.file,),
            )
        except OSError as error:
            self.memory.close()
            raise CaptureOver(f"no process can be started: {error.strerror}") from error
        self.threads = [Thread(target=work, daemon=True) for work in (self.hear, self.overhear)]
        for thread in self.threads:
            thread.start()
        self.waiting_for, self.limit_s, self.since = "start", START_S, time.monotonic()
        patience_ms = int(1000 * FFMPEG_FACTOR * timeout_s)
        self.send(replace(request, memory=self.memory.name, patience_ms=patience_ms).to_line())
        self.asked = False

    def take(self, after: int, timeout: float) -> Shot | None:
        """A frame with an index above `after`: of a live source the newest, of a file the next.

        Args:
            after: the index of the last frame that was taken; -1 before the first.
            timeout: seconds.

        Returns:
            None where none came in that time.

        Raises:
            CaptureOver: there is none any more, or none came in the time that a frame may take; the process is ended.
        """
        deadline = time.monotonic() + timeout
        if self.asked and self.live and self.answered():
            deadline = max(deadline, time.monotonic() + ANSWER_S)  # that answer is old by now: ask anew
        if not self.asked:
            self.ask(after)
        while True:
            message = self.wait(deadline)
            if message is None:
                return None
            if "frame" in message:
                self.asked = False
                image = self.memory.read(tuple(message["shape"]))
                if image is None:
                    raise CaptureOver("closed")
                return Shot(image, message["frame"], message["monotonic_ns"], message["utc_ns"], message["position"])

    def answered(self) -> bool:
        """Take a frame off that nobody was there for; whether there was one."""
        while not self.messages.empty():
            message = self.wait(time.monotonic())
            if message and "frame" in message:
                self.asked = False
                return True
        return False

    def ask(self, after: int) -> None:
        """For a frame."""
        self.asked = True
        if self.waiting_for == "frame":
            self.since = time.monotonic()
        self.send(b"%d\n" % after)

    def wait(self, deadline: float) -> dict[str, Any] | None:
        """The next message; None where it does not come in time."""
        now = time.monotonic()
        hung = self.since + self.limit_s
        try:
            message = self.messages.get(timeout=max(min(deadline, hung) - now, 0.001))
        except Empty:
            if time.monotonic() >= hung and self.messages.empty():
                raise self.over(self.why_hung(), hung=True) from None
            return None
        if message is None:
            raise self.over(self.why_died())
        if "grew" in message:
            raise self.over("its pictures have changed their size")
        if "over" in message:
            facts = message["over"]
            raise self.over("", refused=not facts["opened"], damaged=facts.get("damaged", 0))
        self.since = time.monotonic()
        if "ready" in message:
            self.waiting_for, self.limit_s = "open", OPEN_FACTOR * self.timeout_s
        elif "codec" in message:
            message["size"] = tuple(message["size"]) if message["size"] else None
            self.mode = Mode(**message)
            self.waiting_for, self.limit_s = "frame", self.timeout_s
        return message

    def over(self, reason: str, *, refused: bool = False, damaged: int = 0, hung: bool = False) -> CaptureOver:
        """End the process, then say why it is over: its last words are all there only then."""
        self.stop(at_once=hung)
        if refused:
            reason = last_words(self.words) or "it cannot be opened"
            reason = NO_ANSWER if INTERRUPTED in reason else reason
        return CaptureOver(reason, refused, damaged)

    def why_hung(self) -> str:
        """For people."""
        if self.waiting_for == "frame":
            return f"no frame for {self.timeout_s:.1f} s"
        return "the capturing process did not start" if self.waiting_for == "start" else NO_ANSWER

    def why_died(self) -> str:
        """For people."""
        try:
            code = self.process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            return "the capturing process closed its pipe"
        return of_exit(code, last_words(self.words))

    def send(self, line: bytes) -> None:
        """To the process, if it is still there."""
        assert self.process.stdin
        with suppress(BrokenPipeError, ValueError):  # `wait` finds out why
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def hear(self) -> None:
        """In a thread: take its messages; None is the last."""
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                try:
                    self.messages.put(json.loads(line))
                except ValueError:
                    break  # half a line of a process that was killed
        self.messages.put(None)

    def overhear(self) -> None:
        """In a thread: keep the last lines that libraries print."""
        assert self.process.stderr
        with self.process.stderr as lines:
            for line in lines:
                self.words.append(line.decode(errors="replace").rstrip())
                if GREW.search(self.words[-1]):
                    self.messages.put({"grew": True})

    def stop(self, at_once: bool = False) -> None:
        """End it: politely, then by force. Takes 0.9 s at most; may be called twice.

        Args:
            at_once: without asking first, as it is hung.
        """
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()  # it releases the camera and goes
        if at_once or not self.ends_in(GO_S):
            self.process.terminate()
            if not self.ends_in(TERMINATE_S):
                self.process.kill()
                self.ends_in(KILL_S)
        for thread in self.threads:
            thread.join(JOIN_S)
        self.memory.close()

    def ends_in(self, seconds: float) -> bool:
        """Wait for it."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def environment(request: Request) -> dict[str, str]:
    """For the process: FFMPEG set to small delay and to say what it does not like, unless the user has set it."""
    options = ["fflags;nobuffer"]
    if request.target.startswith("rtsp"):
        options.append("rtsp_transport;tcp")  # over UDP a lost packet smears the picture
    if request.target.startswith("udp"):
        options.append("overrun_nonfatal;1")
    added = {"OPENCV_FFMPEG_LOGLEVEL": WARNINGS, **KEEP_MEMORY}
    if request.live:
        added["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "|".join(options)
    return {**added, **os.environ}
