"""What the stages of the camera hand on: a frame, what was read on it, what was followed over frames."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]
#: x, y, width, height in pixels of the source's frame.
Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        image: uint8 (H, W, 3), BGR, as OpenCV has it. Not to be written to.
        index: place in the source, from 0; frames that were dropped count too.
        monotonic_ns: when it was taken, or came in, by `time.monotonic_ns()`.
        utc_ns: the same by `time.time_ns()`.
        source: the name of the source; of a folder, that of the picture.
    """

    image: Picture
    index: int
    monotonic_ns: int
    utc_ns: int
    source: str


@dataclass(frozen=True)
class Digit:
    """A digit that was read, and is no refusal.

    Attributes:
        box: round its ink.
        label: the class's name.
        probability: that it is a digit, and that one, 0..1.
    """

    box: Box
    label: str
    probability: float


@dataclass(frozen=True)
class Reading:
    """What is on one frame.

    Attributes:
        digits: what was accepted, left to right.
        refused: boxes of what was looked at and is no digit.
        recalled: whether it is that of an earlier frame, since which nothing has changed.
    """

    digits: tuple[Digit, ...]
    refused: tuple[Box, ...]
    recalled: bool = False


@dataclass(frozen=True)
class Tracked:
    """A digit that is followed over frames.

    Attributes:
        box: in this frame.
        label: what the frames so far voted for.
        probability: of that label, averaged over the latest frames, 0..1.
        track: its id: 1, 2, ... in the order in which digits appeared; not given again.
    """

    box: Box
    label: str
    probability: float
    track: int


@dataclass(frozen=True)
class Number:
    """Neighbouring digits, read left to right.

    Attributes:
        text: such as "407".
        box: round all of them.
        tracks: of the digits, left to right.
    """

    text: str
    box: Box
    tracks: tuple[int, ...]


class State(Enum):
    """Of a source."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    LOST = "lost"  # it is tried again and again
    ENDED = "ended"


class Source(Protocol):
    """Where frames come from.

    Attributes:
        name: as the user gave it, without a password.
        live: whether frames come in by themselves, so that one that is not taken in time is lost to a newer one.
        fps: frames per second that it says it has; None where it does not say.
        size: width and height of the latest frame, or as announced; None before anything is known.
        state: of the source.
        status: what a person would want to know beside that, such as "640x480 MJPG, 30 fps" or "no frame for 2.0 s,
            trying again in 0.8 s"; may be empty.
        dropped: frames that came in and were never handed out, since newer ones replaced them.
        reconnects: how often it was lost and came back.
        problem: why it gives no frames now, or gave not all that it has; empty where nothing is wrong.
    """

    name: str
    live: bool
    fps: float | None
    size: tuple[int, int] | None
    state: State
    dropped: int
    reconnects: int

    @property
    def status(self) -> str: ...

    @property
    def problem(self) -> str: ...

    def read(self, timeout: float) -> Frame | None:
        """The next frame: of a live source the newest one, of any other the one that follows.

        Args:
            timeout: seconds to wait at most.

        Returns:
            None where none came in that time, or where the source has ended: `state` tells.

        Raises:
            SourceError: it cannot be opened, for a reason that trying again does not mend.
        """
        ...

    def close(self) -> None:
        """Give the camera, processes and memory back; may be called twice."""
        ...
