"""What the pipeline reads with: a reader of pictures, what follows digits over frames, what makes numbers of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.camera.frame import Number, Picture, Reading, Source, Tracked


class Reader(Protocol):
    """Reads the digits of pictures.

    Attributes:
        stages: seconds that the latest ones took, by what was done.
        threshold: an answer less sure is refused, 0..1.
        inferences: images that the model has seen.
        batches: calls that they came in.
    """

    stages: dict[str, float]
    threshold: float
    inferences: int
    batches: int

    def read_all(self, images: Sequence[Picture]) -> list[Reading]:
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
        make_tracker: gives a fresh one for a source: pictures of a folder do not belong together.
        read_numbers: the numbers that digits make.
        every_frame: whether to read frames on which nothing has changed, too.
    """

    reader: Reader
    make_tracker: Callable[[Source], Follower]
    read_numbers: Callable[[Sequence[Tracked]], tuple[Number, ...]]
    every_frame: bool = False
