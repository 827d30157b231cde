"""What an image takes before it goes into an engine: reading, decoding, bringing it to the model's size."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median

import numpy as np

from runtime.datasets import Dataset, FileDataset, evenly_spaced, whole
from runtime.measure.result import Preparation
from runtime.measure.statistics import milliseconds
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session

IMAGES = 32
PASSES = 4  # over them; the first brings the files into the system's cache, and does not count


def measure_preparation(
    sessions: Mapping[str, Session], dataset: Dataset, progress: Progress, *, images: int = IMAGES
) -> dict[str, Preparation]:
    """Prepare images for every engine in turn, and answer them one by one.

    Args:
        sessions: by the engine's name.
        dataset: from all over which images are taken.
        progress: told of every pass.
        images: how many.
    """
    pictures = evenly_spaced(dataset, images)
    found: dict[str, list[tuple[int, int, int]]] = {name: [] for name in sessions}
    with progress.stage("prepare images", PASSES) as stage:
        for turn in range(PASSES):
            for index in range(len(pictures)):
                for name, session in sessions.items():
                    spent = prepare(session, pictures, index)
                    found[name] += [spent] * (turn > 0)
            advance_or_stop(stage)
    return {name: describe_preparation(spent, pictures) for name, spent in found.items()}


def prepare(session: Session, dataset: Dataset, index: int) -> tuple[int, int, int]:
    """Decode, prepare and answer one image: nanoseconds of the first, the second, and of all three."""
    clock = time.perf_counter_ns
    start = clock()
    image = dataset.image(index)
    decoded = clock()
    pixels = session.preprocess(image)
    prepared = clock()
    session.run(pixels[None])
    return decoded - start, prepared - decoded, clock() - start


def describe_preparation(spent: list[tuple[int, int, int]], dataset: Dataset) -> Preparation:
    """The medians; an array in memory is neither read nor decoded."""
    decode, preprocess, together = (milliseconds(float(median(column)) / 1e6) for column in np.array(spent).T.tolist())
    files = isinstance(whole(dataset), FileDataset)
    return Preparation(preprocess, decode if files else None, together if files else None, len(dataset))
