"""Accuracy and agreement: several sessions over the same images, each image read and preprocessed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.datasets import Dataset, FileDataset, batches, place_of, whole
from runtime.errors import DataError
from runtime.manifest import Accuracy
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session
from runtime.spec import ModelSpec

Classes: TypeAlias = NDArray[np.int64]
Probabilities: TypeAlias = NDArray[np.float32]

NO_CLASS = -1  # for NaN
BATCH = 256  # read at a time; sessions split it. Taking turns more often costs: idle threads of one still spin


def predict(
    sessions: Mapping[str, Session], dataset: Dataset, progress: Progress, name: str = "evaluate"
) -> dict[str, Classes]:
    """The class that each session puts each image into.

    Args:
        sessions: of models that take the same input.
        dataset: the images.
        progress: told of every batch.
        name: of the stage.

    Returns:
        For each session, (N,) class indices, `NO_CLASS` where it answered NaN.
    """
    spec = next(iter(sessions.values())).spec
    require_classes(dataset, spec)
    answers: dict[str, list[Classes]] = {key: [] for key in sessions}
    with progress.stage(name, len(dataset)) as stage:
        for images in batches(dataset, spec, BATCH):
            for key, session in sessions.items():
                answers[key].append(classes_of(session.run(images)))
            advance_or_stop(stage, len(images))
    return {key: np.concatenate(parts) for key, parts in answers.items()}


def require_classes(dataset: Dataset, spec: ModelSpec) -> None:
    """Refuse labels that are no classes of a model, or that may be others: it names none, and has more than folders.

    Raises:
        DataError: there is one.
    """
    labels, source = dataset.labels, whole(dataset)
    if isinstance(source, FileDataset) and source.classes and not spec.labels:
        folders = max(source.classes) + 1
        if folders < spec.classes:
            raise DataError(
                f"{dataset.name} has {folders} subfolders, and nothing says which of the {spec.classes} classes of "
                f"{spec.name} they are",
                "give --labels with the names of all classes, or a subfolder for each one, in the order of their names",
            )
    if labels is not None and len(labels) and not 0 <= labels.min() <= labels.max() < spec.classes:
        raise DataError(
            f"{dataset.name} has labels {labels.min()} to {labels.max()}, but {spec.name} has {spec.classes} classes",
            "give images that are labelled with the model's classes",
        )


def require_readable(dataset: Dataset, progress: Progress) -> None:
    """Look at files before the work whose last step they are: one that is cut off would lose all of it.

    Raises:
        ImageError: there are such ones. What shows only when a file is decoded is found later.
    """
    source = whole(dataset)
    if not isinstance(source, FileDataset):
        return
    with progress.stage("look at the images", len(dataset)) as stage:
        for index in range(len(dataset)):
            source.check(place_of(dataset, index)[0])
            advance_or_stop(stage)


def classes_of(answers: Probabilities) -> Classes:
    """The class of each image, (N, classes) -> (N,); `NO_CLASS` where there is NaN or infinity."""
    return np.where(np.isfinite(answers).all(axis=1), answers.argmax(axis=1), NO_CLASS)


def agree(classes: Classes, others: Classes) -> NDArray[np.bool_]:
    """Which images two engines put into the same class, (N,); NaN agrees with nothing."""
    return np.asarray((classes == others) & (classes != NO_CLASS), np.bool_)


def percent(hits: NDArray[np.bool_]) -> float:
    """Hits in percent of all, (N,) -> 0..100."""
    return float(100 * np.count_nonzero(hits) / len(hits))


def accuracy(predicted: Classes, reference: Classes | None, labels: Classes | None, measured_with: str) -> Accuracy:
    """Compare (N,) classes with those of the FP32 reference and with the labels, where there are any."""
    top1 = top1_fp32 = drop = None
    if labels is not None:
        top1 = percent(predicted == labels)
        if reference is not None:
            top1_fp32 = percent(reference == labels)
            drop = round(top1_fp32 - top1, 10)
    agreement = percent(agree(predicted, reference)) if reference is not None else None
    return Accuracy(top1, top1_fp32, drop, agreement, len(predicted), measured_with)
