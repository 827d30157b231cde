"""`DigitReader`: a frame in, the digits on it out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest

import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box, Digit, Picture, Reading
from runtime.camera.reading.answer import DIGITS, SETTLED, Answer, Said, attach_parts, walk, walk_answers
from runtime.camera.reading.apart import Cutter
from runtime.camera.reading.boxes import SAME, WITHIN, around, common_area, inside, overlap, touching
from runtime.camera.reading.choose import choose, without_doubles
from runtime.camera.reading.cut import Candidate
from runtime.camera.reading.evidence import LEAST, weigh
from runtime.camera.reading.find import Shape, find_shapes
from runtime.camera.reading.join import join
from runtime.camera.reading.light import light_of, reduce, take_light_out
from runtime.camera.reading.normalize import SIDE
from runtime.camera.reading.vary import VARIATIONS, varied
from runtime.session import Session

FINEST = 400  # rows from which two pixels of the frame make one of the finest level
COARSEST = 50  # rows that a level has at least, but the first
SMALLEST = 6  # pixels of the finest level, the height of a digit
HIGHEST = 60  # pixels of a level: what is higher, the next one shows
LOWEST = 24  # pixels of the other levels: what is lower, the one before shows
THRESHOLD = 0.5  # what is likelier no digit than one is refused
LARGEST = 0.75  # of the height of the frame
NOISY = 20  # contrast: where ink is not seen below that, the next level may show it, with less noise
MOST = 2000  # shapes of a frame
MOST_CLOSER = 40  # things of a frame that are looked at closer
ABOUT = 20  # pixels of the frame round them, that are, too
SPECK = 0.7  # of the height of the lowest digit: what is lower and refused is not worth a word


class DigitReader:
    """Reads the digits of a frame.

    Attributes:
        stages: seconds that the latest frames took together, by what was done.
        threshold: an answer less sure is refused.
        likely: so is one that the model itself finds less likely than this, which is its own threshold.
        inferences: images that the model has seen.
        batches: calls that they came in.

    Args:
        session: of a classifier of digits.
        threshold: of an answer, all things considered, 0..1.
    """

    def __init__(self, session: Session, threshold: float = THRESHOLD) -> None:
        self.session, self.threshold = session, threshold
        self.classes = [session.spec.labels.index(digit) for digit in DIGITS] if session.spec.labels else slice(None)
        self.likely = max(LEAST, session.spec.reject_threshold or 0.0)
        self.stages: dict[str, float] = {}
        self.since = 0.0
        self.batches = self.inferences = 0

    def read(self, image: Picture) -> Reading:
        """Find and read.

        Args:
            image: uint8 (H, W, 3) BGR, or (H, W).
        """
        return self.read_all([image])[0]

    def read_all(self, images: Sequence[Picture]) -> list[Reading]:
        """Find and read on several frames, which go through the model together.

        Args:
            images: uint8 (H, W, 3) BGR, or (H, W), each of any size.
        """
        looks = self.look(images)
        readings = [self.decide(image, answers) for image, answers in zip(images, looks, strict=True)]
        self.lap("choose")
        return readings

    def decide(self, image: Picture, answers: list[Answer]) -> Reading:
        """What is a digit, among all that was read on a frame."""
        weigh(image, [answer for answer in walk_answers(answers) if answer.probability >= self.likely], answers)
        digits = without_doubles(digit for answer in answers for digit in choose(answer)[1])
        accepted = [digit for digit in digits if digit.sureness >= self.threshold]
        left_to_right = sorted(accepted, key=lambda digit: digit.box[0])
        return Reading(
            tuple(Digit(digit.box, digit.label, digit.sureness) for digit in left_to_right),
            once(refused(answers, accepted, SPECK * min((digit.box[3] for digit in accepted), default=0))),
        )

    def look(self, images: Sequence[Picture]) -> list[list[Answer]]:
        """What the model says of what may be digits on each frame, and of the parts of what it is not sure of.

        Where it is not sure of something, that part of the frame is looked at once more, with more of its pixels.
        """
        self.stages, self.since = {}, time.perf_counter()
        shapes = [find_all_shapes(image) for image in images]
        self.lap("find")
        looks = self.ask(shapes)
        closer = [find_closer(image, answers) for image, answers in zip(images, looks, strict=True)]
        self.lap("find")
        if not any(closer):
            return looks
        return [answers + more for answers, more in zip(looks, self.ask(closer), strict=True)]

    def ask(self, shapes: Sequence[Sequence[Shape]]) -> list[list[Answer]]:
        """What the model says of the shapes of each frame, and of the parts of those that it is not sure of."""
        cutter = Cutter()
        roots = cutter.cut_out(shapes)
        self.lap("crop")
        said = self.infer([root for found in roots for root in found], again=True)
        looks = [[Answer(root, *next(said)) for root in found] for found in roots]
        self.lap("infer")
        doubtful = [answer for answers in looks for answer in answers if not answer.settled]
        cutter.take_apart([answer.candidate for answer in doubtful])
        parts = [part for answer in doubtful for way in answer.candidate.parts for part in walk(way)]
        self.lap("crop")
        said = self.infer(parts)
        for answer in doubtful:
            attach_parts(answer, said)
        self.lap("infer")
        return looks

    def lap(self, stage: str) -> None:
        """Add the time since the last one to a stage."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self.since
        self.since = now

    def infer(self, candidates: list[Candidate], again: bool = False) -> Iterator[Said]:
        """What the model says of candidates, in one batch.

        Args:
            candidates: to ask about.
            again: ask about those of which it is not sure again, as `varied`, and let the mean count.
        """
        rows = self.probabilities([candidate.image for candidate in candidates])
        if again:
            surest = rows.max(1)
            doubtful = np.flatnonzero((surest >= self.likely) & (surest < SETTLED))
            copies = [copy for number in doubtful for copy in varied(candidates[number].image)]
            more = self.probabilities(copies).reshape(len(doubtful), len(VARIATIONS), rows.shape[1])
            rows[doubtful] = (rows[doubtful] + more.sum(1)) / (1 + len(VARIATIONS))
        return zip(rows.argmax(1).tolist(), rows.max(1).tolist(), rows, strict=True)

    def probabilities(self, pictures: list[Picture]) -> NDArray[np.float32]:
        """Of the digits, for pictures that are uint8 (28, 28): float32 (N, 10)."""
        height, width, _ = self.session.spec.image_shape
        if not pictures:
            return np.zeros((0, len(DIGITS)), np.float32)
        count = len(pictures)
        images = np.zeros((usual(count), height, width, 1), np.uint8)
        top, left = (height - SIDE) // 2, (width - SIDE) // 2
        images[:count, top : top + SIDE, left : left + SIDE, 0] = pictures
        self.batches += 1
        self.inferences += count
        return self.session.run(images)[:count, self.classes]


def usual(count: int) -> int:
    """As many or a few more, so that few sizes of batches come: OpenVINO takes 10 ms to prepare for each new one."""
    step = max(2, 1 << max(0, (count - 1).bit_length() - 3))
    return -(-count // step) * step


def refused(answers: list[Answer], accepted: list[Answer], lowest: float) -> Iterator[Box]:
    """The largest of what was looked at and holds no digit, but for pieces of digits and specks.

    Args:
        answers: about what was looked at.
        accepted: those that are digits.
        lowest: height of what is no speck.
    """
    places = touching([answer.box for answer in answers], [digit.box for digit in accepted])
    for answer, near in zip(answers, places, strict=True):
        digits = [accepted[place] for place in near]
        if any(inside(digit.box, answer.box) > WITHIN for digit in digits):
            for way in answer.ways:
                if not way[0].candidate.severed:
                    yield from refused(way, digits, lowest)
        elif answer.box[3] >= lowest and not any(inside(answer.box, digit.box) > WITHIN for digit in digits):
            yield answer.box


def once(boxes: Iterable[Box]) -> tuple[Box, ...]:
    """Boxes, but for those about what one before is about: a thing may be found on several levels."""
    every = list(boxes)
    kept: set[int] = set()
    for place, near in enumerate(touching(every, every)):
        if not any(other in kept and overlap(every[place], every[other]) > SAME for other in near):
            kept.add(place)
    return tuple(every[place] for place in sorted(kept))


def find_all_shapes(image: Picture) -> list[Shape]:
    """Of the levels of a frame, as long as one has shapes, noise or bars that the next is needed for, and of the last.

    The strokes of a digit that all but fills the frame are thicker than a stroke may be on the finer ones. Of more
    shapes than anybody writes on a sheet, the highest are taken: what compares them grows with the square.
    """
    rows, columns = image.shape[:2]
    sizes = reductions(rows, columns)
    shapes: list[Shape] = []
    frame = gray = light_of(image)
    done, enough = 1, False
    for reduction in sizes:
        first, last = reduction == sizes[0], reduction == sizes[-1]
        if enough and not last:
            continue
        gray, done = reduce(gray, reduction // done), reduction
        lowest = SMALLEST if first else LOWEST
        highest = LARGEST * rows / reduction if last else HIGHEST
        levels = take_light_out(gray, reduction, (lowest, highest), frame if first and reduction > 1 else None)
        found = [shape for level in levels for shape in join(find_shapes(level)) if not shape.flat]
        shapes += found
        unseen = any(level.faintest > NOISY or level.barred for level in levels)
        enough = not unseen and all(shape.box[3] < 2 * LOWEST for shape in found)
    return shapes if len(shapes) <= MOST else nlargest(MOST, shapes, lambda shape: shape.box[3] * shape.level.reduction)


def find_closer(image: Picture, answers: Sequence[Answer]) -> list[Shape]:
    """The shapes where answers are in doubt, with twice as many pixels of the frame as on its finest level.

    Thin lines that all but touch are one there, and small digits as wide as their strokes.

    Args:
        image: uint8 (H, W, 3) BGR, or (H, W).
        answers: about the shapes of its levels.
    """
    rows, columns = image.shape[:2]
    finest = reductions(rows, columns)[0]
    if finest == 1:
        return []
    reduction = finest // 2
    doubtful = [answer for answer in answers if answer.in_doubt and answer.box[3] <= HIGHEST * reduction]
    likeliest = nlargest(MOST_CLOSER, doubtful, lambda answer: answer.probability)
    shapes: list[Shape] = []
    for left, top, width, height in regions([answer.box for answer in likeliest], columns, rows):
        gray = reduce(light_of(image[top : top + height, left : left + width]), reduction)
        for level in take_light_out(gray, reduction, (2 * SMALLEST, HIGHEST), origin=(left, top)):
            shapes += [shape for shape in join(find_shapes(level)) if not shape.flat]
    known = [answer.box for answer in answers if answer.settled]
    boxes = [shape.level.on_frame(shape.box) for shape in shapes]
    return [
        shape
        for shape, box, near in zip(shapes, boxes, touching(boxes, known), strict=True)
        if not any(inside(box, known[place]) > WITHIN for place in near)
    ]


def regions(boxes: Sequence[Box], width: int, height: int) -> list[Box]:
    """Parts of a frame of that size that hold boxes and what is about them, and do not overlap."""
    parts: list[Box] = []
    for x, y, wide, high in boxes:
        left, top = max(0, x - ABOUT), max(0, y - ABOUT)
        part = (left, top, min(width, x + wide + ABOUT) - left, min(height, y + high + ABOUT) - top)
        while near := [other for other in parts if common_area(part, other)]:
            part = around([part, *near])
            parts = [other for other in parts if other not in near]
        parts.append(part)
    return parts


def find_candidates(image: Picture) -> list[Candidate]:
    """What may be a digit on a frame, uint8 (H, W, 3) BGR or (H, W), with all its parts."""
    cutter = Cutter()
    (roots,) = cutter.cut_out([find_all_shapes(image)])
    cutter.take_apart(roots)
    return roots


def reductions(height: int, width: int) -> list[int]:
    """Of the levels for a frame of that size, finest first."""
    side = min(height, width)
    sizes = [1 if side < FINEST else 2 * max(1, side // 1080)]
    while side / (2 * sizes[-1]) >= COARSEST:
        sizes.append(2 * sizes[-1])
    return sizes
