"""The process that captures. Whatever hangs or crashes in a driver or a decoder does it here, and not with the user.

It reads a `Request` from its standard input, then numbers: each asks for a frame after that one. It answers with lines
of JSON on what was its standard output, and puts the pixels into `FrameMemory` before that. The end of its input is the
order to go, and comes also when the parent dies, whichever way.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections import deque
from threading import Condition, Thread
from typing import Any, BinaryIO

import cv2

from runtime.camera.sources.answers import Shot
from runtime.camera.sources.capture import (
    INTERLACED,
    as_bgr,
    describe,
    open_capture,
    open_deinterlaced,
    taken_ns,
)
from runtime.camera.sources.memory import FrameMemory, unnamed_file
from runtime.camera.sources.request import FFMPEG, Request
from runtime.child import limit_growth

AHEAD = 4  # frames of a file that wait, decoded, until they are asked for
MOST_FAILURES = 30  # one after the other: OpenCV also fails on a damaged packet with good ones behind it
PATIENCE_S = 0.25  # for the camera to be released
MOST_MEMORY = 1_000_000_000  # bytes that FFMPEG may take for a stream: it would keep a picture that never ends


class Overheard:
    """What libraries print while a frame is retrieved: they say there alone that it went wrong."""

    def __init__(self) -> None:
        self.error, self.file = os.dup(2), unnamed_file()

    def retrieve(self, source: cv2.VideoCapture) -> tuple[Any, bytes]:
        """The frame that was grabbed, and what was printed meanwhile, which goes on to standard error."""
        self.redirect(self.file)
        try:
            image = source.retrieve()[1]
        finally:
            self.redirect(self.error)
        size = os.lseek(self.file, 0, os.SEEK_CUR)
        if not size:
            return image, b""
        os.lseek(self.file, 0, os.SEEK_SET)
        words = os.read(self.file, size)
        os.lseek(self.file, 0, os.SEEK_SET)
        os.write(self.error, words)
        return image, words

    @staticmethod
    def redirect(file: int) -> None:
        """All that is printed from now on."""
        os.dup2(file, 1)
        os.dup2(file, 2)


class Handover:
    """Between the thread that captures and the one that is asked: of a live source it keeps the newest frame.

    Args:
        memory: where a frame goes that was asked for.
        answers: where lines go.
        live: whether a frame that was not taken gives way to a newer one; else the capturing thread waits.
    """

    def __init__(self, memory: FrameMemory, answers: BinaryIO, live: bool) -> None:
        self.memory, self.answers, self.live = memory, answers, live
        self.changed = Condition()
        self.frames: deque[Shot] = deque(maxlen=1 if live else None)
        self.after: int | None = None
        self.over: dict[str, Any] | None = None
        self.stopped = False

    def offer(self, frame: Shot) -> None:
        """Of the capturing thread: here is another one."""
        with self.changed:
            while not (self.live or self.stopped or len(self.frames) < AHEAD):
                self.changed.wait()
            self.frames.append(frame)
            self.answer()

    def end(self, **facts: Any) -> None:
        """Of the capturing thread: there will be no other one. It returns when this process is to go."""
        with self.changed:
            self.over = facts
            self.answer()
            while not self.stopped:
                self.changed.wait()

    def ask(self, after: int) -> None:
        """Of the listening thread: a frame after that index is wanted, now or as soon as there is one."""
        with self.changed:
            self.after = after
            while self.frames and self.frames[0].index <= after:
                self.frames.popleft()
                self.changed.notify_all()
            self.answer()

    def stop(self) -> None:
        """Of the listening thread: this process is to go."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()

    def answer(self) -> None:
        """Give what is wanted, if it is there."""
        if self.after is None or not (self.frames or self.over):
            return
        if self.frames and self.frames[0].index <= self.after:
            return
        self.after = None
        if not self.frames:
            self.say(over=self.over)
            return
        frame = self.frames[0]  # it stays: where the answer comes too late, the same may be asked for again
        self.memory.write(frame.image)
        self.say(
            frame=frame.index,
            shape=frame.image.shape,
            monotonic_ns=frame.monotonic_ns,
            utc_ns=frame.utc_ns,
            position=frame.position,
        )

    def say(self, **facts: Any) -> None:
        """A line to the parent."""
        try:
            self.answers.write(json.dumps(facts).encode() + b"\n")
        except BrokenPipeError:
            os._exit(0)


def listen(handover: Handover) -> None:
    """Take orders until there are no more; then end this process, even if a driver holds the other thread."""
    for line in sys.stdin.buffer:
        handover.ask(int(line))
    handover.stop()
    time.sleep(PATIENCE_S)
    os._exit(0)


def run(request: Request, handover: Handover) -> None:
    """Capture until it ends, or until this process is to go."""
    source, overheard = open_capture(request), Overheard()
    if not source.isOpened():
        handover.end(opened=False)
        return
    facts = describe(source)
    handover.say(**facts)
    index = failures = damaged = 0
    while failures < MOST_FAILURES and not handover.stopped:
        image = None
        if source.grab():
            moment, utc = taken_ns(source, request), time.time_ns()
            position = source.get(cv2.CAP_PROP_POS_MSEC) / 1000
            image, words = overheard.retrieve(source)
            if INTERLACED in words:
                handover.say(ready=True)  # to open it may take long
                source.release()
                source = open_deinterlaced(request, index)
                if not source.isOpened():
                    print("it is interlaced, and cannot be opened again through a filter", file=sys.stderr)
                    handover.end(opened=False)
                    return
                handover.say(**facts)
                continue
        if image is None or not image.size:
            failures += 1
            continue
        damaged, failures = damaged + failures, 0
        utc -= time.monotonic_ns() - moment
        handover.offer(Shot(as_bgr(image), index, moment, utc, position))
        index += 1
    handover.end(opened=True, frames=index, damaged=damaged)
    source.release()


def main() -> None:
    """Serve the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the parent decides
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # drivers print on standard output, too
    request = Request.from_line(sys.stdin.buffer.readline())
    handover = Handover(FrameMemory(request.memory), answers, request.live)
    handover.say(ready=True)
    if request.live and request.backend == FFMPEG:
        limit_growth(MOST_MEMORY)
    Thread(target=listen, args=(handover,), daemon=True).start()
    try:
        run(request, handover)
    except Exception:
        traceback.print_exc()
        os._exit(1)  # Python would wait for the thread that listens, and abort
    os._exit(0)  # past destructors of drivers, which may hang
