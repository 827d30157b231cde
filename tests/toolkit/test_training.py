"""`toolkit train`, on a task that can be learned in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import runtime
from runtime.errors import Cancelled, DataError
from runtime.progress import SilentProgress
from tests.command import assert_clean_failure, toolkit
from tests.fakes import RecordingProgress
from toolkit.training import MAX_SHIFT, TrainResult, shift, train
from toolkit.zoo import ZOO

SMALL = {"held_out": 100, "minimum": 500}


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes((0, 0, 8, array.ndim)) + b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes: a bright bar, at a height that is the class."""
    folder = tmp_path_factory.mktemp("bars")
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 900), ("t10k", 200)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 40, (count, 28, 28)).astype(np.uint8)
        images[:, [0, -1], :] = images[:, :, [0, -1]] = 0
        for image, label in zip(images, labels, strict=True):
            image[2 + 2 * label : 5 + 2 * label, 4:24] = 250
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


def run(folder: Path, seed: int = 0, epochs: int = 1) -> TrainResult:
    return train(ZOO["lenet"], folder, epochs=epochs, seed=seed, progress=SilentProgress(), **SMALL)


def test_learns(bars: Path) -> None:
    result = run(bars, epochs=12)
    assert result.parameters == 61_706
    assert 1 <= result.epoch <= 12
    assert result.held_out_top1 > 50  # ten classes: chance is 10
    assert result.test_top1 is not None and result.test_top1 > 50
    assert not result.module.training


def test_the_seed_decides(bars: Path) -> None:
    first, again, other = (run(bars, seed).module.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_without_test_digits_nothing_is_made_up(bars: Path, tmp_path: Path) -> None:
    for path in bars.glob("train-*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert run(tmp_path).test_top1 is None


def test_too_few_digits_are_refused(bars: Path) -> None:
    with pytest.raises(DataError, match="900 labelled") as caught:
        train(ZOO["lenet"], bars, epochs=1, seed=0, progress=SilentProgress())
    assert caught.value.hint


def test_a_request_to_stop_is_heard(bars: Path) -> None:
    with pytest.raises(Cancelled):
        train(ZOO["lenet"], bars, epochs=1, seed=0, progress=RecordingProgress(stop_after=128), **SMALL)


def test_shift_moves_by_two_pixels_at_most_and_loses_nothing() -> None:
    images = torch.zeros(200, 1, 32, 32)
    images[:, 0, 10, 20] = 1.0
    moved = shift(images)
    where = moved[:, 0].nonzero()
    assert moved.shape == images.shape
    assert len(where) == 200 and moved.sum() == 200
    offsets = where[:, 1:] - torch.tensor([10, 20])
    assert offsets.abs().max() == MAX_SHIFT
    assert {tuple(o) for o in offsets.tolist()} > {(0, 0), (-2, 2), (2, -2)}


class TestCommand:
    def test_an_existing_file_is_refused_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "lenet.safetensors").write_text("mine")
        assert_clean_failure(toolkit("train", "lenet", "--data", ".", cwd=tmp_path), "lenet.safetensors", "--force")
        assert (tmp_path / "lenet.safetensors").read_text() == "mine"

    def test_an_unknown_model(self, tmp_path: Path) -> None:
        assert_clean_failure(toolkit("train", "lenett", "--data", ".", cwd=tmp_path), "lenett")

    def test_the_digits_that_ship_are_too_few(self, tmp_path: Path) -> None:
        data = Path(runtime.__file__).parent / "data" / "mnist"
        assert_clean_failure(toolkit("train", "lenet", "--data", data, cwd=tmp_path), "1024", "complete")
        assert list(tmp_path.iterdir()) == []
