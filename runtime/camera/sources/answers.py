"""What comes back from a capturing process: frames, how its stream is, and why there will be no more of it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: FFMPEG and OpenCV put this before what they say: "[tcp @ 0x55d0] ", "[ WARN:0@0.01] global cap.cpp:212 open ".
ORIGIN = re.compile(r"^\[[^\]]*\] ?(global \S+ \S+ )?")
#: OpenCV's own lines say less than FFMPEG's.
CHATTER = re.compile(r"VIDEOIO\(|backend is generally available|^Traceback|^\s|^$")


@dataclass(frozen=True)
class Shot:
    """A frame that was captured, and waits or was handed over.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        index: in the stream of this process, from 0.
        position: seconds from the beginning of a file.
    """

    image: NDArray[np.uint8]
    index: int
    monotonic_ns: int
    utc_ns: int
    position: float


@dataclass(frozen=True)
class Mode:
    """What a stream says of itself when it is opened; None and "" where it does not."""

    size: tuple[int, int] | None = None
    codec: str = ""
    fps: float | None = None
    frames: int | None = None

    def in_words(self, size: tuple[int, int] | None) -> str:
        """As far as it is known, such as `640x480 MJPG, 30 fps`; `size` is of its frames."""
        what = " ".join(filter(None, (f"{size[0]}x{size[1]}" if size else "", self.codec)))
        return ", ".join(filter(None, (what, f"{self.fps:g} fps" if self.fps else "")))


class CaptureOver(Exception):
    """There will be no other frame from this process.

    Args:
        reason: why, for people; "" for the plain end.
        refused: whether it said itself that it cannot open the source.
        damaged: packets that could not be decoded, with good ones behind them.
    """

    def __init__(self, reason: str, refused: bool = False, damaged: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.refused, self.damaged = reason, refused, damaged


def last_words(lines: Sequence[str]) -> str:
    """The last of the lines on standard error that says something."""
    said = (ORIGIN.sub("", line) for line in reversed(lines) if not CHATTER.search(line))
    return next(filter(None, said), "")


def of_exit(code: int, words: str, what: str = "the capturing process") -> str:
    """Why a process ended that should not have: its exit code, or the signal that ended it, below 0."""
    if code >= 0:
        return f"{what} ended with exit code {code}" + (f": {words}" if words else "")
    try:
        return f"{what} died by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"{what} died by signal {-code}"
