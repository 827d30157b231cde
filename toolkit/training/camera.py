"""What a camera's reader cuts out of drawn scenes: digits as they come to the model, and what is no digit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from runtime.camera.reading.answer import walk
from runtime.camera.reading.boxes import inside, overlap
from runtime.camera.reading.normalize import SIDE
from runtime.camera.reading.reader import find_candidates
from runtime.camera.synthetic.scene import DIFFICULTIES, Scene
from runtime.camera.synthetic.truth import Truth
from runtime.datasets import Dataset
from runtime.preprocess import Image
from runtime.progress import Progress, Stage, advance_or_stop
from toolkit.training.digits import take_digits, with_upstrokes
from toolkit.training.shapes import Digits

RIGHT = 0.65  # intersection over union with a digit from which a cut is that digit
MOST_CUTS = 2  # of a digit: the best, and one that the model may have to do with
APART = 0.1  # share of a cut on any digit up to which it is none
ORDER = (*DIFFICULTIES, "desk", "desk")
SIZES = ((640, 480), (640, 480), (640, 480), (480, 360), (1024, 768))
WITHIN = 0.8  # share of a digit within a cut, that makes it part of it
SLENDER = 0.1  # the smaller over the larger variance along the axes of a shape: more is no bar
MOST_OTHERS = 12  # of a scene: noise makes hundreds


@dataclass(frozen=True)
class Cuts:
    """Images as the model sees them, uint8 (N, 28, 28), light on dark.

    Attributes:
        digits: what was cut along a digit.
        labels: int64, of those.
        others: what was cut out and is no digit.
    """

    digits: Image
    labels: NDArray[np.int64]
    others: Image


@dataclass(frozen=True)
class Scenes:
    """Cuts to train with, and cuts to judge with, of digits that were held out."""

    training: Cuts
    held_out: Cuts


def draw_scenes(scenes: int, training: Dataset, held_out: Dataset, seed: int, progress: Progress) -> Scenes:
    """Scenes of both halves of a set; there is one to judge with for every ten to train with.

    Raises:
        DataError: the sets hold no digits as MNIST has them.
    """
    judged = max(len(ORDER), scenes // 10)
    with progress.stage("draw scenes", scenes + judged) as stage:
        rng = default_rng((seed, 4))
        return Scenes(
            cuts_of_scenes(with_upstrokes(take_digits(training, len(training)), rng), scenes, seed, stage),
            cuts_of_scenes(with_upstrokes(take_digits(held_out, len(held_out)), rng), judged, seed + 1, stage),
        )


def cuts_of_scenes(digits: Digits, scenes: int, seed: int, stage: Stage) -> Cuts:
    """Draw scenes with digits on them, and cut them as the reader does.

    Args:
        digits: that are drawn.
        scenes: how many; every difficulty in turn, the hardest more often.
        seed: the same gives the same.
        stage: told of each scene.
    """
    images: list[Image] = []
    labels: list[int] = []
    others: list[Image] = []
    for number in range(scenes):
        rng = default_rng((seed, 3, number))
        size = SIZES[rng.integers(len(SIZES))]
        scene = Scene(
            digits.images,
            digits.labels,
            difficulty=ORDER[number % len(ORDER)],
            seed=int(rng.integers(1 << 31)),
            size=size,
        )
        frame, truth = scene.frame(int(rng.integers(200)))
        cuts = list(label_cuts(frame, truth))
        images += [image for image, label in cuts if label is not None]
        labels += [label for _, label in cuts if label is not None]
        nothing = [image for image, label in cuts if label is None and not is_bar(image)]
        others += [nothing[index] for index in rng.permutation(len(nothing))[:MOST_OTHERS]]
        advance_or_stop(stage)
    return Cuts(stacked(images), np.array(labels, np.int64), stacked(others))


def stacked(images: list[Image]) -> Image:
    """uint8 (N, 28, 28), N may be 0."""
    return np.stack(images) if images else np.zeros((0, SIDE, SIDE), np.uint8)


def label_cuts(frame: Image, truth: tuple[Truth, ...]) -> Iterator[tuple[Image, int | None]]:
    """The cuts of a frame that are surely a digit, with its label, or surely none: None.

    They are copies: a candidate's image is a part of what holds all of its frame.
    """
    known = [thing for thing in truth if thing.label is not None]
    words = [thing.box for thing in truth if thing.kind in ("word", "text")]  # whose letters may look like digits
    of_digit: dict[int, list[tuple[float, Image]]] = {}
    for candidate in walk(find_candidates(frame)):
        box = candidate.box
        best = max(known, key=lambda digit: overlap(box, digit.box), default=None)
        if best is not None and overlap(box, best.box) >= RIGHT:
            if not best.cut:
                of_digit.setdefault(best.id, []).append((overlap(box, best.box), candidate.image.copy()))
        elif any(inside(box, word) > APART for word in words):
            continue
        elif all(inside(box, digit.box) <= APART for digit in known):
            yield candidate.image.copy(), None
        elif sum(inside(digit.box, box) > WITHIN for digit in known) > 1:
            yield candidate.image.copy(), None  # several digits in one
    for digit in known:
        cuts = sorted(of_digit.get(digit.id, []), key=lambda cut: -cut[0])
        for _, image in cuts[:MOST_CUTS]:
            yield image, digit.label


def is_bar(image: Image) -> bool:
    """Whether a shape, uint8 (28, 28), light on dark, is one straight stroke."""
    mass = cv2.moments(image)
    if not mass["m00"]:
        return False
    total, spread = mass["mu20"] + mass["mu02"], math.hypot(mass["mu20"] - mass["mu02"], 2 * mass["mu11"])
    return total - spread < SLENDER * (total + spread)
