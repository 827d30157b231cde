"""Two models compared, in one straight function: open, match, stream, sum up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.compare import Compared, GraphComparison
from calibration.errors import MOST_DB
from export.head import LOGITS
from runtime.backend import available_cores
from runtime.datasets import place_of
from runtime.evaluate import agree, percent
from runtime.progress import Progress, advance_or_stop
from runtime.spec import ModelSpec
from toolkit.comparison.answers import Answers, Points
from toolkit.comparison.find import Options, find_sides
from toolkit.comparison.images import ImagePairs, open_images
from toolkit.comparison.result import ComparedLayer, Comparison, Disagreement, SideEntry, UnmatchedLayer
from toolkit.comparison.sides import CHECKED_IMAGES, Side, open_side

MOST_DISAGREEMENTS = 20


@dataclass(frozen=True)
class CompareRequest:
    """What to compare, and on what.

    Attributes:
        names: of A and of B, as the command line has them.
        options: of the models.
        data: a folder of images; None takes what the models bring.
        images: how many to take.
        all_tensors: compare every float tensor that both graphs have, not layers alone.
    """

    names: tuple[str, str]
    options: Options
    data: Path | None
    images: int
    all_tensors: bool = False


def compare(request: CompareRequest, progress: Progress) -> tuple[Comparison, Points]:
    """Compare two models.

    Returns:
        What was found, and some logits of both for a picture.

    Raises:
        ToolkitError: a model or the images cannot be used, or do not fit each other.
    """
    start = time.perf_counter()
    found = find_sides(request.names, request.options, progress)
    specs = (found[0].spec, found[1].spec)
    pairs = open_images(
        request.data, [side.data for side in found], [side.bundle for side in found], specs, request.images
    )
    count = len(pairs.dataset)
    samples = next(pairs.batches(CHECKED_IMAGES))
    with ExitStack() as stack:
        sides = [
            open_side(side, images, request.options, progress, stack)
            for side, images in zip(found, samples, strict=True)
        ]
        a, b = sides
        threads = request.options.engine.threads or available_cores()
        first = samples[0][:1], samples[1][:1]
        graphs = GraphComparison((a.graph, b.graph), first, all_tensors=request.all_tensors, threads=threads)
        ends = [side.graph.graph.output[0].name for side in sides]
        shown = [LOGITS, LOGITS] if any(row.a == row.b == LOGITS for row in graphs.rows) else ends
        answers, points = Answers(), Points(shown[0], count * specs[0].classes)
        with progress.stage("compare", count) as stage:
            for images in pairs.batches(graphs.batch):
                values = graphs.update(images)
                answers.update((a.answer(images[0]), b.answer(images[1])), (values[0][ends[0]], values[1][ends[1]]))
                points.update(values[0][shown[0]], values[1][shown[1]])
                advance_or_stop(stage, len(images[0]))
    seconds = round(time.perf_counter() - start, 2)
    return summarize(sides, pairs, graphs, answers, seconds), points


def summarize(
    sides: Sequence[Side], pairs: ImagePairs, graphs: GraphComparison, answers: Answers, seconds: float
) -> Comparison:
    """What was summed up, as values."""
    entries = [
        SideEntry(side.found.name, side.found.spec.name, side.precision, side.answered_with, round(difference, 9))
        for side, difference in zip(sides, answers.engines, strict=True)
    ]
    layers = tuple(layer_of(row, pairs) for row in graphs.rows)
    errors = {layer.name: layer.own_sqnr_db for layer in layers if layer.own_sqnr_db is not None}
    worst = min(errors, key=lambda name: errors[name], default=None)
    classes_a, classes_b = answers.classes
    labels = pairs.dataset.labels
    largest, place = answers.largest
    where, file = place_of(pairs.dataset, place)
    missing = any(entry.side == "a" for entry in graphs.unmatched)
    return Comparison(
        a=entries[0],
        b=entries[1],
        data=pairs.dataset.name,
        images=len(pairs.dataset),
        equal=not missing and all(layer.largest_error == 0 for layer in layers) and largest == 0,
        layers=layers,
        adds_most_error=worst if worst is not None and errors[worst] < MOST_DB else None,
        unmatched=tuple(UnmatchedLayer(entry.side, entry.name, entry.reason) for entry in graphs.unmatched),
        top1_a=None if labels is None else percent(classes_a == labels),
        top1_b=None if labels is None else percent(classes_b == labels),
        agreement=percent(agree(classes_a, classes_b)),
        largest_probability_difference=largest,
        largest_difference_image=where,
        largest_difference_file=file,
        disagreements=tuple(
            Disagreement(
                *place_of(pairs.dataset, int(index)),
                None if labels is None else int(labels[index]),
                int(classes_a[index]),
                int(classes_b[index]),
            )
            for index in np.flatnonzero(classes_a != classes_b)[:MOST_DISAGREEMENTS]
        ),
        warnings=(*pairs.warnings, *differences(*pairs.specs), *answers.warnings),
        picture=None,
        seconds=seconds,
    )


def layer_of(row: Compared, pairs: ImagePairs) -> ComparedLayer:
    """A row, as values that JSON can hold."""
    error = row.output
    known = np.isfinite(error.largest_error)
    return ComparedLayer(
        name=row.name,
        name_b=row.name_b,
        operation=row.operation,
        shape=row.shape,
        sqnr_db=error.sqnr_db,
        cosine=None if error.cosine is None else round(error.cosine, 9),
        largest_error=error.largest_error if known else None,
        relative_error=error.relative_error,
        image=None if error.image is None else place_of(pairs.dataset, error.image)[0],
        input_sqnr_db=row.input_sqnr_db,
        own_sqnr_db=row.own_sqnr_db,
    )


def differences(a: ModelSpec, b: ModelSpec) -> tuple[str, ...]:
    """What both say otherwise of the images and the classes: an error there is often taken for one of a layer.

    Mean and deviation of a model that takes pixels as they are lie inside its graph, where nobody can tell them.
    """
    rows: list[tuple[str, str, str]] = [("the order of colours", a.preprocess.color, b.preprocess.color)]
    if not (a.preprocess.as_pixels or b.preprocess.as_pixels):
        rows += [
            ("the mean", numbers(a.preprocess.mean), numbers(b.preprocess.mean)),
            ("the standard deviation", numbers(a.preprocess.std), numbers(b.preprocess.std)),
        ]
    found = [
        f"they prepare images differently: {name} is {one} in A and {two} in B" for name, one, two in rows if one != two
    ]
    if a.preprocess.steps != b.preprocess.steps:
        found.append("they prepare images differently: resizing and cropping are not the same")
    if a.labels and b.labels and a.labels != b.labels:
        index = next(i for i, (one, two) in enumerate(zip(a.labels, b.labels, strict=True)) if one != two)
        found.append(f"they name classes differently: {index} is {a.labels[index]!r} in A and {b.labels[index]!r} in B")
    return tuple(found)


def numbers(values: tuple[float, ...]) -> str:
    """`0.485,0.456,0.406`."""
    return ",".join(f"{value:g}" for value in values)
