"""What is written at one time is alike: digits much fainter or of another size than the others are none."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from runtime.camera.reading.choose import Answer

SURE = 0.95  # digits that the others are compared with
FEWEST = 3  # of those
FAINTEST = 0.6  # of their contrast, below which a digit has to be as sure as they are, and alike in size
LOWEST, HIGHEST = 0.5, 2.5  # the same of their height
NEVER = 0.65  # of both limits: what is as unlike is no digit, however sure


def in_company(answers: Sequence[Answer]) -> tuple[list[Answer], list[Answer]]:
    """Those that fit the others, and those that do not."""
    sure = [answer for answer in answers if answer.probability >= SURE and not answer.bar]
    if len(sure) < FEWEST:
        return list(answers), []
    strength, height = (median(answer.strength for answer in sure), median(answer.box[3] for answer in sure))
    inks = {answer.light_ink for answer in sure}
    kept: list[Answer] = []
    odd: list[Answer] = []
    for answer in answers:
        least = min(
            answer.strength / strength / FAINTEST, answer.box[3] / height / LOWEST, HIGHEST * height / answer.box[3]
        )
        if answer.bar and answer.light_ink not in inks:
            least = 0  # a gap between fingers, a beam of light
        (kept if least >= 1 or (least >= NEVER and answer.probability >= SURE) else odd).append(answer)
    return kept, odd
