"""The graph at each precision, on the real model and on small ones."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

import runtime
from calibration.calibration import CalibrationRequest, calibrate
from calibration.judging import chosen
from calibration.options import CalibrationOptions
from calibration.placement import plan
from calibration.quantize import at_precision
from calibration.record import Calibration, read_calibration
from calibration.thresholds import METHODS
from export.front import FRONT_SCALED_OUTPUT
from export.reference import open_reference
from runtime import open_session
from runtime.backend import EngineOptions
from runtime.backends.openvino import OpenVinoBackend
from runtime.bundle import Bundle
from runtime.datasets import batches, evenly_spaced, open_dataset
from runtime.evaluate import predict
from runtime.progress import SilentProgress
from runtime.spec import Precision
from tests.fakes import RecordingProgress
from toolkit.zoo import ZOO

DIGITS = Path(runtime.__file__).parent / "data" / "mnist"
SPEC = ZOO["lenet"].spec


def forty_digits(path: Path, method: str = "auto", reduced: bool = True) -> Calibration:
    digits = evenly_spaced(open_dataset(DIGITS, "train"), 40)
    planned = plan(onnx.load(path))
    request = CalibrationRequest(path, planned, digits, SPEC, reduced, CalibrationOptions(method=method))  # type: ignore[arg-type]
    return calibrate(request, SilentProgress())


def test_both_engines_put_the_digits_into_the_same_classes(lenet_bundle: Path) -> None:
    digits = evenly_spaced(open_dataset(DIGITS, "test"), 1000)
    with open_session(lenet_bundle) as one, open_session(lenet_bundle, backend="onnxruntime") as other:
        classes = predict({"one": one, "other": other}, digits, SilentProgress())
    assert np.mean(classes["one"] == classes["other"]) >= 0.998


def test_openvino_executes_every_layer_in_int8(lenet_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(lenet_bundle)
    options = EngineOptions("int8", reduced_range=bundle.manifest.reduced_range)
    compiled = OpenVinoBackend().compile(lenet_bundle / "model.onnx", tmp_path, bundle.spec, options, SilentProgress())
    assert compiled.layers is not None
    assert {compiled.layers[name] for name in ("conv1", "conv2", "fc1", "fc2", "fc3")} == {"int8"}
    assert list(tmp_path.iterdir()) == []


def test_the_table_names_tensors_of_the_graph_and_what_it_was_taken_from(lenet_bundle: Path) -> None:
    table = read_calibration(lenet_bundle / "calibration.json")
    quantizers = [n for n in onnx.load(lenet_bundle / "model.onnx").graph.node if n.op_type == "QuantizeLinear"]
    assert sorted(table.tensors) == sorted(node.input[0] for node in quantizers)
    assert len(quantizers) == 5
    assert re.fullmatch("[0-9a-f]{64}", table.weights_digest)


def test_three_quarters_calibrate_and_a_quarter_chooses(lenet_28_fp32: Path) -> None:
    progress = RecordingProgress()
    digits = evenly_spaced(open_dataset(DIGITS, "train"), 800)
    request = CalibrationRequest(lenet_28_fp32, plan(onnx.load(lenet_28_fp32)), digits, ZOO["lenet-28"].spec, True)
    calibration = calibrate(request, progress)
    assert (calibration.images, calibration.held_out) == (600, 200)
    assert (progress.stages["calibrate"].done, progress.stages["compare methods"].done) == (600, 200)
    assert set(calibration.compared) == set(METHODS)
    assert min(calibration.compared.values()) > calibration.compared["minmax"] - 3  # none clips the bulk of a tensor


def test_a_method_that_clips_has_to_be_better_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    minmax, little = rng.normal(40, 5, 64), rng.normal(0.3, 3, 64)
    assert chosen({"minmax": minmax, "mse": minmax + np.abs(little), "entropy": minmax - 1}) == "mse"
    assert chosen({"minmax": minmax, "mse": minmax + little - little.mean() + 0.1}) == "minmax"
    assert chosen({"minmax": minmax, "mse": minmax}) == "minmax"
    assert chosen({"minmax": minmax[:1], "mse": minmax[:1] + 9}) == "minmax"  # one image is no evidence


@pytest.mark.parametrize("method", ["minmax", "entropy"])
def test_a_named_method_is_taken_without_comparing(lenet_fp32: Path, method: str) -> None:
    calibration = forty_digits(lenet_fp32, method)
    assert (calibration.requested, calibration.method, calibration.compared) == (method, method, {})
    assert {scale.source for scale in calibration.tensors.values()} == {method, "exact"}


def test_what_is_chosen_does_not_depend_on_how_thresholds_would_fall_on_the_held_out_images(lenet_fp32: Path) -> None:
    first, again = forty_digits(lenet_fp32), forty_digits(lenet_fp32, forty_digits(lenet_fp32).method)
    assert first.tensors == again.tensors


@pytest.mark.parametrize(
    ("precision", "least_db", "kinds"),
    [
        ("fp16", 50, {TensorProto.FLOAT16: 10, TensorProto.INT8: 0}),
        ("int8", 27, {TensorProto.FLOAT16: 0, TensorProto.INT8: 5}),
        ("int8-fp16", 27, {TensorProto.FLOAT16: 5, TensorProto.INT8: 5}),
    ],
)
def test_each_precision_stores_what_its_name_says_and_answers_nearly_alike(
    lenet_fp32: Path, precision: Precision, least_db: float, kinds: dict[int, int]
) -> None:
    fp32 = onnx.load(lenet_fp32)
    graph, kept = at_precision(fp32, precision, forty_digits(lenet_fp32), {})
    assert kept == {}
    assert [value.type.tensor_type.elem_type for value in (*graph.graph.input, *graph.graph.output)] == [
        TensorProto.UINT8,
        TensorProto.FLOAT,
    ]
    parameters = [entry for entry in graph.graph.initializer if entry.dims and "zero_point" not in entry.name]
    for kind, count in kinds.items():
        named = [e for e in parameters if e.data_type == kind and not e.name.endswith(("scale", "scale/float16"))]
        assert len(named) == count, [e.name for e in named]
    images = next(batches(evenly_spaced(open_dataset(DIGITS, "train"), 64), SPEC, 64))
    x, y = (open_reference(m, ["logits"]).run(None, {"image": images})[0].astype(np.float64) for m in (fp32, graph))
    assert 10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()) > least_db


def test_int8_with_a_float16_rest_scales_the_front_so_that_no_scale_is_subnormal(lenet_fp32: Path) -> None:
    graph, _ = at_precision(onnx.load(lenet_fp32), "int8-fp16", forty_digits(lenet_fp32), {})
    constants = {entry.name: numpy_helper.to_array(entry) for entry in graph.graph.initializer}
    assert float(constants[f"{FRONT_SCALED_OUTPUT}/scale"]) == 1 / 128
    halves = [array for array in constants.values() if array.dtype == np.float16]
    assert halves and all(np.abs(array[array != 0]).min() >= 0 for array in halves)
    scales = [array for name, array in constants.items() if name.endswith("scale/float16")]
    assert len(scales) >= 9 and all(array.min() >= np.finfo(np.float16).smallest_normal for array in scales)


def test_a_graph_that_holds_qdq_passes_through_as_it_is(lenet_bundle: Path) -> None:
    given = onnx.load(lenet_bundle / "model.onnx")
    graph, kept = at_precision(given, "int8", None, {})
    assert graph == given and kept == {}
