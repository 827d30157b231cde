"""An accuracy budget: float is given back to the fewest layers with which INT8 loses no more than it may.

Layers are ranked by what each of them, quantized alone, does to the logits. The graphs answer on ONNX Runtime, which
computes Q and DQ as they are defined, whatever the target will be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import onnx
from msgspec import structs

from calibration.batch_size import batch_size
from calibration.calibration import CalibrationRequest, with_fitted_layers
from calibration.errors import measure_sqnr
from calibration.judging import logits_of
from calibration.placement import without_layers
from calibration.quantize import to_int8
from calibration.record import Budget, Calibration, GivenBack
from export.front import IMAGE
from export.reference import open_reference
from runtime.datasets import Dataset, batches, first
from runtime.evaluate import Classes, agree, classes_of, percent, require_classes
from runtime.progress import Progress, advance_or_stop
from runtime.streaming import stream

RANKED_ON = 64  # images


@dataclass(frozen=True)
class BudgetRequest:
    """What INT8 may lose, and who judges it.

    Attributes:
        calibration: the graph, and what was calibrated.
        max_drop: top-1 points against FP32 that may be lost; without labels, the percentage of images that may change
            their class.
        judges: images that gave no thresholds, and that no accuracy will be reported on.
    """

    calibration: CalibrationRequest
    max_drop: float
    judges: Dataset

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The FP32 graph."""
        return onnx.load(self.calibration.fp32_path)

    @property
    def layers(self) -> tuple[str, ...]:
        """Those that are quantized without a budget."""
        return tuple(layer.name for layer in self.calibration.plan.layers)


def meet_budget(request: BudgetRequest, calibration: Calibration, progress: Progress) -> Calibration:
    """The same calibration, with the layers that stay in float, and the others fitted to that.

    Where no graph with an INT8 layer meets the budget, the best that was tried is taken, and the budget says so.

    Raises:
        DataError: a label is no class of the model.
    """
    require_classes(request.judges, request.calibration.spec)
    expected = judged_classes(request, request.model, "judge FP32", progress)
    ranked = list(request.layers)
    fitted: dict[int, Calibration] = {}

    def lost(count: int) -> float:
        fitted[count] = fit(request, calibration, ranked[:count], progress)
        plan = without_layers(request.calibration.plan, ranked[:count])
        what = f"judge INT8 without {count} of {len(ranked)} layers" if count else "judge INT8"
        quantized = to_int8(request.model, plan, fitted[count])
        return loss(judged_classes(request, quantized, what, progress), expected, request.judges.labels)

    losses = {0: lost(0)}
    count = 0
    sensitivities: dict[str, float] = {}
    if losses[0] > request.max_drop:
        sensitivities = rank(request, calibration, progress)
        ranked.sort(key=sensitivities.__getitem__)
        count = fewest(lost, request.max_drop, len(ranked) - 1, losses)
    budget = Budget(
        max_drop=request.max_drop,
        judged_by="agreement" if request.judges.labels is None else "top1",
        images=len(request.judges),
        lost_at_first=losses[0],
        lost=losses[count],
        met=losses[count] <= request.max_drop,
        given_back=tuple(GivenBack(name, sensitivities[name]) for name in ranked[:count]),
    )
    return structs.replace(fitted[count], budget=budget)


def fit(request: BudgetRequest, calibration: Calibration, given_back: Sequence[str], progress: Progress) -> Calibration:
    """The calibration with layers fitted to a graph without some: they make up for what the others do."""
    if not given_back or not calibration.fitted:
        return calibration
    fewer = replace(request.calibration, plan=without_layers(request.calibration.plan, given_back))
    return with_fitted_layers(fewer, calibration, progress)


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
    plan, spec, logits = request.calibration.plan, request.calibration.spec, logits_of(request.model)
    plain = structs.replace(calibration, biases={}, roundings={})  # those fit the whole graph
    images = first(request.judges, RANKED_ON)
    sensitivities = {}
    with progress.stage("rank layers", len(request.layers) * len(images)) as stage:
        for name in request.layers:
            others = [other for other in request.layers if other != name]
            alone = to_int8(request.model, without_layers(plan, others), plain)
            streamed = batches(images, spec, batch_size(request.model, [logits]))
            sensitivities[name] = measure_sqnr(request.model, alone, [logits], streamed, stage)[logits]
    return sensitivities


def judged_classes(request: BudgetRequest, model: onnx.ModelProto, what: str, progress: Progress) -> Classes:
    """The class that a graph puts each judging image into, (N,)."""
    session = open_reference(model, [logits_of(model)])
    images = batches(request.judges, request.calibration.spec, batch_size(request.model, ()))
    found = []
    with progress.stage(what, len(request.judges)) as stage:
        for classes in stream(lambda batch: classes_of(session.run(None, {IMAGE: batch})[0]), images):
            found.append(classes)
            advance_or_stop(stage, len(classes))
    return np.concatenate(found)


def loss(found: Classes, expected: Classes, labels: Classes | None) -> float:
    """What is lost against FP32: points of top-1, or without labels percent of the images that change their class."""
    if labels is None:
        return round(100 - percent(agree(found, expected)), 10)
    return round(percent(expected == labels) - percent(found == labels), 10)
