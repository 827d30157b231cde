"""What the model says of candidates, in the order in which they lie within each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box
from runtime.camera.reading.cut import Candidate

SETTLED = 0.95
DIGITS = tuple("0123456789")
Said: TypeAlias = tuple[int, float, NDArray[np.float32]]  # the likeliest digit, its probability, and that of each


@dataclass(eq=False)
class Answer:
    """What the model says of a candidate, and what it said of the candidates about and within it.

    Attributes:
        candidate: that was read.
        number: the likeliest digit.
        probability: of that, by the model.
        probabilities: of each digit, float32 (10,).
        depth: candidates that it is a part of, but for those that were put together.
        whole: the largest probability among those; 0 where there are none.
        ways: the ways to see parts in it instead.
        sureness: that the answer is right, all things considered, 0..1; 0 before that is done.
    """

    candidate: Candidate
    number: int
    probability: float
    probabilities: NDArray[np.float32]
    depth: int = 0
    whole: float = 0.0
    ways: list[list[Answer]] = field(default_factory=list)
    sureness: float = 0.0

    @property
    def box(self) -> Box:
        """Of the candidate."""
        return self.candidate.box

    @property
    def label(self) -> str:
        """The digit, by name."""
        return DIGITS[self.number]

    @property
    def bar(self) -> bool:
        """Whether it is taken for a 1, as which any straight stroke passes."""
        return self.number == 1

    @property
    def settled(self) -> bool:
        """Whether it is so surely one digit that its parts need not be looked at."""
        return self.probability >= SETTLED and not self.bar and not self.candidate.joined

    @property
    def in_doubt(self) -> bool:
        """Whether it is not clearly a digit, and there are not clearly digits in it."""
        return self.clear < SETTLED

    @property
    def clear(self) -> float:
        """How likely it is, by the model, that it is a digit, or that all is that it was taken apart into."""
        return max([self.probability, *(min(part.probability for part in way) for way in self.ways)])

    @property
    def halves(self) -> float:
        """The least probability among the parts that it was cut into, of the best way to do so; or 0."""
        return max(
            (min(part.probability for part in way) for way in self.ways if way[0].candidate.severed), default=0.0
        )

    @property
    def within(self) -> float:
        """The largest probability among the shapes within it; or 0."""
        inner = (part.probability for way in self.ways for part in way if not part.candidate.severed)
        return max(inner, default=0.0)


def walk(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Candidates and all their parts."""
    for candidate in candidates:
        yield candidate
        for way in candidate.parts:
            yield from walk(way)


def attach_parts(whole: Answer, said: Iterator[Said]) -> None:
    """Add what was said of the parts of a candidate to what was said of it.

    Args:
        whole: the answer about that.
        said: of each of its parts, in the order of `walk`.
    """
    for way in whole.candidate.parts:
        parts = []
        for candidate in way:
            depth = whole.depth + (not whole.candidate.joined)
            parts.append(Answer(candidate, *next(said), depth, max(whole.whole, whole.probability)))
            attach_parts(parts[-1], said)
        whole.ways.append(parts)


def walk_answers(answers: Iterable[Answer]) -> Iterator[Answer]:
    """Answers and those of all their parts."""
    for answer in answers:
        yield answer
        for way in answer.ways:
            yield from walk_answers(way)
