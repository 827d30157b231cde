"""The camera from end to end: a frame is taken, read, followed and shown, one after the other, in one thread.

Of a live source only the newest frame is read, so that the answers are about now: what came in the meantime, or is too
old, is dropped and counted. Of any other source every frame is read, however long it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from runtime.camera.frame import Box, Frame, Number, Picture, Reading, Source, State, Tracked
from runtime.camera.outputs.drawing import draw
from runtime.camera.outputs.lines import JsonLines
from runtime.camera.outputs.recording import Recording
from runtime.camera.outputs.seen import Seen, Status
from runtime.camera.outputs.window import Window
from runtime.camera.summary import EndedBy, Tally, count
from runtime.errors import InputError

WAIT_S = 0.1  # for a frame, before the window and the signals are looked after again


class Reader(Protocol):
    """Reads the digits of a picture; `stages` are the seconds that the latest one took, by what was done."""

    stages: dict[str, float]

    def read(self, image: Picture) -> Reading:
        """Find and read."""
        ...


class Follower(Protocol):
    """Follows digits over frames."""

    def update(self, reading: Reading, now_ns: int) -> tuple[Tracked, ...]:
        """Take the next frame's reading."""
        ...


@dataclass(frozen=True)
class Stages:
    """What does the reading.

    Attributes:
        reader: of pictures.
        make_tracker: gives a fresh one: pictures of a folder do not belong together.
        read_numbers: the numbers that digits make.
    """

    reader: Reader
    make_tracker: Callable[[], Follower]
    read_numbers: Callable[[Sequence[Tracked]], tuple[Number, ...]]


@dataclass
class Outputs:
    """Where answers go; what is None is left out.

    Attributes:
        lines: of JSON.
        recording: of the pictures with what was read on them.
        window: for a person.
        say: takes a line about the source or an output, for people.
    """

    lines: JsonLines | None = None
    recording: Recording | None = None
    window: Window | None = None
    say: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Limits:
    """How much is read.

    Attributes:
        frames: to read, then it ends.
        seconds: to run, then it ends.
        max_age_s: of a live source's frame that is still read.
        region: of the frame that is read; the window may change it.
    """

    frames: int | None = None
    seconds: float | None = None
    max_age_s: float = 0.5
    region: Box | None = None


def run(
    source: Source, stages: Stages, outputs: Outputs, limits: Limits, stop: Callable[[], bool]
) -> tuple[EndedBy, Tally]:
    """Read a source until it ends, or something asks to stop. Neither source nor outputs are closed.

    Args:
        source: of frames.
        stages: what reads them.
        outputs: where the answers go.
        limits: how much is read.
        stop: whether a signal asked to stop.

    Returns:
        Why it ended, and what was counted.

    Raises:
        SourceError: the source cannot be opened.
        InputError: the region lies outside of the frame.
    """
    tally, teller = Tally(), Teller(source, outputs)
    tracker, of_source = stages.make_tracker(), ""
    seen: Seen | None = None
    clock = time.perf_counter
    while (ended_by := why_end(source, tally, outputs, limits, stop)) is None:
        if outputs.window and outputs.window.paused:
            show_again(seen, source, tally, outputs)
            teller.tell()
            continue
        frame = source.read(WAIT_S)
        teller.tell()
        if frame is None:
            if source.state in (State.CONNECTING, State.LOST):
                show_again(seen, source, tally, outputs)
            elif outputs.window:  # the next one is on its way
                outputs.window.listen(1)
            continue
        age = seconds_since(frame)
        if source.live and age > limits.max_age_s:
            tally.too_old += 1
            show_again(seen, source, tally, outputs)
            continue
        if frame.source != of_source:
            tracker, of_source = stages.make_tracker(), frame.source
        region = region_of(frame, outputs, limits, first=not tally.frames)
        reading = shifted(stages.reader.read(crop(frame.image, region)), region)
        start = clock()
        digits = tracker.update(reading, frame.monotonic_ns)
        numbers = stages.read_numbers(digits)
        tracked = clock()
        seen = Seen(frame, digits, numbers, reading.refused, region)
        show(seen, source, tally, outputs)
        end = clock()
        times = {"age": age, **stages.reader.stages, "track": tracked - start, "show": end - tracked}
        count(seen, {**times, "total": seconds_since(frame)}, tally)
    teller.tell()
    tally.end = time.monotonic()
    return ended_by, tally


def why_end(source: Source, tally: Tally, outputs: Outputs, limits: Limits, stop: Callable[[], bool]) -> EndedBy | None:
    """Why to read no more; None where there is no reason."""
    if stop():
        return "signal"
    if outputs.window and outputs.window.closed:
        return "key"
    if outputs.lines and outputs.lines.gone:
        return "reader"
    if limits.frames is not None and tally.frames >= limits.frames:
        return "frames"
    if limits.seconds is not None and tally.seconds >= limits.seconds:
        return "seconds"
    return "source" if source.state is State.ENDED else None


def seconds_since(frame: Frame) -> float:
    """Since it was taken."""
    return (time.monotonic_ns() - frame.monotonic_ns) / 1e9


def region_of(frame: Frame, outputs: Outputs, limits: Limits, *, first: bool) -> Box | None:
    """What part of a frame to read, within it.

    Raises:
        InputError: the region that was asked for lies outside of the first frame.
    """
    wanted = outputs.window.region if outputs.window else limits.region
    if wanted is None:
        return None
    height, width = frame.image.shape[0], frame.image.shape[1]
    left, top = max(0, wanted[0]), max(0, wanted[1])
    right, bottom = min(width, wanted[0] + wanted[2]), min(height, wanted[1] + wanted[3])
    if left < right and top < bottom:
        return left, top, right - left, bottom - top
    if first:
        raise InputError(
            f"the region {','.join(map(str, wanted))} lies outside of the frame, which is {width}x{height}",
            "give X,Y,WIDTH,HEIGHT in pixels of the frame",
        )
    return None  # the source changed its size


def crop(image: Picture, region: Box | None) -> Picture:
    """That part of a picture, not copied."""
    if region is None:
        return image
    x, y, width, height = region
    return image[y : y + height, x : x + width]


def shifted(reading: Reading, region: Box | None) -> Reading:
    """A reading of a region, in pixels of the whole frame."""
    if region is None:
        return reading
    left, top = region[:2]
    return Reading(
        tuple(replace(digit, box=moved(digit.box, left, top)) for digit in reading.digits),
        tuple(moved(box, left, top) for box in reading.refused),
    )


def moved(box: Box, right: int, down: int) -> Box:
    """A box so many pixels further right and down."""
    return box[0] + right, box[1] + down, box[2], box[3]


def show(seen: Seen, source: Source, tally: Tally, outputs: Outputs) -> None:
    """Hand a frame's answers to all outputs."""
    if outputs.lines:
        outputs.lines.write(seen)
    if outputs.window or outputs.recording:
        picture = draw_now(seen, source, tally, outputs)
        if outputs.recording:
            outputs.recording.add(picture, seen.frame.monotonic_ns)
        if outputs.window:
            outputs.window.show(picture)


def show_again(seen: Seen | None, source: Source, tally: Tally, outputs: Outputs) -> None:
    """Keep the window alive and true while no frame comes; a live recording shows, too, that there was none."""
    paused = bool(outputs.window and outputs.window.paused)
    if seen and outputs.recording and source.live and not paused:
        outputs.recording.add(draw_now(seen, source, tally, outputs), time.monotonic_ns())
    if outputs.window:
        outputs.window.show(draw_now(seen or nothing_of(source), source, tally, outputs))
        outputs.window.listen(round(1000 * WAIT_S) if paused else 1)


def nothing_of(source: Source) -> Seen:
    """A black frame, before there is one."""
    width, height = source.size or (640, 480)
    return Seen(Frame(np.zeros((height, width, 3), np.uint8), 0, 0, 0, source.name))


def draw_now(seen: Seen, source: Source, tally: Tally, outputs: Outputs) -> Picture:
    """The picture of a frame with how it goes at this moment."""
    window, recording = outputs.window, outputs.recording
    text = "paused" if window and window.paused else source.status
    status = Status(
        seen.frame.source,
        source.state,
        text,
        tally.rate.value,
        1e3 * tally.latency_s,
        source.dropped + tally.too_old,
        recording.text if recording else "",
    )
    return draw(seen, status, help_shown=bool(window and window.help_shown))


class Teller:
    """Says once what changes: the state of the source, an output that ended, what a key did."""

    def __init__(self, source: Source, outputs: Outputs) -> None:
        self.source, self.outputs = source, outputs
        self.state: State | None = None
        self.told: set[str] = set()

    def tell(self) -> None:
        """Say what is new."""
        if self.source.state is not self.state:
            self.state = self.source.state
            about = f": {self.source.status}" if self.source.status else ""
            self.outputs.say(f"{self.source.name}: {self.state.value}{about}")
        lines, recording, window = self.outputs.lines, self.outputs.recording, self.outputs.window
        if lines and lines.problem and not lines.gone:
            self.once("lines", f"no more lines are written: {lines.problem}")
        if recording and recording.problem:
            self.once("recording", f"the recording has stopped: {recording.problem}")
        if window and window.note:
            self.outputs.say(window.note)
            window.note = ""

    def once(self, about: str, text: str) -> None:
        """Say a thing that stays true."""
        if about not in self.told:
            self.told.add(about)
            self.outputs.say(text)
