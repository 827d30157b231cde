"""Weighs what the model does not see: what is round a digit, and what else is written on the frame.

An edge looks like a 1 once it is cut out, a gap between two fingers like a 5. Whether it is one is told by a logistic
regression over a few `FACTORS`; its weights are fitted on drawn scenes (`toolkit.training.evidence`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.camera.frame import Picture
from runtime.camera.reading.answer import Answer
from runtime.camera.reading.surroundings import look_around

FILE = Path(__file__).with_name("evidence.json")
FACTORS = (
    "sure",  # log odds of the model's answer
    "uneven",  # the ground round it
    "like_ink",  # the same, as far as it is nearer to the ink
    "rim",  # how light its outermost pixels are
    "lower",  # logarithms: how much lower than the others it is,
    "higher",
    "fainter",
    "other_color",  # and how far from the colour of the next of them
    "other_ink",  # share of the others that are light where it is dark, or dark where it is light
    "deep",  # shapes that it is a part of, but for those that were put together
    "severed",  # whether it was cut off from what it touches,
    "joined",  # or put together of two pieces
    "whole",  # log odds of the surest that it is a part of,
    "halves",  # of the best way to cut it apart,
    "within",  # and of the surest shape in it
)
LEAST = 0.3  # of the model, from which an answer may be right at all
SURE = 0.95  # of the model, from which digits are what others are compared with
MOST_DEEP = 2
LEAST_DOUBT = 1e-3  # of the model: below, it says nothing more
LEAST_SURE = 0.1  # the same at the other end
MOST_UNEVEN = 1.5


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of the factors, and what they are added to.

    Attributes:
        digit: by factor, and "constant".
        bar: the same for a 1, as which any straight stroke passes.
    """

    digit: dict[str, float]
    bar: dict[str, float]


@cache
def shipped_weights() -> Weights:
    """Those in the package."""
    return msgspec.json.decode(FILE.read_bytes(), type=Weights)


def weigh(frame: Picture, answers: Sequence[Answer]) -> None:
    """Set the `sureness` of answers that are seen together.

    Args:
        frame: uint8 (H, W, 3) BGR, or (H, W).
        answers: of one frame.
    """
    if not answers:
        return
    weights = shipped_weights()
    table = [[kind[factor] for factor in (*FACTORS, "constant")] for kind in (weights.digit, weights.bar)]
    chosen = np.array(table)[[int(answer.bar) for answer in answers]]
    score = (measure(frame, answers) * chosen[:, :-1]).sum(1) + chosen[:, -1]
    for answer, sureness in zip(answers, (1 / (1 + np.exp(-score))).tolist(), strict=True):
        answer.sureness = sureness


def measure(frame: Picture, answers: Sequence[Answer]) -> NDArray[np.float64]:
    """The `FACTORS` of answers, float64 (answers, factors)."""
    candidates = [answer.candidate for answer in answers]
    around = look_around(
        frame,
        [candidate.box for candidate in candidates],
        [candidate.image for candidate in candidates],
        [candidate.light_ink for candidate in candidates],
    )
    left, top, width, height = np.array([candidate.box for candidate in candidates], np.float64).T
    strength = np.array([candidate.strength for candidate in candidates])
    light_ink = np.array([candidate.light_ink for candidate in candidates])
    sure = np.array([answer.probability >= SURE and not answer.bar for answer in answers])
    lower = fainter = other_color = other_ink = np.zeros(len(answers))
    if sure.any():
        lower, fainter = (np.log(median(values[sure].tolist()) / values) for values in (height, strength))
        a, b = np.hsplit(around.color, 2)
        right, bottom = left + width, top + height
        itself = (left[:, None] < right[sure]) & (right[:, None] > left[sure])  # or what overlaps it
        itself &= (top[:, None] < bottom[sure]) & (bottom[:, None] > top[sure])
        nearest = np.where(itself, np.inf, np.hypot(a - a[sure].T, b - b[sure].T)).min(1)
        other_color = np.log1p(np.where(np.isfinite(nearest), nearest, 0))
        other_ink = (light_ink[:, None] != light_ink[sure]).mean(1)
    odds = log_odds(np.array([(answer.probability, answer.whole, answer.halves, answer.within) for answer in answers]))
    columns: dict[str, ArrayLike] = {
        "sure": odds[:, 0],
        "uneven": np.minimum(around.uneven, MOST_UNEVEN),
        "like_ink": around.like_ink,
        "rim": around.rim,
        "lower": np.maximum(lower, 0),
        "higher": np.maximum(-lower, 0),
        "fainter": np.maximum(fainter, 0),
        "other_color": other_color,
        "other_ink": other_ink,
        "deep": [min(answer.depth, MOST_DEEP) for answer in answers],
        "severed": [answer.candidate.severed for answer in answers],
        "joined": [answer.candidate.joined for answer in answers],
        "whole": odds[:, 1],
        "halves": odds[:, 2],
        "within": odds[:, 3],
    }
    return np.column_stack([np.asarray(columns[factor], np.float64) for factor in FACTORS])


def log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of probabilities, above those of `LEAST_SURE`: 0 for less."""
    probability = np.maximum(probability, LEAST_SURE)
    odds: NDArray[np.float64] = np.log(probability / np.maximum(1 - probability, LEAST_DOUBT))
    return odds - math.log(LEAST_SURE / (1 - LEAST_SURE))
