"""Shapes that are no digit, for a classifier of digits to learn doubt from (outlier exposure).

Hendrycks, Mazeika and Dietterich, "Deep anomaly detection with outlier exposure", 2019. A shape that a person could
read as a digit would teach doubt about digits: letters such as O, l, Z, S, B, g, q are left out, and so are halves of
digits that are a digit again (the upper half of an 8 is a 0). Some kinds are held out: never trained with, they
measure whether what the classifier has never seen is refused.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from runtime.camera.reading.normalize import SIDE
from toolkit.training import shapes, unseen
from toolkit.training.drawing import CHARACTERS, DRAWINGS, LETTERS, SIGNS, SYMBOLS, Image
from toolkit.training.shapes import Digits, Kind, of_strokes

TRAINED: dict[str, Kind] = {
    "letters": of_strokes(LETTERS),
    # Not C, L and J, whose strokes many an honest 0, 6, 2 and 1 has.
    "capitals": shapes.of_handwriting("AEFHKMNPRTUVWXY"),
    "small letters": shapes.of_handwriting("efhkmnrtuvx"),
    "brackets": shapes.bracket,
    "scribbles": shapes.scribble,
    "figures": shapes.figure,
    "edges": shapes.edge,
    "rules": shapes.rule,
    "blobs": shapes.blob,
    "halves": shapes.half,
    "neighbours": shapes.between,
    "textures": shapes.texture,
    "symbols": of_strokes(SYMBOLS),  # arrows, stars and other signs
    "drawings": of_strokes(DRAWINGS),  # small pictures of things
    "signs": of_strokes(SIGNS),  # of arithmetic
    "characters": of_strokes(CHARACTERS),  # of Japanese
    "faces": shapes.face,
    "framed": shapes.framed,
    "mixtures": shapes.mixture,
}
HELD_OUT: dict[str, Kind] = {
    "printed letters": unseen.printed_letter,
    "dots": unseen.dots,
    "clocks": unseen.clock,
    "zigzags": unseen.zigzag,
    "nets": unseen.net,
    "leaves": unseen.leaf,
    "crossed lines": unseen.crossed,
    "hands": unseen.hand,
    "waves": unseen.wave,
}
KINDS = TRAINED | HELD_OUT


def generate(kind: str, count: int, digits: Digits, rng: Generator) -> Image:
    """Shapes of one kind, uint8 (count, 28, 28), light on dark.

    Args:
        kind: one of `KINDS`.
        count: how many.
        digits: what halves and neighbours are cut from: training images, never those that choose or test.
        rng: the same state gives the same shapes.

    Raises:
        KeyError: no such kind.
    """
    make = KINDS[kind]
    return np.stack([make(rng, digits) for _ in range(count)]) if count else np.zeros((0, SIDE, SIDE), np.uint8)
