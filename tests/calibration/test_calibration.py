"""calibration.json, and what is put into it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from calibration.calibration import TensorScale, observe, read_calibration, scale_of, write_calibration
from calibration.placement import plan
from export.front import FRONT_OFFSET_OUTPUT
from runtime.errors import Cancelled, DataError
from tests.fakes import RecordingStage


def test_round_trip(lenet_bundle: Path, tmp_path: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    write_calibration(tmp_path / "c.json", calibration)
    assert (tmp_path / "c.json").read_bytes() == (lenet_bundle / "calibration.json").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_pixels_are_exact_and_the_others_are_thresholds_over_127(lenet_bundle: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    assert (calibration.images, calibration.held_out, calibration.requested) == (768, 256, "auto")
    assert calibration.method == max(calibration.compared, key=lambda name: calibration.compared[name]) == "minmax"
    assert (calibration.tensors[FRONT_OFFSET_OUTPUT].scale, calibration.tensors[FRONT_OFFSET_OUTPUT].source) == (
        1.0,
        "exact",
    )
    others = [scale for name, scale in calibration.tensors.items() if name != FRONT_OFFSET_OUTPUT]
    assert len(others) == 4
    for scale in others:
        assert scale.threshold == max(abs(scale.minimum), abs(scale.maximum)) <= 1.001  # they follow a tanh
        assert scale.scale == np.float32(scale.threshold / 127)


def test_scales_of_the_file_are_those_of_the_graph(lenet_bundle: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    constants = {
        entry.name: onnx.numpy_helper.to_array(entry)
        for entry in onnx.load(lenet_bundle / "model.onnx").graph.initializer
    }
    for name, scale in calibration.tensors.items():
        assert float(constants[f"{name}/scale"]) == scale.scale


SCALE: dict[str, Any] = {"minimum": 0.0, "maximum": 1.0, "threshold": 1.0, "scale": 0.5, "source": "minmax"}
VALID: dict[str, Any] = {
    "schema_version": 2,
    "requested": "auto",
    "method": "minmax",
    "compared": {"minmax": 40.0, "entropy": 30.0},
    "images": 3,
    "held_out": 1,
    "reduced_range": False,
    "images_digest": "a" * 64,
    "model_digest": "b" * 64,
    "tensors": {"t": SCALE},
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
        *(
            {**VALID, key: value}
            for key, value in [
                ("schema_version", 1),
                ("requested", "magic"),
                ("compared", {"magic": 1.0}),
                ("compared", {"minmax": "40"}),
                ("held_out", -1),
                ("reduced_range", 1),
                ("method", "magic"),
                ("images", 0),
                ("images", "many"),
                ("images_digest", "abc"),
                ("model_digest", None),
                ("model_digest", "Z" * 64),
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
    histograms = observe(model, plan(model).tensors, images, progress)
    return {name: scale_of(histogram, "minmax") for name, histogram in histograms.items()}


def test_images_stream_through_and_the_last_batch_may_be_smaller(lenet_fp32: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 1), np.uint8)
    stage, done_when_asked = RecordingStage(7, None), []

    def stream() -> Iterator[np.ndarray]:
        for start in range(0, 7, 3):
            done_when_asked.append(stage.done)
            yield images[start : start + 3]

    streamed = observed(lenet_fp32, stream(), stage)
    at_once = observed(lenet_fp32, [images], RecordingStage(7, None))
    assert done_when_asked == [0, 3, 6]  # a batch is done with before the next one is made
    assert stage.done == 7
    assert streamed.keys() == at_once.keys()
    for name in streamed:
        assert streamed[name].threshold == pytest.approx(at_once[name].threshold, rel=1e-6)


def test_a_request_to_stop_ends_the_stream(lenet_fp32: Path) -> None:
    batches = iter(np.zeros((5, 2, 32, 32, 1), np.uint8))
    with pytest.raises(Cancelled):
        observed(lenet_fp32, batches, RecordingStage(10, stop_after=4))
    assert len(list(batches)) == 3


def test_pixels_keep_scale_1_whatever_the_images_hold(lenet_fp32: Path) -> None:
    scale = observed(lenet_fp32, [np.full((1, 32, 32, 1), 130, np.uint8)], RecordingStage(1, None))[FRONT_OFFSET_OUTPUT]
    assert (scale.minimum, scale.maximum, scale.threshold, scale.scale, scale.source) == (2, 2, 128, 1, "exact")
