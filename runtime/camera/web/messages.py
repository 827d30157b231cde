"""What the reading process and the one that serves the page say to each other: a line of JSON each.

The page's process asks, and gets one answer for each: however slow it is, nothing piles up. Pixels go through
`FrameMemory`, one place for each source and each visitor.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Struct

from runtime.camera.frame import Box, Number, Tracked
from runtime.camera.timing import StageTimes

MOST_VISITORS = 8  # who bring a camera of their own: each one costs the reading as much as a camera


class Order(Struct, frozen=True):
    """What is to be served; the first line.

    Attributes:
        socket: descriptor of the socket that listens.
        sources: names of the sources that the page shows.
        memories: names of the `FrameMemory` of each of them.
        visitors: names of the `FrameMemory` of each visitor there may be; empty where they are not invited.
        page: whether there is a page; else health and metrics alone.
        token: that a visitor has to know; empty where none is needed.
        hosts: names of this machine, beside its addresses.
        certificate: PEM file for TLS; empty without.
        key: PEM file of its key.
        parent: the id of the reading process.
    """

    socket: int
    sources: tuple[str, ...]
    memories: tuple[str, ...]
    visitors: tuple[str, ...]
    page: bool
    token: str
    hosts: tuple[str, ...]
    certificate: str
    key: str
    parent: int


class Answers(Struct, frozen=True):
    """What was read on a frame. Boxes are in pixels of the source's frame."""

    frame: int
    age_ms: float
    size: tuple[int, int]
    digits: tuple[Tracked, ...]
    refused: tuple[Box, ...]
    numbers: tuple[Number, ...]
    region: Box | None


class Histogram(Struct, frozen=True):
    """Durations of a stage.

    Attributes:
        counts: how many are at most as long as each of `BOUNDS_S`.
        sum_s: seconds of all together.
    """

    counts: tuple[int, ...]
    sum_s: float


class SourceStats(Struct, frozen=True):
    """How a source does; of visitors, all together.

    Attributes:
        index: its number on the page; -1 of visitors.
        error: why it gives no frames any more.
    """

    index: int
    name: str
    state: str
    status: str
    live: bool
    size: tuple[int, int] | None
    fps: float
    latency_ms: float
    frames: int
    recalled: int
    dropped: dict[str, int]
    reconnects: int
    digits: int
    refused: int
    region: Box | None
    error: str


class Stats(Struct, frozen=True, tag="stats"):
    """How all goes."""

    paused: bool
    threshold: float
    uptime_s: float
    inferences: int
    batches: int
    sources: tuple[SourceStats, ...]
    latency_ms: dict[str, StageTimes]
    stages: dict[str, Histogram]


class Shown(Struct, frozen=True, tag="shown"):
    """The frame of a source that was asked for; its pixels are in the source's memory.

    Attributes:
        source: its number.
        shape: of the pixels, uint8.
        answers: what was read on it.
    """

    source: int
    shape: tuple[int, ...]
    answers: Answers


class Answered(Struct, frozen=True, tag="answered"):
    """What was read on a visitor's latest frame; None where it was not read.

    Visitors are named by their numbers, which are not given again: what is late for one who has left is nobody's.
    """

    visitor: int
    answers: Answers | None


class AskFrame(Struct, frozen=True, tag="frame"):
    """The next frame of a source is wanted."""

    source: int


class AskStats(Struct, frozen=True, tag="stats"):
    """Stats are wanted."""


class SetPaused(Struct, frozen=True, tag="pause"):
    """Somebody stops the reading, or lets it go on."""

    paused: bool


class SetRegion(Struct, frozen=True, tag="region"):
    """Somebody chose the part of a source's frames that is read."""

    source: int
    region: Box | None


class SetThreshold(Struct, frozen=True, tag="threshold"):
    """Somebody chose how sure a digit has to be."""

    value: float


class Came(Struct, frozen=True, tag="came"):
    """A visitor with a camera.

    Attributes:
        visitor: the number of this one.
        place: of the memory for the pixels.
    """

    visitor: int
    place: int


class Left(Struct, frozen=True, tag="left"):
    """That visitor is gone."""

    visitor: int


class Offered(Struct, frozen=True, tag="offered"):
    """A visitor's frame; its pixels are in the visitor's memory, until it is answered."""

    visitor: int
    shape: tuple[int, ...]
    monotonic_ns: int
    utc_ns: int


ToPage: TypeAlias = Stats | Shown | Answered
FromPage: TypeAlias = AskFrame | AskStats | SetPaused | SetRegion | SetThreshold | Came | Left | Offered

encode = msgspec.json.encode

decode_to_page = msgspec.json.Decoder(ToPage).decode
decode_from_page = msgspec.json.Decoder(FromPage).decode
decode_order = msgspec.json.Decoder(Order).decode
