"""What a run of the camera has counted, and what it says of that in the end."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from msgspec import Struct

from runtime.camera.feed import Feed
from runtime.camera.outputs.lines import JsonLines
from runtime.camera.outputs.recording import Recording
from runtime.camera.outputs.seen import Seen
from runtime.camera.timing import Rate, StageTimes, Timing

KEEP = 0.9  # of the latency that is shown, from frame to frame

#: The source ended, or so many frames or seconds were asked for; a signal, a key, or the reader of the lines has left.
EndedBy: TypeAlias = Literal["source", "frames", "seconds", "signal", "key", "reader"]


class Recorded(Struct, frozen=True):
    """What became of the recording.

    Attributes:
        file: that was written; null where nothing was.
        frames: that were read and are in it. Of a live source the video keeps the time: one is repeated until the next.
        missed: frames that are not in it, since the encoder was too slow or the disk full.
        problem: why it ended early; empty where it did not.
    """

    file: str | None
    frames: int
    missed: int
    problem: str


class Dropped(Struct, frozen=True):
    """Frames that were not read, by the reason.

    Attributes:
        replaced: of a live source, never taken, since newer ones came.
        too_old: taken too late.
        at_end: taken, but then it was the end.
    """

    replaced: int
    too_old: int
    at_end: int


class SourceSummary(Struct, frozen=True):
    """What came of one source. All frames that came were read or dropped.

    Attributes:
        source: as it was given, without a password; `browser://` stands for all visitors together.
        frames: that were read.
        recalled: of these, on which nothing had changed since an earlier one was, whose answers they have.
        dropped: frames that were not.
        reconnects: how often it was lost and came back.
        digits: that were accepted, over all frames.
        refused: things that were looked at and are no digits, over all frames.
        problem: why it could not be read, or not all of it; empty where it could.
    """

    source: str
    frames: int
    recalled: int
    dropped: Dropped
    reconnects: int
    digits: int
    refused: int
    problem: str


class Summary(Struct, frozen=True):
    """A run of the camera.

    Attributes:
        ended_by: `source` (no source has more frames), `frames` or `seconds` (as many as were asked for), `signal`,
            `key`, or `reader` (whoever read the lines has left).
        frames: that were read, of all sources.
        seconds: that it ran.
        fps: frames that were read in a second.
        inferences: images that the model has seen: each frame that is not recalled has some.
        batches: calls that they came in.
        sources: in the order in which they were given.
        lines: of JSON that were written whole; null where none were asked for.
        recording: null where none was asked for.
        latency_ms: percentiles by stage: `age` (from the capture to the reading), `watch` (for a change), `find`,
            `crop`, `infer`, `choose`, `track`, `show` (all outputs) and `total` (from the capture to the end of all
            outputs). Frames of several sources that are read together each have the time of all.
    """

    ended_by: EndedBy
    frames: int
    seconds: float
    fps: float
    inferences: int
    batches: int
    sources: tuple[SourceSummary, ...]
    lines: int | None
    recording: Recorded | None
    latency_ms: dict[str, StageTimes]


@dataclass
class Counts:
    """What is counted of one source, or of all visitors.

    Attributes:
        frames: that were read.
        recalled: of these, whose answers are those of an earlier one.
        latency_s: from capture to the end of all outputs, smoothed.
    """

    frames: int = 0
    recalled: int = 0
    too_old: int = 0
    digits: int = 0
    refused: int = 0
    latency_s: float = 0.0
    rate: Rate = field(default_factory=Rate)

    def add(self, seen: Seen, total_s: float) -> None:
        """One more frame, that took so long in all."""
        self.frames += 1
        self.recalled += seen.recalled
        self.digits += len(seen.digits)
        self.refused += len(seen.refused)
        self.rate.tick(time.monotonic())
        self.latency_s = total_s if self.frames == 1 else KEEP * self.latency_s + (1 - KEEP) * total_s


@dataclass
class Tally:
    """What is counted on the way.

    Attributes:
        sources: by the name under which a source is counted.
        inferences: images that the model has seen.
        batches: calls that they came in.
    """

    start: float = field(default_factory=time.monotonic)
    sources: defaultdict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    timing: Timing = field(default_factory=Timing)
    inferences: int = 0
    batches: int = 0
    end: float | None = None

    @property
    def frames(self) -> int:
        """That were read, of all sources."""
        return sum(counts.frames for counts in self.sources.values())

    @property
    def seconds(self) -> float:
        """Until now, or until it ended."""
        return (self.end or time.monotonic()) - self.start

    def add(self, counted_as: str, seen: Seen, times: dict[str, float]) -> None:
        """One more frame of a source, and what each stage took, in seconds."""
        self.sources[counted_as].add(seen, times["total"])
        for stage, seconds in times.items():
            self.timing.add(stage, seconds)


def summarize(
    feed: Feed, ended_by: EndedBy, tally: Tally, lines: JsonLines | None, recording: Recording | None
) -> Summary:
    """All that was counted, once the sources and the outputs are closed."""
    seconds = tally.seconds
    return Summary(
        ended_by=ended_by,
        frames=tally.frames,
        seconds=round(seconds, 3),
        fps=round(tally.frames / max(seconds, 1e-9), 2),
        inferences=tally.inferences,
        batches=tally.batches,
        sources=summaries(feed, tally),
        lines=None if lines is None else lines.written,
        recording=None if recording is None else recorded(recording),
        latency_ms=tally.timing.summary(),
    )


def summaries(feed: Feed, tally: Tally) -> tuple[SourceSummary, ...]:
    """Of each source so far; of visitors together."""
    return tuple(
        SourceSummary(
            source=name,
            frames=(counts := tally.sources[name]).frames,
            recalled=counts.recalled,
            dropped=Dropped(drops.replaced, counts.too_old, drops.at_end),
            reconnects=drops.reconnects,
            digits=counts.digits,
            refused=counts.refused,
            problem=drops.problem,
        )
        for name, drops in feed.drops().items()
    )


def recorded(recording: Recording) -> Recorded:
    """What became of a recording, once it is closed."""
    return Recorded(
        str(recording.file) if recording.file else None, recording.written, recording.missed, recording.problem
    )
