"""Chooses among candidates that overlap: one digit, or several, or none."""

from __future__ import annotations

from collections.abc import Iterable

import cv2

from runtime.camera.reading.answer import Answer
from runtime.camera.reading.boxes import SAME, overlap, same_place, touching

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
    ordered = sorted(answers, key=lambda answer: -answer.sureness)
    boxes = [answer.box for answer in ordered]
    kept: dict[int, Answer] = {}
    for place, (answer, near) in enumerate(zip(ordered, touching(boxes, boxes), strict=True)):
        rivals = [kept[other] for other in near if other in kept]
        if not any(same_place(answer.box, rival.box) and not are_apart(answer, rival) for rival in rivals):
            kept[place] = answer
    return [*kept.values()]


def are_apart(one: Answer, other: Answer) -> bool:
    """Whether answers are about separate ink though a box lies in the other: a 7 beside the waist of a large 5.

    What lies in a hole is not apart.
    """
    shape, another = one.candidate.shape, other.candidate.shape
    if shape is None or another is None or shape.level is not another.level:
        return False
    if overlap(one.box, other.box) > SAME:
        return False
    large, small = (
        (shape, another) if shape.box[2] * shape.box[3] > another.box[2] * another.box[3] else (another, shape)
    )
    points = [contour[0, 0].tolist() for contour in small.contours]
    return all(cv2.pointPolygonTest(contour, point, False) < 0 for contour in large.contours for point in points)
