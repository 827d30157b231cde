"""What the page is sent, and what it may say; docs/camera.md describes it for other programs."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Struct

from runtime.camera.controls import SMALLEST_REGION
from runtime.camera.frame import Box, Number, Tracked
from runtime.camera.timing import StageTimes
from runtime.camera.web.messages import Answers, SourceStats, Stats


class FrameText(Struct, frozen=True, tag="frame"):
    """What was read on a frame, whose picture follows. Boxes are in pixels of the source's frame."""

    source: int
    frame: int
    age_ms: float
    width: int
    height: int
    region: Box | None
    digits: tuple[Tracked, ...]
    refused: tuple[Box, ...]
    numbers: tuple[Number, ...]

    @classmethod
    def of(cls, source: int, answers: Answers) -> FrameText:
        """For the frame of a source."""
        return cls(
            source,
            answers.frame,
            answers.age_ms,
            *answers.size,
            answers.region,
            answers.digits,
            answers.refused,
            answers.numbers,
        )


class PageSource(Struct, frozen=True):
    """How a source does.

    Attributes:
        index: its number; -1 for all visitors together.
        viewable: whether it has pictures to be watched here.
    """

    index: int
    viewable: bool
    name: str
    state: str
    status: str
    live: bool
    size: tuple[int, int] | None
    fps: float
    latency_ms: float
    frames: int
    dropped: dict[str, int]
    reconnects: int
    region: Box | None
    error: str

    @classmethod
    def of(cls, stats: SourceStats) -> PageSource:
        """For a source."""
        same = {name: getattr(stats, name) for name in cls.__struct_fields__ if name != "viewable"}
        return cls(viewable=stats.index >= 0, **same)


class StatsText(Struct, frozen=True, tag="stats"):
    """How all goes."""

    paused: bool
    threshold: float
    uptime_s: float
    sources: tuple[PageSource, ...]
    latency_ms: dict[str, StageTimes]

    @classmethod
    def of(cls, stats: Stats) -> StatsText:
        """From what the reading process tells."""
        sources = tuple(map(PageSource.of, stats.sources))
        return cls(stats.paused, stats.threshold, stats.uptime_s, sources, stats.latency_ms)


class AnswerText(Struct, frozen=True, tag="answer"):
    """What was read on a visitor's own frame."""

    frame: int
    age_ms: float
    width: int
    height: int
    digits: tuple[Tracked, ...]
    refused: tuple[Box, ...]
    numbers: tuple[Number, ...]

    @classmethod
    def of(cls, frame: int, answers: Answers) -> AnswerText:
        """For the frame that the visitor sent as this one."""
        return cls(frame, answers.age_ms, *answers.size, answers.digits, answers.refused, answers.numbers)


class DroppedText(Struct, frozen=True, tag="dropped"):
    """A visitor's frame was not read."""

    frame: int
    reason: str


class ReadyText(Struct, frozen=True, tag="ready"):
    """A visitor may send frames."""

    visitor: int
    largest_bytes: int
    largest_side: int


class ErrorText(Struct, frozen=True, tag="error"):
    """What somebody asked for is not done."""

    message: str


class ByeText(Struct, frozen=True, tag="bye"):
    """The connection is closed."""

    reason: str


class Next(Struct, frozen=True, tag="next"):
    """The newest frame is wanted."""


class Watch(Struct, frozen=True, tag="watch"):
    """Frames of another source are wanted."""

    source: int


class Pause(Struct, frozen=True, tag="pause"):
    """The reading is to stand still, or to go on."""

    paused: bool


class Region(Struct, frozen=True, tag="region"):
    """This part of a source's frames is to be read."""

    source: int
    region: tuple[int, int, int, int] | None

    def problem(self, sources: int) -> str:
        """Why that cannot be done; empty where it can."""
        if not 0 <= self.source < sources:
            return f"there is no source {self.source}"
        if self.region and (min(self.region[:2]) < 0 or min(self.region[2:]) < SMALLEST_REGION):
            return f"a region has at least {SMALLEST_REGION} pixels a side, and lies within the frame"
        if self.region and max(self.region) > 100_000:
            return "a region lies within the frame"
        return ""


class Threshold(Struct, frozen=True, tag="threshold"):
    """So sure a digit has to be."""

    value: float


Asked: TypeAlias = Next | Watch | Pause | Region | Threshold
decode = msgspec.json.Decoder(Asked).decode
