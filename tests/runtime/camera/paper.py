"""Paper with MNIST's digits on it, and what is found there."""

from __future__ import annotations

import cv2
import numpy as np

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.answer import walk
from runtime.camera.reading.boxes import overlap
from runtime.camera.reading.cut import Candidate
from runtime.camera.reading.reader import find_candidates
from tests.runtime.camera.mnist import DIGITS, cut

NDFloat = np.ndarray


def page(
    size: tuple[int, int] = (640, 480), height: float = 60, paper: float = 210, ink: float = 40, count: int = 10
) -> tuple[NDFloat, list[tuple[Box, int]]]:
    """Digits in two rows on even paper, float64 (H, W), and the box and place in the set of each."""
    picture = np.full(size[::-1], paper, np.float64)
    found = []
    for place in range(count):
        drawn = cut(DIGITS.image(place))
        scale = height / max(drawn.shape)
        drawn = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        x = int((place % 5 + 0.5) * size[0] / 5 - drawn.shape[1] / 2)
        y = int((place // 5 + 0.5) * size[1] / 2 - drawn.shape[0] / 2)
        part = picture[y : y + drawn.shape[0], x : x + drawn.shape[1]]
        part += (ink - paper) * (drawn / 255.0)
        left, top, width, height_ = cv2.boundingRect((drawn > 100).astype(np.uint8))
        found.append(((x + left, y + top, width, height_), place))
    return picture, found


def frame(picture: NDFloat, noise: float = 0.0) -> Picture:
    if noise:
        picture = picture + np.random.default_rng(0).normal(0, noise, picture.shape)
    return cv2.cvtColor(np.clip(picture, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def every(image: Picture) -> list[Candidate]:
    return list(walk(find_candidates(image)))


def missed(image: Picture, boxes: list[tuple[Box, int]], least: float = 0.7) -> list[int]:
    """The digits on which no candidate lies."""
    candidates = every(image)
    return [place for box, place in boxes if max((overlap(box, c.box) for c in candidates), default=0) < least]
