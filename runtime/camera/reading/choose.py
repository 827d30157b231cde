"""Chooses among candidates that overlap: one digit, or several, or none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from runtime.camera.frame import Box
from runtime.camera.reading.cut import Candidate, overlap

CLEARER = 0.3  # of the doubt about a whole, that there may be about its parts, if they are taken in its place
CLEAR = 0.97  # sureness of a part that is taken although others are refused
SEVERED = 0.9  # sureness of digits that touch, when they are cut apart
LEAST_DOUBT = 0.002  # below that, answers are equally sure
SLIM = 0.6  # width over height of a digit, at least, for that comparison: a 1 would make everything large
LARGER = 2.2  # times the width or height of what is in it: then a shape is no letter that it is part of
COVERED = 0.55  # of the box of a whole that was refused, that its parts have to make up
COVERED_IF_CLEAR = 0.4  # the same of parts that are `CLEAR`


@dataclass(frozen=True)
class Answer:
    """A candidate and what the model says of it.

    Attributes:
        box: of the candidate.
        label: its likeliest class.
        probability: of that; 0 where it is refused for what is round it.
        strength: as of the candidate.
        light_ink: whether it is lighter than its ground.
        bar: whether the model takes it for a 1, as which any straight stroke passes.
    """

    box: Box
    label: int
    probability: float
    strength: float
    light_ink: bool
    bar: bool


@dataclass(frozen=True)
class Choice:
    """What to make of a candidate: its sureness, the digits, and what was refused."""

    sureness: float
    digits: tuple[Answer, ...]
    refused: tuple[Box, ...]


def walk(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Candidates and all their parts."""
    for candidate in candidates:
        yield candidate
        for way in candidate.parts:
            yield from walk(way)


def choose(candidate: Candidate, answers: Mapping[int, Answer], threshold: float) -> Choice:
    """The best way to see a candidate.

    Args:
        candidate: one of the roots.
        answers: by the `id` of a candidate.
        threshold: what is less sure is refused.
    """
    answer = answers[id(candidate)]
    sure = answer.probability
    if sure >= threshold and not (candidate.severed and (answer.bar or sure < SEVERED)):
        best = Choice(sure, (answer,), ())
    else:
        best = Choice(0.0, (), (candidate.box,))
    for way in candidate.parts:
        parts = [choose(part, answers, threshold) for part in way]
        digits = tuple(digit for part in parts for digit in part.digits)
        if not digits or (way[0].severed and len(digits) < len(way)):
            continue
        sureness = min(part.sureness for part in parts if part.digits)
        if best.digits:
            clearer = 1 - sureness < CLEARER * (1 - best.sureness)
            whole_set = len(digits) == len(parts)
            if clearer and (whole_set or (sureness > CLEAR and not is_one_thing(candidate.box, digits))):
                best = Choice(sureness, digits, ())
        elif not is_one_thing(candidate.box, digits):
            best = Choice(sureness, digits, tuple(box for part in parts for box in part.refused))
    return best


def is_one_thing(whole: Box, digits: Sequence[Answer]) -> bool:
    """Whether what was refused is a letter or the like, and what was found in it but parts of that.

    It is not where they make up most of it, as digits do that touch, and not where it is far larger than they are, as
    the rules are on which they stand. Bars alone are the legs of an M rather than 1s.
    """
    width, height = max(digit.box[2] for digit in digits), max(digit.box[3] for digit in digits)
    if whole[2] > LARGER * max(width, SLIM * height) or whole[3] > LARGER * height:
        return False
    if all(digit.bar for digit in digits):
        return True
    covered = COVERED_IF_CLEAR if min(digit.probability for digit in digits) > CLEAR else COVERED
    return sum(digit.box[2] * digit.box[3] for digit in digits) < covered * whole[2] * whole[3]


def without_doubles(answers: Iterable[Answer]) -> list[Answer]:
    """Of answers about one place, the surest, and of those the larger: halves of digits look like digits, too."""
    kept: list[Answer] = []
    for answer in sorted(answers, key=lambda answer: (doubt(answer.probability), -answer.box[2] * answer.box[3])):
        if not any(
            overlap(answer.box, other.box) > 0.4
            or inside(answer.box, other.box) > 0.7
            or inside(other.box, answer.box) > 0.7
            for other in kept
        ):
            kept.append(answer)
    return kept


def doubt(probability: float) -> int:
    """How unsure an answer is, in steps: the next one is clearly worse."""
    return round(math.log(max(1 - probability, LEAST_DOUBT)) / -math.log(CLEARER))


def inside(inner: Box, outer: Box) -> float:
    """The share of a box that lies within another."""
    width = min(inner[0] + inner[2], outer[0] + outer[2]) - max(inner[0], outer[0])
    height = min(inner[1] + inner[3], outer[1] + outer[3]) - max(inner[1], outer[1])
    return max(width, 0) * max(height, 0) / (inner[2] * inner[3])
