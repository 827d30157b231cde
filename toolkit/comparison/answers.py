"""The answers of two models on the same images: who agrees with whom, and where they differ most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ModelError

Probabilities = NDArray[np.float32]
MOST_POINTS = 20_000  # of the picture


class Answers:
    """Gathers them batch by batch.

    Attributes:
        a, b: the class of each image, int64 (N,) in parts.
        largest: the largest difference of a probability, and the image that it is in.
        engines: the largest difference between the real thing's answers and its graph's, for either side.
    """

    def __init__(self) -> None:
        self.a: list[NDArray[np.int64]] = []
        self.b: list[NDArray[np.int64]] = []
        self.images = 0
        self.largest: tuple[float, int] = (0.0, 0)
        self.engines = [0.0, 0.0]

    def update(self, given: tuple[Probabilities, Probabilities], graphs: tuple[Probabilities, Probabilities]) -> None:
        """Add a batch.

        Args:
            given: the answers of the real things, float32 (n, classes).
            graphs: those of their graphs.
        """
        a, b = given
        for side, name, answers in ((0, "A", a), (1, "B", b)):
            if not np.isfinite(answers).all():
                raise ModelError(f"{name} answers NaN or infinity", "its weights are broken: build or train it again")
            self.engines[side] = max(self.engines[side], float(np.abs(answers - graphs[side]).max()))
        differences = np.abs(a.astype(np.float64) - b).max(axis=1)
        place = int(differences.argmax())
        if differences[place] > self.largest[0]:
            self.largest = float(differences[place]), self.images + place
        self.a.append(a.argmax(axis=1))
        self.b.append(b.argmax(axis=1))
        self.images += len(a)

    @property
    def classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The class that either puts each image into, (N,)."""
        return np.concatenate(self.a), np.concatenate(self.b)


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
