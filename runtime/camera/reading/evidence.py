"""Weighs what the model does not see: what is round a digit, and what else is written on the frame.

An edge looks like a 1 once it is cut out, a gap between two fingers like a 5. `runtime.camera.reading.sureness` says
what the `FACTORS` make of that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Picture
from runtime.camera.reading.answer import DIGITS, Answer
from runtime.camera.reading.cut import Candidate
from runtime.camera.reading.neighbours import ALIKE, IN_LINE, look_beside
from runtime.camera.reading.normalize import INK, PLACES
from runtime.camera.reading.sureness import Doubles, sureness
from runtime.camera.reading.surroundings import Surroundings, look_around

FACTORS = (
    "sure",  # log odds of the model's answer
    "uneven",  # the ground round it
    "like_ink",  # the same, as far as it is nearer to the ink
    "lower",  # logarithms: how much lower than the others it is,
    "higher",
    "fainter",
    "other_color",  # and how far from the colour of the next of them
    "company",  # share of the answers that are sure, but for itself, and half of one more; 0 where none is
    "beside",  # 1 where one of those is next to it in a line, less where it is farther away
    "flanked",  # sides on which there is something next to it in its line, whatever that is,
    "misfits",  # and how unlikely that is a digit
    "word",  # how many things follow closely on it and on each other, as a logarithm,
    "misfit",  # and how unlikely those are digits
    "thinner",  # how much thinner its strokes are than those of the sure ones, as a logarithm,
    "thicker",
    "leaning",  # and how much more it leans
    "above",  # how far it stands out above the next of them in its line, as a share of that one's height,
    "below",
    "other_ink",  # share of the sure ones that are light where it is dark, or dark where it is light
    "deep",  # shapes that it is a part of, but for those that were put together
    "cut_out",  # logarithms: how much longer the shape is that stronger ink alone parts it from,
    "freed",  # or that closing or a rule joins it to,
    "severed",  # whether it was cut off from what it touches,
    "joined",  # or put together of two pieces
    "whole",  # log odds of the surest that it is a part of,
    "halves",  # of the best way to cut it apart,
    "within",  # and of the surest shape in it
    "high",  # logarithms: its height, of the frame's,
    "wide",  # its width, of its height,
    "strong",  # contrast of its ink,
    "answers",  # how many there are on the frame,
    "sure_ones",  # and how many of them are what others are compared with, and one more
    "leans",  # to the right, as a share of its height
    "light_ink",
    "inked",  # share of a square as long as it is, that is ink
    *DIGITS,  # what it is taken for
    *(f"like_{digit}" for digit in DIGITS),  # logarithms: what the model says of each digit
)
LEAST = 0.3  # of the model, from which an answer may be right at all
SURE = 0.95  # of the model, from which digits are what others are compared with
MOST_DEEP = 2
LONGEST = 8.0  # times as long
LEAST_DOUBT = 1e-3  # of the model: below, it says nothing more
LEAST_SURE = 0.1  # the same at the other end
LEAST_LIKE = 1e-6  # of the model for one digit: below, it says nothing more
MOST_UNEVEN = 1.5


def weigh(frame: Picture, answers: Sequence[Answer], things: Sequence[Answer]) -> None:
    """Set the `sureness` of answers that are seen together.

    Args:
        frame: uint8 (H, W, 3) BGR, or (H, W).
        answers: of one frame.
        things: all that was looked at there, without its parts.
    """
    if not answers:
        return
    for answer, value in zip(answers, sureness(measure(frame, answers, things)).tolist(), strict=True):
        answer.sureness = value


def measure(frame: Picture, answers: Sequence[Answer], things: Sequence[Answer]) -> Doubles:
    """The `FACTORS` of answers, float64 (answers, factors); arguments as in `weigh`."""
    candidates = [answer.candidate for answer in answers]
    around = look_around(frame, candidates)
    probabilities = [(answer.probability, answer.whole, answer.halves, answer.within) for answer in answers]
    odds = log_odds(np.array(probabilities))
    factors = np.zeros((len(answers), len(FACTORS)))
    column = dict(zip(FACTORS, factors.T, strict=True))
    column["sure"][:], column["whole"][:], column["halves"][:], column["within"][:] = odds.T
    column["uneven"][:] = np.minimum(around.uneven, MOST_UNEVEN)
    column["like_ink"][:] = around.like_ink
    column["deep"][:] = [min(answer.depth, MOST_DEEP) for answer in answers]
    column["cut_out"][:], column["freed"][:] = np.transpose([longer(candidate) for candidate in candidates])
    column["severed"][:] = [candidate.severed for candidate in candidates]
    column["joined"][:] = [candidate.joined for candidate in candidates]
    look_at_itself(candidates, frame.shape[0], column)
    for place, answer in enumerate(answers):
        column[answer.label][place] = 1
    factors[:, -len(DIGITS) :] = np.log(np.maximum([answer.probabilities for answer in answers], LEAST_LIKE))
    beside = look_beside(
        [answer.box for answer in answers], [thing.box for thing in things], [1 - thing.clear for thing in things]
    )
    column["flanked"][:], column["misfits"][:] = beside.flanked, beside.misfits
    column["word"][:], column["misfit"][:] = np.log1p(beside.word), beside.misfit
    sure = np.flatnonzero([answer.probability >= SURE and not answer.bar for answer in answers])
    column["answers"][:] = math.log(len(answers))
    column["sure_ones"][:] = math.log(1 + len(sure))
    if len(sure):
        compare(candidates, around, sure, column)
    return factors


def look_at_itself(candidates: Sequence[Candidate], rows: int, column: dict[str, Doubles]) -> None:
    """Set the factors that a candidate has without others.

    Args:
        candidates: N of them.
        rows: of the frame.
        column: of the factors, (N,) each.
    """
    width, height = np.array([candidate.box[2:] for candidate in candidates], np.float64).T
    longest = np.array([max(1, *candidate.bounds[2:]) for candidate in candidates])
    inks = np.stack([candidate.ink for candidate in candidates])
    column["high"][:] = np.log(height / rows)
    column["wide"][:] = np.log(width / height)
    column["strong"][:] = np.log([candidate.strength for candidate in candidates])
    column["light_ink"][:] = [candidate.light_ink for candidate in candidates]
    column["leans"][:] = lean_of(inks)
    column["inked"][:] = np.count_nonzero(inks > INK, (1, 2)) / longest**2


def lean_of(inks: Picture) -> Doubles:
    """How far shapes lean to the right, as a share of their height, by their second moments: float64 (N,).

    Args:
        inks: uint8 (N, RASTER, RASTER).
    """
    ink = inks.astype(np.float32)
    rows = ink.sum(2)
    mass = np.maximum(rows.sum(1), 1)
    down = PLACES - (rows @ PLACES / mass)[:, None]
    spread = np.einsum("ny,ny->n", rows, down**2)
    lean: Doubles = -np.einsum("ny,ny->n", ink @ PLACES, down) / np.maximum(spread, mass / 12)  # a row spreads as much
    return lean


def longer(candidate: Candidate) -> tuple[float, float]:
    """How much longer the shape is that the candidate is a part of, as logarithms: as stronger ink, and as all ink."""
    shape = candidate.shape
    if shape is None or shape.part_of is None:
        return 0.0, 0.0
    box, threshold = shape.part_of
    times = math.log(min(max(1.0, max(box[2:]) / max(shape.box[2:])), LONGEST))
    return (0.0, times) if threshold == shape.threshold else (times, 0.0)


def compare(
    candidates: Sequence[Candidate], around: Surroundings, sure: NDArray[np.intp], column: dict[str, Doubles]
) -> None:
    """Set the factors that compare candidates with those that are surely digits.

    Args:
        candidates: N of them.
        around: what is round them.
        sure: which of them are digits.
        column: of the factors, (N,) each.
    """
    boxes = np.array([candidate.box for candidate in candidates], np.float64)
    strength = np.array([candidate.strength for candidate in candidates])
    light_ink = np.array([candidate.light_ink for candidate in candidates], np.float64)
    height = boxes[:, 3]
    lower, fainter, thinner = (
        np.log(median(values[sure].tolist()) / values) for values in (height, strength, around.stroke)
    )
    column["lower"][:], column["higher"][:] = np.maximum(lower, 0), np.maximum(-lower, 0)
    column["fainter"][:] = np.maximum(fainter, 0)
    column["thinner"][:], column["thicker"][:] = np.maximum(thinner, 0), np.maximum(-thinner, 0)
    column["leaning"][:] = np.abs(column["leans"] - median(column["leans"][sure].tolist()))
    column["other_ink"][:] = np.abs(light_ink - light_ink[sure].mean())
    others = len(sure) - np.bincount(sure, minlength=len(boxes))
    column["company"][:] = (others + 0.5) / len(boxes)

    start, end = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    gap = np.maximum(start, start[sure, 0]) - np.minimum(end, end[sure, 0])  # along x and y: less than 0 is overlap
    apart = (gap >= 0).any(2)  # neither itself nor what overlaps it
    color = around.color
    distance = np.hypot(color[:, None, 0] - color[sure, 0], color[:, None, 1] - color[sure, 1])
    nearest = np.where(apart, distance, np.inf).min(1)
    column["other_color"][:] = np.log1p(np.where(np.isfinite(nearest), nearest, 0))
    low, high = np.minimum(height[:, None], height[sure]), np.maximum(height[:, None], height[sure])
    in_line = apart & (-gap[:, :, 1] > IN_LINE * low) & (high < ALIKE * low)
    away = np.where(in_line, gap[:, :, 0], np.inf)
    column["beside"][:] = np.exp(-away.min(1) / height)
    near = boxes[sure[away.argmin(1)]]
    alone = ~in_line.any(1)
    top, bottom = near[:, 1] - boxes[:, 1], boxes[:, 1] + boxes[:, 3] - near[:, 1] - near[:, 3]
    column["above"][:], column["below"][:] = np.where(alone, 0, (top, bottom) / near[:, 3])


def log_odds(probability: Doubles) -> Doubles:
    """Of probabilities, above those of `LEAST_SURE`: 0 for less."""
    probability = np.maximum(probability, LEAST_SURE)
    odds: Doubles = np.log(probability / np.maximum(1 - probability, LEAST_DOUBT))
    return odds - math.log(LEAST_SURE / (1 - LEAST_SURE))
