"""An accuracy budget: the fewest layers go back to float, and what cannot be met is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

import runtime
from calibration.budget import BudgetRequest, fewest, judged_classes, loss, meet_budget
from calibration.calibration import CalibrationRequest, calibrate, with_fitted_layers
from calibration.options import CalibrationOptions
from calibration.placement import GIVEN_BACK, plan, without_layers
from calibration.quantize import at_precision, to_int8
from calibration.record import Calibration, of_method
from runtime.datasets import ArrayDataset, evenly_spaced, open_dataset
from runtime.errors import Cancelled, DataError
from runtime.evaluate import NO_CLASS
from tests.calibration.spoiled import spoiled
from tests.fakes import RecordingProgress
from toolkit.zoo import ZOO

DIGITS = open_dataset(Path(runtime.__file__).parent / "data" / "mnist", "train")
SPEC = ZOO["lenet-28"].spec


@pytest.fixture(scope="module")
def calibration(lenet_28_fp32: Path) -> Calibration:
    """Of lenet-28, bad for conv2 and good for the others."""
    plain = request(lenet_28_fp32, rounding="nearest", correct_biases=False)
    return spoiled(calibrate(plain, RecordingProgress()), "tanh")


def request(path: Path, **options: Any) -> CalibrationRequest:
    return CalibrationRequest(
        path, plan(onnx.load(path)), DIGITS, SPEC, False, CalibrationOptions(method="entropy", **options)
    )


def met(path: Path, calibration: Calibration, max_drop: float, *, labelled: bool = True) -> Calibration:
    images = evenly_spaced(DIGITS, 256)
    if not labelled:
        images = ArrayDataset("unlabelled", np.stack([images.image(index) for index in range(256)]), None)
    return meet_budget(BudgetRequest(request(path), max_drop, images), calibration, RecordingProgress())


@pytest.mark.parametrize("labelled", [True, False])
def test_the_layer_that_is_to_blame_goes_back_to_float(
    lenet_28_fp32: Path, calibration: Calibration, labelled: bool
) -> None:
    found = met(lenet_28_fp32, calibration, 1.0, labelled=labelled)
    budget = found.budget
    assert budget is not None and budget.met and budget.lost_at_first > 3 > 1 >= budget.lost
    assert (budget.judged_by, budget.images) == ("top1" if labelled else "agreement", 256)
    assert found.in_float == ("conv2",) and budget.given_back[0].sqnr_db < 10
    assert structs.replace(found, budget=None) == calibration

    model = onnx.load(lenet_28_fp32)
    quantized, _ = at_precision(model, "int8", found, {})
    reads = {node.name: node.input[0] for node in quantized.graph.node}
    makers = {node.output[0]: node.op_type for node in quantized.graph.node}
    assert {name: makers[reads[name]] for name in ("conv2", "fc2", "fc3")} == {
        "conv2": "MaxPool",
        "fc2": "DequantizeLinear",
        "fc3": "DequantizeLinear",
    }


def test_nothing_goes_back_where_little_is_lost(lenet_28_fp32: Path, calibration: Calibration) -> None:
    good = structs.replace(calibration, method="minmax", tensors=of_method(calibration.tensors, "minmax"))
    budget = met(lenet_28_fp32, good, 1.0).budget
    assert budget is not None and budget.met and not budget.given_back and budget.lost == budget.lost_at_first <= 1


def test_what_no_int8_layer_meets_is_said_with_the_best_that_was_found(
    lenet_28_fp32: Path, calibration: Calibration
) -> None:
    bad = {
        name: tensor if tensor.source == "exact" else structs.replace(tensor, scale=1e-6)
        for name, tensor in calibration.tensors.items()
    }
    only_first = {**bad, "image_minus_128": structs.replace(bad["image_minus_128"], scale=0.01)}
    budget = met(lenet_28_fp32, structs.replace(calibration, tensors=only_first), 0.0).budget
    assert budget is not None and not budget.met
    assert 0 < budget.lost <= budget.lost_at_first and len(budget.given_back) < 5


def test_labels_that_are_no_classes_are_refused(lenet_28_fp32: Path, calibration: Calibration) -> None:
    images = ArrayDataset("wrong", np.zeros((3, 28, 28), np.uint8), np.array([0, 1, 10]))
    with pytest.raises(DataError, match="10 classes"):
        meet_budget(BudgetRequest(request(lenet_28_fp32), 1.0, images), calibration, RecordingProgress())


def test_a_request_to_stop_ends_it(lenet_28_fp32: Path, calibration: Calibration) -> None:
    with pytest.raises(Cancelled):
        meet_budget(BudgetRequest(request(lenet_28_fp32), 1.0, DIGITS), calibration, RecordingProgress(stop_after=300))


def test_biases_fit_the_layers_that_are_left(lenet_28_fp32: Path, calibration: Calibration) -> None:
    corrected = with_fitted_layers(request(lenet_28_fp32), calibration, RecordingProgress())
    found = met(lenet_28_fp32, corrected, 0.5)
    assert found.in_float and found.biases and found.biases != corrected.biases
    assert not found.biases.keys() & set(found.in_float)
    assert found.budget is not None and found.budget.lost < corrected_loss(lenet_28_fp32, corrected, found.in_float)


def corrected_loss(path: Path, corrected: Calibration, in_float: tuple[str, ...]) -> float:
    """What is lost where the same layers are in float, and biases are those of the whole graph."""
    images = evenly_spaced(DIGITS, 256)
    model, planned = onnx.load(path), without_layers(plan(onnx.load(path)), in_float)
    asked = BudgetRequest(request(path), 0.5, images)
    graphs = (to_int8(model, planned, corrected), model)
    found, expected = (judged_classes(asked, graph, "", RecordingProgress()) for graph in graphs)
    return loss(found, expected, images.labels)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=40), st.floats(0, 10))
def test_the_fewest_are_found_where_more_layers_never_lose_more(values: list[float], limit: float) -> None:
    descending = sorted(values, reverse=True)
    losses = {0: descending[0]}
    if losses[0] <= limit:
        return
    asked: list[int] = []

    def lost(number: int) -> float:
        asked.append(number)
        return descending[number]

    found = fewest(lost, limit, len(values) - 1, losses)
    enough = [number for number, value in enumerate(descending) if value <= limit]
    assert found == enough[0] if enough else losses[found] == min(losses.values())
    assert len(asked) == len(set(asked)) <= 2 * len(values).bit_length() + 1


def test_what_is_lost() -> None:
    found, expected = np.array([0, 1, 2, 3]), np.array([0, 1, 0, 0])
    assert loss(found, expected, None) == 50
    assert loss(np.array([0, NO_CLASS]), np.array([0, NO_CLASS]), None) == 50  # NaN agrees with nothing
    assert loss(found, expected, np.array([0, 1, 2, 0])) == 0
    assert loss(found, expected, np.array([0, 1, 0, 0])) == 50
    assert loss(found, expected, np.array([0, 1, 2, 3])) == -50


def test_the_reason_is_that_of_the_budget(lenet_28_fp32: Path) -> None:
    planned = without_layers(plan(onnx.load(lenet_28_fp32)), ["conv2"])
    assert [(layer.name, layer.reason) for layer in planned.skipped] == [("conv2", GIVEN_BACK)]
    assert [layer.name for layer in planned.layers] == ["conv1", "fc1", "fc2", "fc3"]
