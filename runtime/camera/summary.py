"""What a run of the camera has counted, and what it says of that in the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from msgspec import Struct

from runtime.camera.frame import Source
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
        frames: in it.
        missed: frames that are not in it, since the encoder was too slow or the disk full.
        problem: why it ended early; empty where it did not.
    """

    file: str | None
    frames: int
    missed: int
    problem: str


class Summary(Struct, frozen=True):
    """A run of the camera.

    Attributes:
        source: as it was given, without a password.
        ended_by: `source` (it has no more frames), `frames` or `seconds` (as many as were asked for), `signal`, `key`,
            or `reader` (whoever read the lines has left).
        frames: that were read.
        seconds: that it ran.
        fps: frames that were read in a second.
        replaced: frames of a live source that were never taken, since newer ones came.
        too_old: frames that were taken too late, and not read.
        reconnects: how often the source was lost and came back.
        digits: that were accepted, over all frames.
        refused: things that were looked at and are no digits, over all frames.
        lines: of JSON that were written whole; null where none were asked for.
        recording: null where none was asked for.
        latency_ms: percentiles by stage: `age` (from the capture to the reading), `find`, `crop`, `infer`, `choose`,
            `track`, `show` (all outputs) and `total` (from the capture to the end of all outputs).
    """

    source: str
    ended_by: EndedBy
    frames: int
    seconds: float
    fps: float
    replaced: int
    too_old: int
    reconnects: int
    digits: int
    refused: int
    lines: int | None
    recording: Recorded | None
    latency_ms: dict[str, StageTimes]


@dataclass
class Tally:
    """What is counted on the way."""

    start: float = field(default_factory=time.monotonic)
    frames: int = 0
    too_old: int = 0
    digits: int = 0
    refused: int = 0
    latency_s: float = 0.0
    rate: Rate = field(default_factory=Rate)
    timing: Timing = field(default_factory=Timing)
    end: float | None = None

    @property
    def seconds(self) -> float:
        """Until now, or until it ended."""
        return (self.end or time.monotonic()) - self.start


def count(seen: Seen, times: dict[str, float], tally: Tally) -> None:
    """Add a frame to what is counted."""
    tally.frames += 1
    tally.digits += len(seen.digits)
    tally.refused += len(seen.refused)
    tally.rate.tick(time.monotonic())
    total = times["total"]
    tally.latency_s = total if tally.frames == 1 else KEEP * tally.latency_s + (1 - KEEP) * total
    for stage, seconds in times.items():
        tally.timing.add(stage, seconds)


def summarize(
    source: Source, ended_by: EndedBy, tally: Tally, lines: JsonLines | None, recording: Recording | None
) -> Summary:
    """All that was counted, once the outputs are closed."""
    seconds = tally.seconds
    return Summary(
        source=source.name,
        ended_by=ended_by,
        frames=tally.frames,
        seconds=round(seconds, 3),
        fps=round(tally.frames / max(seconds, 1e-9), 2),
        replaced=source.dropped,
        too_old=tally.too_old,
        reconnects=source.reconnects,
        digits=tally.digits,
        refused=tally.refused,
        lines=None if lines is None else lines.written,
        recording=None if recording is None else recorded(recording),
        latency_ms=tally.timing.summary(),
    )


def recorded(recording: Recording) -> Recorded:
    """What became of a recording, once it is closed."""
    return Recorded(
        str(recording.file) if recording.file else None, recording.written, recording.missed, recording.problem
    )
