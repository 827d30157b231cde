"""Calibrations that are kept: reused, made again, and what is said of it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest

import runtime
from calibration.cache import cached_calibration
from calibration.calibration import CalibrationRequest
from calibration.options import CalibrationOptions
from calibration.placement import plan
from calibration.record import Calibration
from runtime.datasets import evenly_spaced, open_dataset
from tests.fakes import RecordingProgress
from toolkit.zoo import ZOO

DIGITS = Path(runtime.__file__).parent / "data" / "mnist"
LOOK = "look for a calibration"


def run(
    path: Path, cache: Path | None, count: int = 12, method: str = "minmax", reduced: bool = False
) -> tuple[Calibration, str, bool]:
    """The calibration, what was said, and whether it was computed."""
    progress = RecordingProgress()
    digits = evenly_spaced(open_dataset(DIGITS, "train"), count)
    planned, spec = plan(onnx.load(path)), ZOO["lenet"].spec
    request = CalibrationRequest(path, planned, digits, spec, reduced, CalibrationOptions(method=method))  # type: ignore[arg-type]
    made = cached_calibration(request, cache, progress)
    said = " ".join(progress.stages[LOOK].notes) if LOOK in progress.stages else ""
    return made, said, "calibrate" in progress.stages


def test_fresh_is_reused_and_said(lenet_fp32: Path, tmp_path: Path) -> None:
    first, said, computed = run(lenet_fp32, tmp_path)
    assert computed and "none of lenet in the cache yet" in said
    again, said, computed = run(lenet_fp32, tmp_path)
    assert not computed and "reused" in said and str(tmp_path) in said
    assert again == first


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"count": 13}, ["the images"]),
        ({"method": "entropy"}, ["the method"]),
        ({"reduced": True}, ["the range of weights"]),
        ({"count": 13, "method": "auto"}, ["the images", "the method"]),
    ],
)
def test_stale_is_computed_again_and_said_why(
    lenet_fp32: Path, tmp_path: Path, changes: dict[str, object], words: list[str]
) -> None:
    run(lenet_fp32, tmp_path)
    _, said, computed = run(lenet_fp32, tmp_path, **changes)  # type: ignore[arg-type]
    assert computed
    assert all(word in said for word in words), said
    _, said, computed = run(lenet_fp32, tmp_path)  # the first one is still there
    assert not computed


def test_another_graph_is_said(lenet_fp32: Path, tmp_path: Path) -> None:
    run(lenet_fp32, tmp_path / "cache")
    model = onnx.load(lenet_fp32)
    (weight,) = (entry for entry in model.graph.initializer if entry.name.endswith("fc3.weight"))
    weight.raw_data = bytes([weight.raw_data[0] ^ 1]) + weight.raw_data[1:]
    onnx.save(model, tmp_path / "weights.onnx")
    _, said, computed = run(tmp_path / "weights.onnx", tmp_path / "cache")
    assert computed and "differs in the weights" in said
    model.graph.node[-1].attribute[0].i = 1  # the axis of the softmax, which has two
    onnx.save(model, tmp_path / "graph.onnx")
    _, said, computed = run(tmp_path / "graph.onnx", tmp_path / "cache")
    assert computed and "differs in the graph" in said


@pytest.mark.parametrize("damage", ["digit", "half", "empty", "folder"])
def test_damaged_is_computed_again(lenet_fp32: Path, tmp_path: Path, damage: str) -> None:
    first, *_ = run(lenet_fp32, tmp_path)
    (entry,) = (tmp_path / "calibrations").iterdir()
    data = entry.read_bytes()
    if damage == "folder":
        entry.unlink()
        entry.mkdir()
    else:
        broken = {"digit": data.replace(b'"scale": 0.00787', b'"scale": 0.00987'), "half": data[: len(data) // 2]}
        entry.write_bytes(broken.get(damage, b""))
        assert entry.read_bytes() != data
    again, said, computed = run(lenet_fp32, tmp_path)
    assert computed and "damaged" in said
    assert again == first


def test_without_a_cache_nothing_is_kept(lenet_fp32: Path) -> None:
    for _ in range(2):
        _, said, computed = run(lenet_fp32, None)
        assert computed and said == ""


def test_a_cache_that_cannot_be_written_is_no_failure(lenet_fp32: Path, tmp_path: Path) -> None:
    (tmp_path / "calibrations").write_text("a file where the folder should be")
    first, *_ = run(lenet_fp32, tmp_path)
    assert first.method == "minmax"


def test_many_at_once_while_it_is_deleted(lenet_fp32: Path, tmp_path: Path) -> None:
    def once(turn: int) -> Calibration:
        if turn % 3 == 2:
            shutil.rmtree(tmp_path / "calibrations", ignore_errors=True)
        return run(lenet_fp32, tmp_path)[0]

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(once, range(12)))
    assert all(calibration == made[0] for calibration in made)
