"""Images to answers, in order, in bulk: decoding, preprocessing and inference overlap, in memory that does not grow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from runtime.backend import available_cores
from runtime.errors import ImageError, InputError
from runtime.images import MAX_MEGAPIXELS, decode_image, read_file
from runtime.session import Session
from runtime.streaming import stream

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
        image: the path as it was given, or the image's name.
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


@dataclass(frozen=True)
class ImageFile:
    """The bytes of an image file that came from somewhere else than a file.

    Attributes:
        name: what to call it.
        data: all of it.
    """

    name: str
    data: bytes


#: A file by its path, one that was read already, pixels as uint8 (H, W) or (H, W, 3) RGB, or one that is known bad.
ImageInput: TypeAlias = "str | os.PathLike[str] | ImageFile | NDArray[np.uint8] | Unreadable"


def classify(
    session: Session, images: Iterable[ImageInput], top: int = 1, max_megapixels: float = MAX_MEGAPIXELS
) -> Iterator[Classified | Unreadable]:
    """Classify images.

    They are read, decoded and brought to the model's size on as many threads as this process may use cores, while the
    session answers those before them in the calling thread. At most two batches of them are in memory.

    Args:
        session: an open one.
        images: any number of them, taken as they are needed. An array is called by its number, from 0.
        top: how many classes to give for each.
        max_megapixels: a larger image is not decoded.

    Yields:
        One answer for each image, in order; one that cannot be read does not stop the others.

    Raises:
        InputError: `images` is a single path, `top` is below 1, or the session is closed.
    """
    if isinstance(images, str | bytes | os.PathLike):
        raise InputError(f"classify takes many images, got the one path {images!r}", "put it into a list")
    if top < 1:
        raise InputError(f"top is {top}", "give 1 or more")
    size = min(session.batch.largest, BATCH)

    def prepare(numbered: tuple[int, ImageInput]) -> tuple[str, NDArray[np.uint8] | Unreadable]:
        number, image = numbered
        name = name_of(image, number)
        if isinstance(image, Unreadable):
            return name, image
        try:
            return name, session.preprocess(pixels_of(image, name, max_megapixels))
        except (ImageError, InputError) as error:
            return name, Unreadable(name, error.message, error.hint)

    prepared = stream(prepare, enumerate(images), ahead=size + available_cores())
    while batch := list(islice(prepared, size)):
        good = [image for _, image in batch if not isinstance(image, Unreadable)]
        answers = iter(session.run(np.stack(good)) if good else ())
        for name, image in batch:
            yield image if isinstance(image, Unreadable) else best_classes(name, next(answers), session, top)


def name_of(image: ImageInput, number: int) -> str:
    """What to call an image."""
    if isinstance(image, np.ndarray):
        return str(number)
    if isinstance(image, Unreadable):
        return image.image
    return as_text(image.name if isinstance(image, ImageFile) else image)


def as_text(path: str | os.PathLike[str]) -> str:
    """A path as text that can be encoded, whatever bytes a file name holds."""
    return os.fsencode(path).decode("utf-8", "replace")


def pixels_of(image: ImageInput, name: str, max_megapixels: float) -> NDArray[np.uint8]:
    """Read and decode an image.

    Raises:
        ImageError: it cannot be read; the error calls it by `name`.
    """
    if isinstance(image, np.ndarray):
        return image
    if isinstance(image, ImageFile):
        return decode_image(image.data, name, max_megapixels)
    assert not isinstance(image, Unreadable)
    return decode_image(read_file(Path(image), max_megapixels, name), name, max_megapixels)


def best_classes(image: str, probabilities: NDArray[np.float32], session: Session, top: int) -> Classified:
    """The likeliest `top` classes of one row (classes,)."""
    spec = session.spec
    order = np.argsort(-probabilities, kind="stable")[:top]
    answers = tuple(Answer(int(i), spec.label(int(i)), float(probabilities[i])) for i in order)
    threshold = spec.reject_threshold
    return Classified(image, answers, None if threshold is None else answers[0].probability < threshold)
