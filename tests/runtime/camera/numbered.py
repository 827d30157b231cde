"""Frames with numbers on them, at any time."""

from __future__ import annotations

import numpy as np

from runtime.camera.frame import Frame, Number, Tracked
from runtime.camera.outputs.seen import Seen

START_NS = 5_000_000_000


def seen(at: float, *texts: str, probability: float = 0.9) -> Seen:
    """A frame with numbers, so many seconds after the start; each digit is a bit less sure than the one before."""
    frame = Frame(np.zeros((8, 8, 3), np.uint8), round(at * 100), START_NS + round(at * 1e9), round(at * 1e9), "drawn")
    digits, numbers = list[Tracked](), list[Number]()
    for text in texts:
        tracks = tuple(range(len(digits) + 1, len(digits) + 1 + len(text)))
        digits += [
            Tracked((0, 0, 4, 4), label, probability - 0.01 * track, track)
            for label, track in zip(text, tracks, strict=True)
        ]
        numbers.append(Number(text, (0, 0, 8, 4), tracks))
    return Seen(frame, tuple(digits), tuple(numbers))
