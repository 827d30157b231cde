"""Image files to answers, in order, one bad file never stopping the others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from runtime.errors import ImageError, InputError
from runtime.images import MAX_MEGAPIXELS, read_image
from runtime.session import Session

BATCH = 32


class Answer(Struct, frozen=True):
    """One class.

    Attributes:
        index: its number, from 0.
        label: its name; the number where the model has no labels.
        probability: 0..1.
    """

    index: int
    label: str
    probability: float


class Classified(Struct, frozen=True):
    """What the model says of an image, likeliest first.

    Attributes:
        image: the path as it was given.
        top: the likeliest classes.
        refused: whether the likeliest is below the model's threshold; None without a threshold.
    """

    image: str
    top: tuple[Answer, ...]
    refused: bool | None


class Unreadable(Struct, frozen=True):
    """An image that could not be read, and why."""

    image: str
    error: str
    hint: str


def classify(
    session: Session, paths: Sequence[Path], top: int = 1, max_megapixels: float = MAX_MEGAPIXELS
) -> Iterator[Classified | Unreadable]:
    """Classify image files.

    Args:
        session: an open one.
        paths: the files.
        top: how many classes to give for each.
        max_megapixels: a larger image is not decoded.

    Yields:
        One answer for each path, in the order of the paths.
    """
    for start in range(0, len(paths), BATCH):
        results: list[Classified | Unreadable | None] = []
        images = []
        for path in paths[start : start + BATCH]:
            try:
                images.append(session.preprocess(read_image(path, max_megapixels)))
                results.append(None)
            except (ImageError, InputError) as error:
                results.append(Unreadable(shown(path), error.message.replace(str(path), shown(path)), error.hint))
        answers = iter(session.run(np.stack(images)) if images else ())
        for path, result in zip(paths[start : start + BATCH], results, strict=True):
            yield result or best_classes(shown(path), next(answers), session, top)


def shown(path: Path) -> str:
    """A path as text that can be encoded, whatever bytes a file name holds."""
    return os.fsencode(path).decode("utf-8", "replace")


def best_classes(image: str, probabilities: np.ndarray, session: Session, top: int) -> Classified:
    """The likeliest `top` classes of one row (classes,)."""
    spec = session.spec
    order = np.argsort(-probabilities, kind="stable")[:top]
    answers = tuple(Answer(int(i), spec.label(int(i)), float(probabilities[i])) for i in order)
    threshold = spec.reject_threshold
    return Classified(image, answers, None if threshold is None else answers[0].probability < threshold)
