"""A source, a reader and a tracker in place of the real ones, for tests of what comes after them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from runtime.camera.frame import Box, Digit, Frame, Number, Picture, Reading, State, Tracked
from runtime.camera.stages import Stages

SIDE = 20


def moving_picture(index: int, size: tuple[int, int] = (160, 120)) -> Picture:
    """A dark square that moves over a light ground."""
    picture = np.full((size[1], size[0], 3), 220, np.uint8)
    x = 10 + index * 3 % (size[0] - 40)
    cv2.rectangle(picture, (x, 30), (x + SIDE - 1, 30 + SIDE - 1), (20, 20, 20), cv2.FILLED)
    return picture


class DrawnSource:
    """Meets `Source`.

    Attributes:
        live: as a camera is.
        closed: whether it was closed.

    Args:
        count: frames, then it has ended; None for no end.
        live: frames come by the clock, and the newest is handed out.
        fps: of a live source.
        gaps: before the frames of these numbers, or those after them, it reports itself lost once.
        gap_s: how long that takes.
        age_s: that its frames have when they are handed out.
        sizes: of frames, in turn.
        still: what they show does not move.
    """

    def __init__(
        self,
        count: int | None = 10,
        *,
        live: bool = False,
        fps: float | None = 30.0,
        gaps: Iterable[int] = (),
        age_s: float = 0.0,
        sizes: Sequence[tuple[int, int]] = ((160, 120),),
        names: Sequence[str] = ("drawn",),
        name: str = "drawn",
        gap_s: float = 0.02,
        still: bool = False,
    ) -> None:
        self.name, self.live, self.fps = name, live, fps
        self.size: tuple[int, int] | None = sizes[0]
        self.state, self.status, self.dropped, self.reconnects, self.problem = State.CONNECTING, "", 0, 0, ""
        self.count, self.age_s, self.sizes, self.names = count, age_s, sizes, names
        self.gaps, self.gap_s, self.still = set(gaps), gap_s, still
        self.next, self.closed = 0, False
        self.start: float | None = None

    def read(self, timeout: float) -> Frame | None:
        if due := {gap for gap in self.gaps if gap <= self.next}:
            self.gaps -= due
            self.state, self.status = State.LOST, "no frame for 2.0 s, trying again in 0.8 s"
            time.sleep(self.gap_s)
            return None
        self.reconnects += self.state is State.LOST
        self.state, self.status = State.STREAMING, "160x120, drawn"
        if self.live:
            self.start = self.start or time.monotonic()
            while (now := int((time.monotonic() - self.start) * (self.fps or 30))) < self.next:
                time.sleep(0.001)
            now = now if self.count is None else min(now, self.count)
            self.dropped += now - self.next
            self.next = now
        if self.count is not None and self.next >= self.count:
            self.state = State.ENDED
            return None
        index, self.next = self.next, self.next + 1
        picture = moving_picture(0 if self.still else index, self.sizes[index % len(self.sizes)])
        past = int(self.age_s * 1e9)
        return Frame(
            picture, index, time.monotonic_ns() - past, time.time_ns() - past, self.names[index % len(self.names)]
        )

    def close(self) -> None:
        self.closed = True


class SquareReader:
    """Takes every dark square for a 7, and refuses what is tiny.

    Attributes:
        shapes: of the pictures that it was given.
        together: how many came at once.

    Args:
        seconds: that it takes.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.shapes = seconds, list[tuple[int, ...]]()
        self.stages: dict[str, float] = {}
        self.threshold, self.inferences, self.batches = 0.5, 0, 0
        self.together: list[int] = []

    def read_all(self, images: Sequence[Picture]) -> list[Reading]:
        time.sleep(self.seconds)
        self.together.append(len(images))
        self.batches += 1
        return [self.read(image) for image in images]

    def read(self, image: Picture) -> Reading:
        self.inferences += 1
        self.shapes.append(image.shape)
        grey = np.asarray(image[:, :, 0])
        self.stages = {"find": 0.001, "crop": 0.002, "infer": 0.003, "choose": 0.0005}
        ys, xs = np.nonzero(grey < 100)
        if not len(ys):
            return Reading((), ())
        box: Box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
        return Reading((Digit(box, "7", 0.9),), ((1, 2, 3, 4),))


class OneTrack:
    """Follows the one digit that there is."""

    def update(self, reading: Reading, now_ns: int) -> tuple[Tracked, ...]:
        return tuple(Tracked(digit.box, digit.label, digit.probability, 1) for digit in reading.digits)


def each_a_number(digits: Sequence[Tracked]) -> tuple[Number, ...]:
    """Every digit by itself."""
    return tuple(Number(digit.label, digit.box, (digit.track,)) for digit in digits)


def stand_ins(reader: SquareReader | None = None, every_frame: bool = False) -> Stages:
    """All three."""
    return Stages(reader or SquareReader(), lambda source: OneTrack(), each_a_number, every_frame)
