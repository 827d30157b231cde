"""What outputs are given: a frame with what was read on it, and how the reading goes."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.camera.frame import Box, Frame, Number, State, Tracked


@dataclass(frozen=True)
class Seen:
    """One frame, and what is on it. Boxes are in pixels of the frame.

    Attributes:
        frame: as it came.
        digits: that are followed, left to right.
        numbers: that they make.
        refused: boxes of what was looked at and is no digit.
        region: the part of the frame that was read; None for all of it.
        recalled: whether what is on it was read on an earlier frame, since which nothing has changed.
    """

    frame: Frame
    digits: tuple[Tracked, ...] = ()
    numbers: tuple[Number, ...] = ()
    refused: tuple[Box, ...] = ()
    region: Box | None = None
    recalled: bool = False

    def sureness(self, number: Number) -> float:
        """The probability of the least sure of the digits of one of its numbers."""
        return min((digit.probability for digit in self.digits if digit.track in number.tracks), default=0.0)


@dataclass(frozen=True)
class Status:
    """How the reading goes, for the line on top of a picture.

    Attributes:
        source: name of the source.
        state: of the source.
        text: what the source says beside that.
        fps: frames a second that are read.
        latency_ms: from a frame's capture to its answers, lately.
        dropped: frames that were not read, since newer ones had come or they were too old.
        recording: what to say of the recording; empty where there is none.
    """

    source: str
    state: State
    text: str = ""
    fps: float = 0.0
    latency_ms: float = 0.0
    dropped: int = 0
    recording: str = ""
