"""Candidates that tests make by hand."""

from __future__ import annotations

import cv2
import numpy as np

from runtime.camera.frame import Box, Picture
from runtime.camera.reading.answer import Said
from runtime.camera.reading.cut import Candidate, Square
from runtime.camera.reading.find import Shape
from runtime.camera.reading.light import HAZE, Level, reduce
from runtime.camera.reading.normalize import LONG, RASTER, all_to_mnist, bounds_of

EMPTY = np.zeros((28, 28), np.uint8)
BLANK = Square(0, 0, 1, np.zeros((RASTER, RASTER), np.uint8), (RASTER, RASTER))
LEVEL = Level(1, (6, 60), False, EMPTY, EMPTY, EMPTY, 11.0, EMPTY)


def said(number: int, probability: float) -> Said:
    """What the model says, of a digit and, of the others, alike."""
    probabilities = np.full(10, (1 - probability) / 9, np.float32)
    probabilities[number] = probability
    return number, probability, probabilities


def bare(box: Box, image: Picture = EMPTY, shape: Shape | None = None) -> Candidate:
    """One of which nothing is seen but its image."""
    return Candidate(box, image, 150.0, False, BLANK, BLANK.gray, (0, 0, 0, 0), shape)


def on(frame: Picture, box: Box, ink: Picture, light_ink: bool = False) -> Candidate:
    """One on a frame, with its ink, uint8, cut out along its bounds."""
    x, y, width, height = box
    step = max(width, height) / LONG
    left, top = x + width / 2 - RASTER / 2 * step, y + height / 2 - RASTER / 2 * step
    matrix = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    gray = cv2.warpAffine(
        cv2.convertScaleAbs(reduce(frame, 1), beta=HAZE),
        matrix,
        (RASTER, RASTER),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    scale = LONG / max(ink.shape)
    wide, high = (max(1, round(side * scale)) for side in ink.shape[::-1])
    square = np.zeros((1, RASTER, RASTER), np.uint8)
    across, down = (RASTER - wide) // 2, (RASTER - high) // 2
    square[0, down : down + high, across : across + wide] = cv2.resize(ink, (wide, high), interpolation=cv2.INTER_AREA)
    bounds = bounds_of(square)
    return Candidate(
        box,
        all_to_mnist(square, bounds)[0],
        150.0,
        light_ink,
        Square(left, top, step, gray, (frame.shape[1], frame.shape[0])),
        square[0],
        bounds[0].tolist(),
        Shape(LEVEL, [], box, 30, []),
    )
