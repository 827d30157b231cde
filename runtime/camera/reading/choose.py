"""Chooses among candidates that overlap: one digit, or several, or none."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.camera.reading.answer import Answer
from runtime.camera.reading.boxes import same_place

LEAST = 0.35  # sureness of a digit, when it is compared with others
CLEARER = 0.7  # of the doubt about a whole, that there may be about the least sure of its parts, to take them instead


def choose(answer: Answer) -> tuple[float, list[Answer]]:
    """The best way to see a candidate: as a digit, or as what is in it.

    Returns:
        The sureness of the least sure of the digits, 0 where there are none; and the digits.
    """
    best, digits = (answer.sureness, [answer]) if answer.sureness >= LEAST else (0.0, [])
    for way in answer.ways:
        parts = [choose(part) for part in way]
        if way[0].candidate.severed and not all(chosen for _, chosen in parts):
            continue  # what is cut off from a digit has to be one, too
        sureness = min((sureness for sureness, chosen in parts if chosen), default=0.0)
        if sureness and 1 - sureness < CLEARER * (1 - best):
            best, digits = sureness, [digit for _, chosen in parts for digit in chosen]
    return best, digits


def without_doubles(answers: Iterable[Answer]) -> list[Answer]:
    """Of answers about one place, the surest."""
    kept: list[Answer] = []
    for answer in sorted(answers, key=lambda answer: -answer.sureness):
        if not any(same_place(answer.box, other.box) for other in kept):
            kept.append(answer)
    return kept
