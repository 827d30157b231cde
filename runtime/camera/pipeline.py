"""The camera from end to end: frames are taken, read in one batch, followed and shown, one step after the other.

Of a live source only the newest frame is read, so that the answers are about now: what came in the meantime, or is too
old, is dropped and counted. Of any other source every frame is read, however long it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from runtime.camera.controls import Controls
from runtime.camera.feed import Channel, Feed
from runtime.camera.following import Following
from runtime.camera.frame import Frame, Picture, Reading, Source, State
from runtime.camera.outputs.drawing import draw
from runtime.camera.outputs.outputs import Outputs
from runtime.camera.outputs.seen import Seen, Status
from runtime.camera.regions import crop, shifted
from runtime.camera.stages import Stages
from runtime.camera.summary import EndedBy, Tally
from runtime.camera.teller import Teller
from runtime.camera.watching import Watch

WAIT_S = 0.1  # for a frame, before the window and the signals are looked after again


@dataclass(frozen=True)
class Limits:
    """How much is read.

    Attributes:
        frames: to read, then it ends.
        seconds: to run, then it ends.
        max_age_s: of a live source's frame that is still read.
    """

    frames: int | None = None
    seconds: float | None = None
    max_age_s: float = 0.5


def run(
    feed: Feed, stages: Stages, outputs: Outputs, controls: Controls, limits: Limits, stop: Callable[[], bool]
) -> tuple[EndedBy, Tally]:
    """Read sources until they end, or something asks to stop. Neither sources nor outputs are closed.

    Args:
        feed: of frames.
        stages: what reads them.
        outputs: where the answers go.
        controls: what a person may change meanwhile.
        limits: how much is read.
        stop: whether a signal asked to stop.

    Returns:
        Why it ended, and what was counted.

    Raises:
        SourceError: no source can be opened.
        InputError: the region lies outside of the first frame.
    """
    loop = Loop(feed, stages, outputs, controls, limits)
    while (ended_by := loop.why_end(stop)) is None:
        loop.attend()
        fresh = [] if controls.paused else loop.take()
        if fresh:
            loop.read(fresh)
        loop.show_again({channel for channel, _ in fresh})
    loop.attend()
    loop.tally.end = time.monotonic()
    return ended_by, loop.tally


@dataclass
class Loop:
    """The steps of a run, and what they remember."""

    feed: Feed
    stages: Stages
    outputs: Outputs
    controls: Controls
    limits: Limits
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.teller = Teller(self.feed, self.outputs)
        self.following = Following(self.feed, self.stages.make_tracker, self.controls)

    def why_end(self, stop: Callable[[], bool]) -> EndedBy | None:
        """Why to read no more; None where there is no reason."""
        outputs, limits, tally = self.outputs, self.limits, self.tally
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
        return "source" if self.feed.ended else None

    def attend(self) -> None:
        """Do what there is to do between frames."""
        for output in self.outputs.others:
            output.attend(self.feed, self.tally)
        self.teller.tell()

    def take(self) -> list[tuple[Channel, Frame]]:
        """The frames that are to be read now."""
        fresh = []
        for channel, frame in self.feed.take(WAIT_S):
            if channel.source.live and seconds_since(frame) > self.limits.max_age_s:
                self.tally.sources[channel.counted_as].too_old += 1
            else:
                fresh.append((channel, frame))
        self.teller.tell()
        return fresh

    def read(self, frames: Sequence[tuple[Channel, Frame]]) -> None:
        """Read frames, one of a source at most, in one batch."""
        reader, clock = self.stages.reader, time.perf_counter
        if self.controls.threshold is not None:
            reader.threshold = self.controls.threshold
        ages = [seconds_since(frame) for _, frame in frames]
        regions = [self.following.region(channel, frame) for channel, frame in frames]
        known = [self.following.of(channel, frame) for channel, frame in frames]
        images = [crop(frame.image, region) for (_, frame), region in zip(frames, regions, strict=True)]
        watches = [one.watched(region, reader.threshold) for one, region in zip(known, regions, strict=True)]
        readings = self.read_changed(images, watches)
        self.tally.inferences, self.tally.batches = reader.inferences, reader.batches
        for (channel, frame), age, one, region, reading in zip(frames, ages, known, regions, readings, strict=True):
            start = clock()
            placed = shifted(reading, region)
            digits = one.tracker.update(placed, frame.monotonic_ns)
            numbers = self.stages.read_numbers(digits)
            seen = Seen(frame, digits, numbers, placed.refused, region, reading.recalled)
            tracked = clock()
            one.seen = seen
            self.show(channel, seen)
            times = {"age": age, **reader.stages, "track": tracked - start, "show": clock() - tracked}
            self.tally.add(channel.counted_as, seen, {**times, "total": seconds_since(frame)})

    def read_changed(self, images: Sequence[Picture], watches: Sequence[Watch]) -> Sequence[Reading]:
        """Read pictures of several sources, but for those on which nothing has changed since one was read."""
        reader = self.stages.reader
        if self.stages.every_frame:
            return reader.read_all(images)
        start = time.perf_counter()
        recalled = [watch.recall(image) for watch, image in zip(watches, images, strict=True)]
        times = {"watch": time.perf_counter() - start}
        changed = [image for image, reading in zip(images, recalled, strict=True) if reading is None]
        new = iter(reader.read_all(changed) if changed else ())
        reader.stages = {**times, **(reader.stages if changed else {})}
        return [
            reading or watch.learn(image, next(new))
            for reading, watch, image in zip(recalled, watches, images, strict=True)
        ]

    @property
    def watched(self) -> Channel | None:
        """The source that the window shows, or else the recording."""
        if not self.feed.fixed:
            return None
        return self.feed.fixed[self.outputs.window.watched if self.outputs.window else 0]

    def show(self, channel: Channel, seen: Seen) -> None:
        """Hand a frame's answers to all outputs."""
        outputs = self.outputs
        if outputs.lines:
            outputs.lines.write(seen)
        for output in outputs.others:
            output.show(channel, seen)
        if (outputs.window or outputs.recording) and channel is self.watched:
            picture = self.draw_now(channel, seen)
            if outputs.recording:
                outputs.recording.add(picture, seen.frame.monotonic_ns)
            if outputs.window:
                outputs.window.show(picture)

    def show_again(self, fresh: Set[Channel]) -> None:
        """Keep the window alive and true while its source gives no frame; a live recording shows, too, that none came.

        Args:
            fresh: the sources that gave one now.
        """
        window, recording, paused = self.outputs.window, self.outputs.recording, self.controls.paused
        channel = self.watched
        if channel in fresh:
            return
        if channel and (paused or channel.source.state is not State.STREAMING):
            seen = self.following.latest(channel)
            if seen and recording and channel.source.live and channel.source.state is not State.ENDED and not paused:
                recording.add(self.draw_now(channel, seen), time.monotonic_ns(), again=True)
            if window:
                window.show(self.draw_now(channel, seen or nothing_of(channel.source)))
        if window:  # else the next frame is on its way
            window.listen(round(1000 * WAIT_S) if paused else 1)
        elif paused:
            time.sleep(WAIT_S)

    def draw_now(self, channel: Channel, seen: Seen) -> Picture:
        """The picture of a frame with how it goes at this moment."""
        source, counts = channel.source, self.tally.sources[channel.counted_as]
        window, recording = self.outputs.window, self.outputs.recording
        status = Status(
            seen.frame.source,
            source.state,
            "paused" if self.controls.paused else source.status,
            counts.rate.at(time.monotonic()),
            1e3 * counts.latency_s,
            source.dropped + counts.too_old,
            recording.text if recording else "",
        )
        return draw(seen, status, help_shown=bool(window and window.help_shown))


def seconds_since(frame: Frame) -> float:
    """Since it was taken."""
    return (time.monotonic_ns() - frame.monotonic_ns) / 1e9


def nothing_of(source: Source) -> Seen:
    """A black frame, before there is one."""
    width, height = source.size or (640, 480)
    return Seen(Frame(np.zeros((height, width, 3), np.uint8), 0, 0, 0, source.name))
