"""calibration.json, and what is put into it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from calibration.calibration import observe, read_calibration, write_calibration
from calibration.placement import plan
from export.front import FRONT_OFFSET_OUTPUT
from runtime.errors import DataError
from runtime.progress import SilentStage


def test_round_trip(lenet_bundle: Path, tmp_path: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    write_calibration(tmp_path / "c.json", calibration)
    assert (tmp_path / "c.json").read_bytes() == (lenet_bundle / "calibration.json").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_pixels_are_exact_and_the_others_are_thresholds_over_127(lenet_bundle: Path) -> None:
    calibration = read_calibration(lenet_bundle / "calibration.json")
    assert calibration.images == 1024
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


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"method": "magic"},
        {"images": 0},
        {"images": "many"},
        {"images_digest": "abc"},
        {"model_digest": None},
        {"tensors": []},
        {"tensors": {"t": {"minimum": 0.0, "maximum": 1.0, "threshold": 1.0, "scale": 0.0, "source": "minmax"}}},
        {"tensors": {"t": {"minimum": 0.0, "maximum": 1.0, "threshold": -1.0, "scale": 1.0, "source": "minmax"}}},
        {"tensors": {"t": {"minimum": 0.0, "maximum": 1.0, "threshold": 1.0, "scale": 1.0}}},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_wrong_field_is_refused(lenet_bundle: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    content = json.loads((lenet_bundle / "calibration.json").read_text()) | change
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content, sort_keys=True, indent=2) + "\n")
    with pytest.raises(DataError, match=r"calibration\.json") as caught:
        read_calibration(path)
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]"])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(DataError):
        read_calibration(tmp_path / "c.json")
    with pytest.raises(DataError, match="cannot read"):
        read_calibration(tmp_path / "gone.json")


def test_images_stream_through_and_the_last_batch_may_be_smaller(lenet_fp32: Path) -> None:
    model = onnx.load(lenet_fp32)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (7, 32, 32, 1), np.uint8)
    alive = 0

    def stream() -> Iterator[np.ndarray]:
        nonlocal alive
        for start in range(0, 7, 3):
            alive += 1
            yield images[start : start + 3]

    streamed = observe(model, plan(model), stream(), "minmax", SilentStage())
    at_once = observe(model, plan(model), [images], "minmax", SilentStage())
    assert alive == 3
    assert streamed.keys() == at_once.keys()
    for name in streamed:
        assert streamed[name].threshold == pytest.approx(at_once[name].threshold, rel=1e-6)
