"""An accuracy budget: float is given back to the fewest layers with which INT8 loses no more than it may.

Layers are ranked by what each of them, quantized alone, does to the logits. The graphs answer on ONNX Runtime, which
computes Q and DQ as they are defined, whatever the target will be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from msgspec import structs
from numpy.typing import NDArray

from calibration.calibration import logits_of
from calibration.errors import measure_sqnr
from calibration.placement import Plan, without_layers
from calibration.qdq import insert_qdq
from calibration.record import Budget, Calibration, GivenBack
from calibration.streaming import batch_size, stream
from export.front import IMAGE
from export.reference import open_reference
from runtime.datasets import Dataset, batches, first
from runtime.evaluate import percent, require_classes
from runtime.progress import Progress, advance_or_stop
from runtime.spec import ModelSpec

RANKED_ON = 64  # images


@dataclass(frozen=True)
class BudgetRequest:
    """What INT8 may lose, and who judges it.

    Attributes:
        model: the FP32 graph.
        plan: what is quantized without a budget.
        spec: of the model.
        max_drop: top-1 points against FP32 that may be lost; without labels, the percentage of images that may change
            their class.
        judges: images that gave no thresholds, and that no accuracy will be reported on.
    """

    model: onnx.ModelProto
    plan: Plan
    spec: ModelSpec
    max_drop: float
    judges: Dataset


def meet_budget(request: BudgetRequest, calibration: Calibration, progress: Progress) -> Calibration:
    """The same calibration, with the layers that stay in float.

    Where no graph with an INT8 layer meets the budget, the best that was tried is taken, and the budget says so.

    Raises:
        DataError: a label is no class of the model.
    """
    require_classes(request.judges, request.spec)
    names = [layer.name for layer in request.plan.layers]
    expected = classes_of(request, request.model, "judge FP32", progress)

    def lost(given_back: Sequence[str]) -> float:
        quantized = quantize(request, calibration, given_back)
        what = f"judge INT8 without {len(given_back)} of {len(names)} layers" if given_back else "judge INT8"
        return loss(classes_of(request, quantized, what, progress), expected, request.judges.labels)

    losses = {0: lost(())}
    count = 0
    sensitivities: dict[str, float] = {}
    if losses[0] > request.max_drop:
        sensitivities = rank(request, calibration, progress)
        ranked = sorted(names, key=sensitivities.__getitem__)
        count = fewest(lambda number: lost(ranked[:number]), request.max_drop, len(names) - 1, losses)
        names = ranked
    budget = Budget(
        max_drop=request.max_drop,
        judged_by="agreement" if request.judges.labels is None else "top1",
        images=len(request.judges),
        lost_at_first=losses[0],
        lost=losses[count],
        met=losses[count] <= request.max_drop,
        given_back=tuple(GivenBack(name, sensitivities[name]) for name in names[:count]),
    )
    return structs.replace(calibration, budget=budget)


def quantize(request: BudgetRequest, calibration: Calibration, given_back: Sequence[str]) -> onnx.ModelProto:
    """The INT8 graph without some layers."""
    plan = without_layers(request.plan, given_back)
    return insert_qdq(request.model, plan, calibration.scales, reduced_range=calibration.reduced_range)


def fewest(lost: Callable[[int], float], limit: float, most: int, losses: dict[int, float]) -> int:
    """How many layers to give back: the fewest that were found to meet the limit, else those that lose least.

    The number is doubled until the limit is met, then the gap to the last one that missed it is halved.

    Args:
        lost: what is lost without so many layers.
        limit: what may be lost.
        most: so many can be given back.
        losses: what is known already, by number; what is found is added.
    """
    missed, met = 0, None
    step = 1
    while met is None and missed < most:
        number = min(step, most)
        losses[number] = lost(number)
        if losses[number] <= limit:
            met = number
        else:
            missed, step = number, 2 * step
    while met is not None and met - missed > 1:
        middle = (missed + met) // 2
        losses[middle] = lost(middle)
        if losses[middle] <= limit:
            met = middle
        else:
            missed = middle
    return min(losses, key=lambda number: (losses[number], number)) if met is None else met


def rank(request: BudgetRequest, calibration: Calibration, progress: Progress) -> dict[str, float]:
    """The SQNR of the logits with each layer quantized alone, in decibels: the lower, the more a layer is to blame."""
    names = [layer.name for layer in request.plan.layers]
    images = first(request.judges, RANKED_ON)
    logits = logits_of(request.model)
    sensitivities = {}
    with progress.stage("rank layers", len(names) * len(images)) as stage:
        for name in names:
            alone = quantize(request, calibration, [other for other in names if other != name])
            streamed = batches(images, request.spec, batch_size(request.model, [logits]))
            sensitivities[name] = measure_sqnr(request.model, alone, [logits], streamed, stage)[logits]
    return sensitivities


def classes_of(request: BudgetRequest, model: onnx.ModelProto, what: str, progress: Progress) -> NDArray[np.int64]:
    """The class that a graph puts each judging image into, int64 (N,)."""
    session = open_reference(model, [logits_of(model)])
    images = batches(request.judges, request.spec, batch_size(request.model, ()))
    found = []
    with progress.stage(what, len(request.judges)) as stage:
        for classes in stream(lambda batch: session.run(None, {IMAGE: batch})[0].argmax(axis=1), images):
            found.append(classes)
            advance_or_stop(stage, len(classes))
    return np.concatenate(found)


def loss(found: NDArray[np.int64], expected: NDArray[np.int64], labels: NDArray[np.int64] | None) -> float:
    """What is lost against FP32: points of top-1, or without labels percent of the images that change their class."""
    if labels is None:
        return round(100 - percent(found == expected), 10)
    return round(percent(expected == labels) - percent(found == labels), 10)
