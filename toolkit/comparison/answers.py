"""The answers of two models on the same images: who agrees with whom, and where they differ most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.evaluate import NO_CLASS, Probabilities, classes_of

MOST_POINTS = 20_000  # of the picture


class Answers:
    """Gathers them batch by batch.

    Attributes:
        a, b: the class of each image, int64 (N,) in parts.
        largest: the largest difference of a probability, and the image that it is in.
        broken: how many images either side answers with NaN.
        engines: the largest difference between the real thing's answers and its graph's, for either side.
    """

    def __init__(self) -> None:
        self.a: list[NDArray[np.int64]] = []
        self.b: list[NDArray[np.int64]] = []
        self.images = 0
        self.largest: tuple[float, int] = (0.0, 0)
        self.broken = [0, 0]
        self.engines = [0.0, 0.0]

    def update(self, given: tuple[Probabilities, Probabilities], graphs: tuple[Probabilities, Probabilities]) -> None:
        """Add a batch.

        Args:
            given: the answers of the real things, float32 (n, classes).
            graphs: those of their graphs.
        """
        a, b = given
        for side in (0, 1):
            self.broken[side] += int((classes_of(given[side]) == NO_CLASS).sum())
            self.engines[side] = max(self.engines[side], float(distances(given[side], graphs[side]).max()))
        differences = distances(a, b)
        place = int(differences.argmax())
        if differences[place] > self.largest[0]:
            self.largest = float(differences[place]), self.images + place
        self.a.append(classes_of(a))
        self.b.append(classes_of(b))
        self.images += len(a)

    @property
    def warnings(self) -> tuple[str, ...]:
        """For the user."""
        sides = zip("AB", self.broken, strict=True)
        return tuple(f"{name} answers NaN or infinity to {count:,} of the images" for name, count in sides if count)

    @property
    def classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The class that either puts each image into, (N,); `NO_CLASS` for NaN."""
        return np.concatenate(self.a), np.concatenate(self.b)


def distances(a: Probabilities, b: Probabilities) -> NDArray[np.float64]:
    """The largest difference of a probability for each image: 1, the most there is, for NaN on one side alone."""
    with np.errstate(invalid="ignore"):
        differences = np.where(np.isnan(a) & np.isnan(b), 0, np.abs(a.astype(np.float64) - b))
    return np.asarray(np.nan_to_num(differences, nan=1.0, posinf=1.0).max(axis=1))


class Points:
    """Some logits of A and of B, spread evenly over images and classes, for a picture.

    Attributes:
        name: what they are, where they are no logits.
        every: one of so many is kept.
    """

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.every = max(1, -(-total // MOST_POINTS))
        self.seen = 0
        self.parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def update(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
        """Add a batch, float (n, classes) each."""
        start = -self.seen % self.every
        self.parts.append((a.ravel()[start :: self.every], b.ravel()[start :: self.every]))
        self.seen += a.size

    @property
    def both(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What was kept, of A and of B."""
        a, b = zip(*self.parts, strict=True)
        return np.concatenate(a), np.concatenate(b)
