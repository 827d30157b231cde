"""A line of JSON for every frame, to a file or to whoever reads standard output."""

from __future__ import annotations

import errno
import math
import os
import select
import stat
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime.camera.frame import Box
from runtime.camera.outputs.deadline import Deadline
from runtime.camera.outputs.seen import Seen
from runtime.text import plain

PIECE = 4096  # bytes that a pipe which is ready takes at once
LOOK_S = 0.1  # how often a writer that waits for its reader looks whether it is to stop
GRACE_S = 0.5  # that a reader then has to take the line
FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
FLAGS |= getattr(os, "O_NONBLOCK", 0)  # of a pipe: fails where nobody reads it, in place of waiting deaf to signals
UNREAD = "nobody reads them"
STALLED = "their reader has stalled; what it has of the last one may be cut off"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class DigitEntry(Struct, frozen=True):
    """A digit on a frame.

    Attributes:
        box: x, y, width and height round its ink, in pixels of the source's frame.
        label: what the frames so far voted for.
        probability: of that label, averaged over the latest frames, 0..1.
        track: its id, the same over frames; not given again, but for each picture of a folder anew.
    """

    box: Box
    label: str
    probability: float
    track: int


class NumberEntry(Struct, frozen=True):
    """Digits beside each other, read left to right.

    Attributes:
        text: their labels.
        box: x, y, width and height round all of them, in pixels of the source's frame.
        tracks: ids of the digits, left to right.
    """

    text: str
    box: Box
    tracks: tuple[int, ...]


class FrameLine(Struct, frozen=True):
    """What was read on one frame.

    Attributes:
        source: where it is from, without a password; of a folder, the picture.
        frame: its place in the source, from 0; frames that were dropped count too.
        monotonic_ns: when it was taken, or came in, by a clock that only goes forward; nanoseconds.
        utc: the same by the system's clock, ISO 8601 with microseconds and Z.
        age_ms: milliseconds from then to this line.
        digits: that were accepted, left to right.
        refused: how many things were looked at that are no digits.
        numbers: that the digits make, left to right.
        recalled: whether they were read on an earlier frame, since which nothing has changed.
    """

    source: str
    frame: int
    monotonic_ns: int
    utc: str
    age_ms: float
    digits: tuple[DigitEntry, ...]
    refused: int
    numbers: tuple[NumberEntry, ...]
    recalled: bool


def line_of(seen: Seen, now_ns: int) -> FrameLine:
    """The line for a frame, written at `now_ns` of `time.monotonic_ns()`."""
    frame = seen.frame
    return FrameLine(
        source=plain(frame.source),
        frame=frame.index,
        monotonic_ns=frame.monotonic_ns,
        utc=utc_text(frame.utc_ns),
        age_ms=round((now_ns - frame.monotonic_ns) / 1e6, 3),
        digits=tuple(
            DigitEntry(digit.box, digit.label, round(digit.probability, 4), digit.track) for digit in seen.digits
        ),
        refused=len(seen.refused),
        numbers=tuple(NumberEntry(number.text, number.box, number.tracks) for number in seen.numbers),
        recalled=seen.recalled,
    )


def utc_text(utc_ns: int) -> str:
    """ISO 8601 with microseconds and Z."""
    moment = EPOCH + timedelta(microseconds=utc_ns // 1000)  # exact, as a float of seconds would not be
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


class JsonLines:
    """Writes lines, each at once and whole.

    The file is made with the first line, so that a source which cannot be opened leaves none.

    Attributes:
        written: whole lines so far.
        gone: whether the reader at the other end of a pipe has left.
        problem: why no more lines are written; empty while they are.

    Args:
        target: the file, or the descriptor that standard output has.
        stop: whether to give up waiting for a reader that does not read.
    """

    def __init__(self, target: Path | int, stop: Callable[[], bool] = lambda: False) -> None:
        self.target, self.stop = target, stop
        self.written, self.gone, self.problem = 0, False, ""
        self._descriptor = target if isinstance(target, int) else -1
        self._regular = False

    def write(self, seen: Seen) -> None:
        """Write the line of a frame; what prevents that is kept in `gone` and `problem`."""
        if self.gone or self.problem:
            return
        try:
            if not self.written and not self.open():
                self.problem = UNREAD
            elif self.put(msgspec.json.encode(line_of(seen, time.monotonic_ns())) + b"\n"):
                self.written += 1
            else:
                self.problem = STALLED
        except BrokenPipeError:
            self.gone = True
        except OSError as error:
            self.gone = error.errno == errno.EINVAL and os.name == "nt"  # what Windows says of a pipe without reader
            self.problem = error.strerror or str(error)

    def open(self) -> bool:
        """Open the file, which replaces another one of that name; a pipe, when somebody reads it.

        Returns:
            False where it was asked to stop while nobody did.
        """
        while isinstance(self.target, Path) and self._descriptor < 0:
            try:
                self._descriptor = os.open(self.target, FLAGS, 0o666)
                if hasattr(os, "O_NONBLOCK"):
                    os.set_blocking(self._descriptor, True)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                if self.stop():
                    return False
                time.sleep(LOOK_S)
        self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        return True

    def put(self, data: bytes) -> bool:
        """Write all bytes, or none of them where a file's disk is full.

        Returns:
            False where it was asked to stop while the reader had stalled.
        """
        rest, end = memoryview(data), Deadline(math.inf, GRACE_S, self.stop)
        try:
            while rest:
                if self._regular or os.name == "nt":
                    rest = rest[os.write(self._descriptor, rest) :]
                elif select.select([], [self._descriptor], [], LOOK_S)[1]:
                    rest = rest[os.write(self._descriptor, rest[:PIECE]) :]
                elif not end.left:
                    return False
        except OSError:
            if self._regular and len(rest) < len(data):
                start = os.lseek(self._descriptor, 0, os.SEEK_CUR) - (len(data) - len(rest))
                os.ftruncate(self._descriptor, start)
            raise
        return True

    def close(self) -> None:
        """Close the file; may be called twice."""
        if isinstance(self.target, Path) and self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
