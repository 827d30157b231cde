"""How right engines are on a set of images, which is read once, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from runtime.datasets import Dataset, place_of
from runtime.errors import DataError
from runtime.evaluate import NO_CLASS, Classes, Probabilities, agree, classes_of, require_classes
from runtime.measure.proportions import mcnemar, paired_difference, wilson
from runtime.measure.result import (
    MOST_CHANGED,
    MOST_CONFUSED,
    MOST_CONFUSION,
    Changed,
    ClassAccuracy,
    MeasuredAccuracy,
    Pairing,
    ReliabilityBin,
)
from runtime.preprocess import Image, image_for
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session
from runtime.spec import ModelSpec
from runtime.streaming import stream

BATCH = 256  # images that are in memory at a time; sessions split it
BINS = 15
TOP = 5
MOST_CLASSES = 2000  # whose confusions are counted: 32 MB for an engine


def measure_accuracy(
    sessions: Mapping[str, Session], dataset: Dataset, reference: str | None, progress: Progress
) -> dict[str, MeasuredAccuracy]:
    """The answers of several engines on the same images.

    Args:
        sessions: by name, of models with the same classes.
        dataset: the images.
        reference: the one that others are paired with.
        progress: told of every batch.

    Raises:
        DataError: the models, or the labels, do not have the same classes.
    """
    specs = {name: session.spec for name, session in sessions.items()}
    require_same_classes(specs)
    require_classes(dataset, next(iter(specs.values())))
    labels = dataset.labels
    tallies = {name: Tally(spec, labelled=labels is not None) for name, spec in specs.items()}
    at = 0
    with progress.stage("measure accuracy", len(dataset)) as stage:
        for prepared in prepared_batches(dataset, specs):
            size = len(next(iter(prepared.values())))
            right = None if labels is None else labels[at : at + size]
            answers = {name: session.run(prepared[name]) for name, session in sessions.items()}
            for name, tally in tallies.items():
                tally.update(answers[name], right)
                if reference is not None and name != reference:
                    tally.pair(answers[name], answers[reference], right, at, dataset)
            at += size
            advance_or_stop(stage, size)
    return {name: tally.result(paired=reference not in (None, name)) for name, tally in tallies.items()}


def require_same_classes(specs: Mapping[str, ModelSpec]) -> None:
    """Refuse models whose answers cannot be compared.

    Raises:
        DataError: they have other classes.
    """
    (name, first), *others = specs.items()
    for other, spec in others:
        if spec.classes != first.classes or (spec.labels and first.labels and spec.labels != first.labels):
            raise DataError(
                f"{name} and {other} do not have the same classes ({first.classes} and {spec.classes})",
                "report them one by one",
            )


def prepared_batches(dataset: Dataset, specs: Mapping[str, ModelSpec]) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Images in order, uint8 (n, height, width, channels) for each model; models that take the same share them."""
    kinds = {name: (spec.image_shape, spec.preprocess.color, spec.preprocess.steps) for name, spec in specs.items()}
    makers = {kinds[name]: spec for name, spec in specs.items()}

    def prepare(index: int) -> list[Image]:
        image = dataset.image(index)
        return [image_for(spec, image) for spec in makers.values()]

    for start in range(0, len(dataset), BATCH):
        indices = range(start, min(start + BATCH, len(dataset)))
        columns = zip(*stream(prepare, indices), strict=True)
        stacks = dict(zip(makers, map(np.stack, columns), strict=True))
        yield {name: stacks[kinds[name]] for name in specs}


class Tally:
    """Counts the answers of one engine, batch by batch.

    Args:
        spec: of its model.
        labelled: whether the right classes are known.
    """

    def __init__(self, spec: ModelSpec, *, labelled: bool) -> None:
        self.spec = spec
        self.labelled = labelled
        self.images = self.broken = self.top1 = self.top5 = self.refused = 0
        classes = spec.classes
        self.answered, self.present, self.hit = (np.zeros(classes, np.int64) for _ in range(3))
        self.confusion = np.zeros((classes, classes), np.int64) if labelled and classes <= MOST_CLASSES else None
        self.bins = np.zeros((3, BINS))  # images, sum of probabilities, right ones
        self.agreed = self.lost = self.gained = 0
        self.changed: list[Changed] = []

    def update(self, answers: Probabilities, labels: Classes | None) -> None:
        """Add a batch: probabilities float32 (n, classes), right classes (n,)."""
        classes = classes_of(answers)
        whole = classes != NO_CLASS
        sure = np.where(whole, answers.max(axis=1), 0)
        self.images += len(answers)
        self.broken += int((~whole).sum())
        self.answered += np.bincount(classes[whole], minlength=self.spec.classes)
        if self.spec.reject_threshold is not None:
            self.refused += int((sure < self.spec.reject_threshold).sum())
        if labels is None:
            return
        right = classes == labels
        self.top1 += int(right.sum())
        self.present += np.bincount(labels, minlength=self.spec.classes)
        self.hit += np.bincount(labels[right], minlength=self.spec.classes)
        if self.spec.classes > TOP:
            own, place = answers[np.arange(len(labels)), labels][:, None], np.arange(self.spec.classes)
            before = (answers > own) | ((answers == own) & (place < labels[:, None]))  # of equals the lower, as argmax
            self.top5 += int((whole & (before.sum(axis=1) < TOP)).sum())
        if self.confusion is not None:
            np.add.at(self.confusion, (labels[whole], classes[whole]), 1)
        places = np.minimum((sure[whole] * BINS).astype(np.int64), BINS - 1)
        for row, weights in enumerate((None, sure[whole], right[whole])):
            self.bins[row] += np.bincount(places, weights, minlength=BINS)

    def pair(
        self, answers: Probabilities, reference: Probabilities, labels: Classes | None, at: int, dataset: Dataset
    ) -> None:
        """Add a batch of answers beside those of the reference; `at` is its place in the set."""
        mine, other = classes_of(answers), classes_of(reference)
        self.agreed += int(agree(mine, other).sum())
        if labels is not None:
            self.lost += int(((other == labels) & (mine != labels)).sum())
            self.gained += int(((mine == labels) & (other != labels)).sum())
        for place in np.flatnonzero(mine != other)[: MOST_CHANGED - len(self.changed)]:
            image, file = place_of(dataset, at + int(place))
            label = None if labels is None else int(labels[place])
            a, b = int(other[place]), int(mine[place])
            sure = [0.0 if k == NO_CLASS else float(row[place, k]) for row, k in ((reference, a), (answers, b))]
            self.changed.append(Changed(image, file, label, a, b, sure[0], sure[1]))

    def result(self, *, paired: bool) -> MeasuredAccuracy:
        """What it comes to."""
        known, five = self.labelled and self.images > 0, self.spec.classes > TOP
        return MeasuredAccuracy(
            images=self.images,
            top1=percent(self.top1, self.images) if known else None,
            top5=percent(self.top5, self.images) if known and five else None,
            top1_interval=wilson(self.top1, self.images) if known else None,
            top5_interval=wilson(self.top5, self.images) if known and five else None,
            calibration_error=self.calibration_error() if known else None,
            reliability=self.reliability() if known else (),
            classes=self.by_class() if known else (),
            confusion=self.shown_confusion() if known else (),
            confused=self.most_confused() if known else (),
            refused=percent(self.refused, self.images) if self.spec.reject_threshold is not None else None,
            broken=self.broken,
            pairing=self.pairing() if paired and self.images else None,
            changed=tuple(self.changed),
        )

    def calibration_error(self) -> float:
        """The expected one: how far being sure and being right lie apart, over bins weighted by their images."""
        return float(np.abs(self.bins[1] - self.bins[2]).sum() / max(self.bins[0].sum(), 1))

    def reliability(self) -> tuple[ReliabilityBin, ...]:
        """Each bin's means; zeros for an empty one."""
        images, sure, right = self.bins
        shares = np.clip([sure, right] / np.maximum(images, 1), 0, 1)
        return tuple(ReliabilityBin(int(n), float(a), float(b)) for n, a, b in zip(images, *shares, strict=True))

    def by_class(self) -> tuple[ClassAccuracy, ...]:
        """One by one."""
        return tuple(
            ClassAccuracy(
                index,
                self.spec.label(index),
                int(present),
                percent(int(hit), int(present)) if present else None,
                percent(int(hit), int(answered)) if answered else None,
            )
            for index, (present, hit, answered) in enumerate(zip(self.present, self.hit, self.answered, strict=True))
        )

    def shown_confusion(self) -> tuple[tuple[int, ...], ...]:
        """The whole matrix, unless it is too large to be looked at."""
        if self.confusion is None or self.spec.classes > MOST_CONFUSION:
            return ()
        return tuple(tuple(map(int, row)) for row in self.confusion)

    def most_confused(self) -> tuple[tuple[int, int, int], ...]:
        """Right class, answer and images of the pairs with most images, most first."""
        if self.confusion is None:
            return ()
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        flat = wrong.ravel()
        places = np.argsort(-flat, kind="stable")[:MOST_CONFUSED]
        classes = self.spec.classes
        return tuple((int(p) // classes, int(p) % classes, int(flat[p])) for p in places if flat[p])

    def pairing(self) -> Pairing:
        """Beside the reference."""
        agreement = percent(self.agreed, self.images)
        if not self.labelled:
            return Pairing(agreement, None, None, None, None, None)
        drop = 100 * (self.lost - self.gained) / self.images
        interval = paired_difference(self.lost, self.gained, self.images)
        return Pairing(agreement, drop, interval, self.lost, self.gained, mcnemar(self.lost, self.gained))


def percent(part: int, whole: int) -> float:
    """A part of a whole, 0..100; 0 of none."""
    return 100 * part / whole if whole else 0.0
