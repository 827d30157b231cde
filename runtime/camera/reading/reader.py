"""`DigitReader`: a frame in, the digits on it out."""

from __future__ import annotations

import time

import numpy as np

from runtime.camera.frame import Box, Digit, Picture, Reading
from runtime.camera.reading.bars import stands_alone
from runtime.camera.reading.choose import Answer, choose, walk, without_doubles
from runtime.camera.reading.company import in_company
from runtime.camera.reading.cut import Candidate, cut_out
from runtime.camera.reading.find import Shape, find_shapes
from runtime.camera.reading.light import reduce, take_light_out
from runtime.camera.reading.normalize import SIDE
from runtime.session import Session

FINEST = 400  # rows from which two pixels of the frame make one of the finest level
COARSEST = 100  # rows that a level has at least, but the first
SMALLEST = 6  # pixels of the finest level, the height of a digit
HIGHEST = 60  # pixels of a level: what is higher, the next one shows
LOWEST = 24  # pixels of the other levels: what is lower, the one before shows
ELSE = 0.5  # threshold of a model that refuses nothing: on a frame there is much that is no digit
LARGEST = 0.75  # of the height of the frame


class DigitReader:
    """Reads the digits of a frame.

    Attributes:
        stages: seconds that the latest frame took, by what was done.

    Args:
        session: of a classifier of digits.
        threshold: an answer less sure is refused; None takes the model's own, or `ELSE` where it has none.
    """

    def __init__(self, session: Session, threshold: float | None = None) -> None:
        self.session = session
        own = session.spec.reject_threshold
        self.threshold = next(value for value in (threshold, own, ELSE) if value is not None)
        self.stages: dict[str, float] = {}

    def read(self, image: Picture) -> Reading:
        """Find and read.

        Args:
            image: uint8 (H, W, 3) BGR, or (H, W).
        """
        start = time.perf_counter()
        shapes = find_all_shapes(image)
        found = time.perf_counter()
        roots = [candidate for shape in shapes for candidate in cut_out(image, shape)]
        candidates = list(walk(roots))
        cut = time.perf_counter()
        rows = self.infer(candidates)
        inferred = time.perf_counter()
        answers = {
            id(candidate): self.judge(image, candidate, label, probability)
            for candidate, label, probability in zip(
                candidates, rows.argmax(1).tolist(), rows.max(1).tolist(), strict=True
            )
        }
        choices = [choose(root, answers, self.threshold) for root in roots]
        digits, odd = in_company(without_doubles(digit for choice in choices for digit in choice.digits))
        spec = self.session.spec
        accepted = tuple(
            Digit(digit.box, spec.label(digit.label), digit.probability)
            for digit in sorted(digits, key=lambda digit: digit.box[0])
        )
        refused: tuple[Box, ...] = tuple(box for choice in choices for box in choice.refused) + tuple(
            answer.box for answer in odd
        )
        end = time.perf_counter()
        self.stages = {"find": found - start, "crop": cut - found, "infer": inferred - cut, "choose": end - inferred}
        return Reading(accepted, refused)

    def judge(self, image: Picture, candidate: Candidate, label: int, probability: float) -> Answer:
        """What is made of the model's answer: a bar has to stand alone, too."""
        bar = probability >= self.threshold and self.session.spec.label(label) == "1"
        if bar and not stands_alone(image, candidate.box, candidate.image):
            probability = 0.0
        return Answer(candidate.box, label, probability, candidate.strength, candidate.light_ink, bar)

    def infer(self, candidates: list[Candidate]) -> np.ndarray:
        """Probabilities of all candidates, in one batch."""
        height, width, _ = self.session.spec.image_shape
        images = np.zeros((len(candidates), height, width, 1), np.uint8)
        top, left = (height - SIDE) // 2, (width - SIDE) // 2
        for image, candidate in zip(images, candidates, strict=True):
            image[top : top + SIDE, left : left + SIDE, 0] = candidate.image
        return self.session.run(images)


def find_all_shapes(image: Picture) -> list[Shape]:
    """Of all levels of a frame."""
    rows, columns = image.shape[:2]
    sizes = reductions(rows, columns)
    shapes: list[Shape] = []
    gray, done = image, 1
    for reduction in sizes:
        gray, done = reduce(gray, reduction // done), reduction
        lowest = SMALLEST if reduction == sizes[0] else LOWEST
        highest = LARGEST * rows / reduction if reduction == sizes[-1] else HIGHEST
        for level in take_light_out(gray, reduction, (lowest, highest)):
            shapes += find_shapes(level)
    return shapes


def find_candidates(image: Picture) -> list[Candidate]:
    """What may be a digit on a frame, uint8 (H, W, 3) BGR or (H, W)."""
    return [candidate for shape in find_all_shapes(image) for candidate in cut_out(image, shape)]


def reductions(height: int, width: int) -> list[int]:
    """Of the levels for a frame of that size, finest first."""
    side = min(height, width)
    sizes = [1 if side < FINEST else 2 * max(1, side // 1080)]
    while side / (2 * sizes[-1]) >= COARSEST:
        sizes.append(2 * sizes[-1])
    return sizes
