"""calibration.json, and what is put into it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from calibration.calibration import CalibrationRequest, Settled, calibrate, observe, scale_of
from calibration.observers import Histogram
from calibration.options import CalibrationOptions
from calibration.placement import plan
from calibration.record import Calibration, TensorScale, read_calibration, write_calibration
from export.front import FRONT_OFFSET_OUTPUT
from runtime import canonical
from runtime.backend import available_cores
from runtime.datasets import ArrayDataset, Dataset, Subset, first
from runtime.errors import Cancelled, DataError
from tests.fakes import RecordingProgress, RecordingStage
from toolkit.zoo import ZOO


def test_round_trip(lenet_bundle: Path, tmp_path: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    write_calibration(tmp_path / "c.json", calibration)
    assert (tmp_path / "c.json").read_bytes() == (lenet_bundle / "calibration.json").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_pixels_are_exact_and_the_others_are_thresholds_over_127(lenet_bundle: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    assert (calibration.images, calibration.held_out, calibration.requested) == (768, 256, "auto")
    assert calibration.compared[calibration.method] > max(calibration.compared.values()) - 1
    assert (calibration.tensors[FRONT_OFFSET_OUTPUT].scale, calibration.tensors[FRONT_OFFSET_OUTPUT].source) == (
        1.0,
        "exact",
    )
    others = [scale for name, scale in calibration.tensors.items() if name != FRONT_OFFSET_OUTPUT]
    assert len(others) == 4
    for scale in others:
        assert scale.threshold == scale.thresholds[calibration.method]
        assert scale.thresholds["minmax"] == max(abs(scale.minimum), abs(scale.maximum)) <= 1.001  # they follow a tanh
        assert scale.scale == np.float32(scale.threshold / 127)


def test_scales_of_the_file_are_those_of_the_graph(lenet_bundle: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    constants = {
        entry.name: onnx.numpy_helper.to_array(entry)
        for entry in onnx.load(lenet_bundle / "model.onnx").graph.initializer
    }
    for name, scale in calibration.tensors.items():
        assert float(constants[f"{name}/scale"]) == scale.scale


BINS: dict[str, Any] = {"width": 0.5, "zeros": 3, "counts": [1, 0, 2]}
SCALE: dict[str, Any] = {
    "minimum": 0.0,
    "maximum": 1.0,
    "thresholds": {"minmax": 1.0, "percentile": 0.9, "entropy": 0.8, "mse": 0.9},
    "threshold": 1.0,
    "scale": 0.5,
    "source": "minmax",
    "histogram": BINS,
}
VALID: dict[str, Any] = {
    "schema_version": 4,
    "requested": "auto",
    "method": "minmax",
    "compared": {"minmax": 40.0, "entropy": 30.0},
    "images": 3,
    "held_out": 1,
    "reduced_range": False,
    "images_digest": "a" * 64,
    "graph_digest": "b" * 64,
    "weights_digest": "c" * 64,
    "preprocessing_digest": "d" * 64,
    "tensors": {"t": SCALE},
    "biases": {"conv1": [0.5, -0.25]},
    "roundings": {"conv1": "eJxjZGIAAAAMAAQ="},
    "clipped_weights": False,
    "budget": None,
}


def write(path: Path, content: dict[str, Any]) -> Path:
    """As `write_calibration` would, but unchecked."""
    path.write_text(json.dumps(content, sort_keys=True, indent=2) + "\n")
    return path


def without(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}


def test_the_right_fields_are_read(tmp_path: Path) -> None:
    calibration = read_calibration(write(tmp_path / "calibration.json", VALID))
    assert (calibration.images, calibration.tensors["t"].scale) == (3, 0.5)


@pytest.mark.parametrize(
    "content",
    [
        *(without(VALID, key) for key in VALID),
        *({**VALID, "tensors": {"t": without(SCALE, key)}} for key in SCALE),
        *({**VALID, "tensors": {"t": {**SCALE, "histogram": without(BINS, key)}}} for key in BINS),
        *(
            {**VALID, key: value}
            for key, value in [
                ("schema_version", 3),
                ("requested", "magic"),
                ("compared", {"magic": 1.0}),
                ("compared", {"minmax": "40"}),
                ("held_out", -1),
                ("reduced_range", 1),
                ("method", "magic"),
                ("images", 0),
                ("images", "many"),
                ("images_digest", "abc"),
                ("graph_digest", None),
                ("weights_digest", "Z" * 64),
                ("tensors", []),
                ("extra", 1),
            ]
        ),
        *(
            {**VALID, "tensors": {"t": {**SCALE, key: value}}}
            for key, value in [
                ("minimum", "0"),
                ("minimum", 2.0),
                ("maximum", None),
                ("threshold", 0.0),
                ("threshold", -1.0),
                ("scale", 0.0),
                ("scale", -0.5),
                ("source", "guess"),
                ("thresholds", {**SCALE["thresholds"], "magic": 1.0}),
                ("thresholds", {"minmax": 1.0}),
                ("thresholds", {**SCALE["thresholds"], "mse": 0.0}),
                ("histogram", {**BINS, "width": 0.0}),
                ("histogram", {**BINS, "counts": [-1]}),
                ("histogram", {**BINS, "counts": [1] * 257}),
                ("extra", 1),
            ]
        ),
    ],
)
def test_a_wrong_field_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"calibration\.json: ") as caught:
        read_calibration(write(tmp_path / "calibration.json", content))
    assert caught.value.hint


def test_an_edited_file_is_not_in_canonical_form(tmp_path: Path) -> None:
    path = write(tmp_path / "calibration.json", VALID)
    path.write_text(path.read_text().replace(": 0.5", ": 0.50"))
    with pytest.raises(DataError, match="not in canonical form") as caught:
        read_calibration(path)
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]"])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(DataError):
        read_calibration(tmp_path / "c.json")
    with pytest.raises(DataError, match="cannot read"):
        read_calibration(tmp_path / "gone.json")


def observed(path: Path, images: Iterable[np.ndarray], progress: RecordingStage) -> dict[str, TensorScale]:
    model = onnx.load(path)
    histograms = observe(model, plan(model).tensors, images, progress).histograms
    return {name: scale_of(histogram, "minmax") for name, histogram in histograms.items()}


def test_images_stream_through_and_the_last_batch_may_be_smaller(lenet_fp32: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 1), np.uint8)
    stage = RecordingStage(7, None)
    streamed = observed(lenet_fp32, [images[start : start + 3] for start in range(0, 7, 3)], stage)
    at_once = observed(lenet_fp32, [images], RecordingStage(7, None))
    assert stage.done == 7
    assert streamed.keys() == at_once.keys()
    for name in streamed:
        assert streamed[name].threshold == pytest.approx(at_once[name].threshold, rel=1e-6)


def test_a_request_to_stop_ends_the_stream_and_few_batches_are_there_at_a_time(lenet_fp32: Path) -> None:
    ahead = available_cores() + 1  # so many are worked on, or wait
    batches = iter(np.zeros((10 + ahead, 2, 32, 32, 1), np.uint8))
    with pytest.raises(Cancelled):
        observed(lenet_fp32, batches, RecordingStage(100, stop_after=4))
    assert len(list(batches)) == 10 + ahead - 2 - (ahead - 1)


def test_pixels_keep_scale_1_whatever_the_images_hold(lenet_fp32: Path) -> None:
    scale = observed(lenet_fp32, [np.full((1, 32, 32, 1), 130, np.uint8)], RecordingStage(1, None))[FRONT_OFFSET_OUTPUT]
    assert (scale.minimum, scale.maximum, scale.threshold, scale.scale, scale.source) == (2, 2, 128, 1, "exact")


def calibrated(path: Path, dataset: Dataset, **options: Any) -> Calibration:
    request = CalibrationRequest(
        path, plan(onnx.load(path)), dataset, ZOO["lenet"].spec, False, CalibrationOptions(**options)
    )
    return calibrate(request, RecordingProgress())


def digits(count: int) -> ArrayDataset:
    return ArrayDataset("noise", np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8), None)


@pytest.mark.parametrize("count", [1, 2, 5, 47])
def test_images_in_another_order_give_the_same_file(lenet_fp32: Path, count: int) -> None:
    images = digits(count)
    shuffled = Subset(images, tuple(np.random.default_rng(1).permutation(count).tolist()))
    one, other = (calibrated(lenet_fp32, dataset) for dataset in (images, shuffled))
    assert canonical.to_bytes(one) == canonical.to_bytes(other)
    if count > 1:
        assert one.images_digest != calibrated(lenet_fp32, first(images, count - 1)).images_digest


def test_the_histogram_in_the_file_counts_every_value(lenet_fp32: Path) -> None:
    for name, tensor in calibrated(lenet_fp32, digits(8)).tensors.items():
        assert tensor.histogram is not None and 0 < len(tensor.histogram.counts) <= 256
        assert (tensor.histogram.zeros + sum(tensor.histogram.counts)) % 6 == 0  # six images of eight
        largest = max(abs(tensor.minimum), abs(tensor.maximum))
        assert 0 <= len(tensor.histogram.counts) * tensor.histogram.width - largest <= tensor.histogram.width
        assert tensor.source == "exact" or tensor.thresholds.keys() == {"minmax", "percentile", "entropy", "mse"}, name


def test_more_images_are_not_looked_at_when_thresholds_have_settled(lenet_fp32: Path) -> None:
    every, few = (calibrated(lenet_fp32, digits(600), images=count) for count in (None, "auto"))
    assert every.images == 450 and few.images == 128
    assert few.images_digest == every.images_digest
    for name, tensor in few.tensors.items():
        assert tensor.scale == pytest.approx(every.tensors[name].scale, rel=0.03)


def test_thresholds_that_move_have_not_settled() -> None:
    settled, histogram = Settled(["minmax"]), Histogram("t")
    for images, value, enough in ((63, 1, False), (64, 2, False), (127, 2, False), (128, 2.1, False), (256, 2.1, True)):
        histogram.update(np.array([value], np.float32))
        assert bool(settled({"t": histogram}, images)) == enough, images


def test_an_image_that_gives_nan_is_named_as_its_file() -> None:
    graph = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]>\n'
        "g (uint8[batch,1,1,1] image) => (float[batch,1] y) <float[1,1] w = {1}, int64[2] s = {-1, 1}> {\n"
        "pixels = Cast<to=1>(image)\nrow = Reshape(pixels, s)\nlog = Log(row)\ny = Gemm(log, w)\n}"
    )
    with pytest.raises(DataError, match="log holds NaN or infinity for white/7"):
        images = [np.full((4, 1, 1, 1), 9, np.uint8), np.array([[[[1]]], [[[1]]], [[[1]]], [[[0]]]], np.uint8)]
        observe(graph, ["log"], images, RecordingStage(8, None), "white/{}".format)


def test_windows_of_images_are_not_counted_as_images() -> None:
    graph = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]>\n'
        "g (uint8[batch,2,1,1] image) => (float[rows,1] log) <int64[2] s = {-1, 1}> {\n"
        "pixels = Cast<to=1>(image)\nrow = Reshape(pixels, s)\nlog = Log(row)\n}"
    )
    images = np.ones((4, 2, 1, 1), np.uint8)
    images[3] = 0
    with pytest.raises(DataError, match="log holds NaN or infinity on the calibration images"):
        observe(graph, ["log"], [images], RecordingStage(4, None), ["a", "b", "c", "d"].__getitem__)
