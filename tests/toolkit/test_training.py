"""`toolkit train`, on a task that can be learned in a second."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import runtime
from runtime.datasets import open_dataset
from runtime.errors import Cancelled, DataError, ToolkitError
from runtime.progress import SilentProgress
from tests.command import assert_clean_failure, toolkit
from tests.fakes import RecordingProgress
from toolkit.commands.train import command
from toolkit.training import MAX_SHIFT, TrainResult, accuracy, as_tensors, shift, train
from toolkit.zoo import ZOO
from toolkit.zoo.lenet import LeNet
from toolkit.zoo.weights import load_weights

SMALL = {"held_out": 100, "minimum": 500}


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes((0, 0, 8, array.ndim)) + b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """More would only wait for each other: the workers of pytest-xdist share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten classes: a bright bar in one of ten places, further apart than a digit is shifted."""
    folder = tmp_path_factory.mktemp("bars")
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 900), ("t10k", 200)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = np.zeros((count, 28, 28), np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = 3 + 5 * (label % 5), 4 + 12 * (label // 5)
            image[row : row + 2, column : column + 8] = rng.integers(180, 256)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


@pytest.fixture
def bars_copy(bars: Path, tmp_path: Path) -> Path:
    """A folder to damage."""
    return Path(shutil.copytree(bars, tmp_path / "bars"))


def run(folder: Path, seed: int = 0, epochs: int = 1) -> TrainResult:
    return train(ZOO["lenet"], folder, epochs=epochs, seed=seed, progress=SilentProgress(), **SMALL)


def test_learns(bars: Path) -> None:
    result = run(bars, epochs=6)
    assert result.parameters == 61_706
    assert 1 <= result.epoch <= 6
    assert result.held_out_top1 > 80  # ten classes: chance is 10
    assert result.test_top1 is not None and result.test_top1 > 80
    assert not result.module.training


def test_a_model_of_another_size_learns_too(bars: Path) -> None:
    result = train(ZOO["lenet-28"], bars, epochs=6, seed=0, progress=SilentProgress(), **SMALL)
    assert result.parameters == 44_426
    assert result.test_top1 is not None and result.test_top1 > 80


def test_the_weights_are_those_of_the_first_best_epoch(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [50.0, 90.0, 90.0, 70.0, 12.5]  # on the held-out digits of four epochs, then on the test digits
    seen: list[dict[str, torch.Tensor]] = []

    def judge(module: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
        assert len(images) == len(labels) == (200 if len(seen) == 4 else 100)
        seen.append(copy.deepcopy(module.state_dict()))
        return told[len(seen) - 1]

    monkeypatch.setattr("toolkit.training.accuracy", judge)
    progress = RecordingProgress()
    result = train(ZOO["lenet"], bars, epochs=4, seed=0, progress=progress, **SMALL)
    assert (result.epoch, result.held_out_top1, result.test_top1) == (2, 90.0, 12.5)
    kept = result.module.state_dict()
    same = [all(torch.equal(kept[key], state[key]) for key in kept) for state in seen]
    assert same == [False, True, False, False, True]
    stage = progress.stages["train"]
    assert (stage.total, stage.done) == (3200, 3200)
    assert ["held-out top-1 90.00" in note for note in stage.notes] == [False, True, True, False]


def test_the_seed_decides(bars: Path) -> None:
    first, again, other = (run(bars, seed).module.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize("gone", ["t10k-*", "t10k-labels-*"])
def test_without_labelled_test_digits_nothing_is_made_up_and_nothing_lost(bars_copy: Path, gone: str) -> None:
    for path in bars_copy.glob(gone):
        path.unlink()
    result = run(bars_copy)
    assert result.test_top1 is None
    assert result.epoch == 1


def test_a_label_that_is_no_class_is_refused(bars_copy: Path) -> None:
    write_idx(bars_copy / "train-labels-idx1-ubyte", np.arange(900, dtype=np.uint8) % 12)
    with pytest.raises(DataError, match="labels 0 to 11") as caught:
        run(bars_copy)
    assert caught.value.hint


def test_training_digits_without_labels_are_refused(bars_copy: Path) -> None:
    (bars_copy / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="without labels") as caught:
        run(bars_copy)
    assert "train-labels-idx1-ubyte" in caught.value.hint


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


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), channels=st.sampled_from([1, 3]), height=st.integers(5, 9), width=st.integers(5, 9))
def test_shift_moves_all_channels_of_an_image_as_one(seed: int, channels: int, height: int, width: int) -> None:
    torch.manual_seed(seed)
    images = torch.rand(4, channels, height, width)
    padded = functional.pad(images, (MAX_SHIFT,) * 4)
    places = [(row, column) for row in range(2 * MAX_SHIFT + 1) for column in range(2 * MAX_SHIFT + 1)]
    for whole, moved in zip(padded, shift(images), strict=True):
        windows = [whole[:, row : row + height, column : column + width] for row, column in places]
        assert sum(torch.equal(moved, window) for window in windows) == 1


def test_damaged_test_digits_are_told_before_the_work(bars: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bars"
    shutil.copytree(bars, folder)
    images = folder / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    progress = RecordingProgress()
    with pytest.raises(DataError, match="t10k-images"):
        train(ZOO["lenet"], folder, epochs=1, seed=0, progress=progress, **SMALL)
    assert progress.stages == {}


class TestCommand:
    @pytest.fixture(autouse=True)
    def few_digits_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("toolkit.training.train", partial(train, **SMALL))

    def test_writes_weights_that_the_model_takes(self, bars: Path, tmp_path: Path) -> None:
        output = tmp_path / "new" / "w.safetensors"
        arguments = ["lenet", "--data", str(bars), "-o", str(output), "--epochs", "1", "--json"]
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 0, done.output
        result = json.loads(done.stdout)
        assert {key: result[key] for key in ("model", "weights", "parameters", "epoch")} == {
            "model": "lenet", "weights": str(output), "parameters": 61_706, "epoch": 1
        }  # fmt: skip
        module = LeNet()
        load_weights(module, output)
        images, labels = as_tensors(open_dataset(bars, "test"), ZOO["lenet"].spec)
        assert accuracy(module, images, labels) == result["test_top1"]

    def test_force_replaces_a_file(self, bars: Path, tmp_path: Path) -> None:
        output = tmp_path / "w.safetensors"
        output.write_text("mine")
        arguments = ["lenet", "--data", str(bars), "-o", str(output), "--epochs", "1", "--force"]
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 0, done.output
        load_weights(LeNet(), output)

    def test_an_existing_file_is_refused_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "lenet.safetensors").write_text("mine")
        assert_clean_failure(toolkit("train", "lenet", "--data", ".", cwd=tmp_path), "lenet.safetensors", "--force")
        assert (tmp_path / "lenet.safetensors").read_text() == "mine"

    def test_an_unknown_model(self, tmp_path: Path) -> None:
        assert_clean_failure(toolkit("train", "lenett", "--data", ".", cwd=tmp_path), "lenett", "did you mean lenet?")

    def test_the_digits_that_ship_are_too_few(self, tmp_path: Path) -> None:
        data = Path(runtime.__file__).parent / "data" / "mnist"
        assert_clean_failure(toolkit("train", "lenet", "--data", data, cwd=tmp_path), "1,024", "complete")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("output", "data"), [("new/deep/w.safetensors", "nowhere"), ("new/deep/w.safetensors", "."), ("w", "nowhere")]
    )
    def test_a_failure_leaves_nothing_behind(self, tmp_path: Path, output: str, data: str) -> None:
        assert_clean_failure(toolkit("train", "lenet", "--data", data, "-o", output, cwd=tmp_path), data)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_in_use_stays(self, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interfere(*_: object, **__: object) -> None:
            (tmp_path / "new" / "other").touch()
            raise KeyboardInterrupt

        monkeypatch.setattr("toolkit.training.train", interfere)
        output = tmp_path / "new" / "deep" / "w.safetensors"
        CliRunner().invoke(command, ["lenet", "--data", str(bars), "-o", str(output)])
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["other"]

    @pytest.mark.parametrize("output", ["file/w.safetensors", "file/deep/w.safetensors", f"new/{'n' * 250}.pt"])
    def test_an_output_that_cannot_be_written_is_told_before_the_work(
        self, bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
    ) -> None:
        def never(*_: object, **__: object) -> None:
            raise AssertionError("it began")

        monkeypatch.setattr("toolkit.training.train", never)
        (tmp_path / "file").touch()
        done = CliRunner().invoke(command, ["lenet", "--data", str(bars), "-o", str(tmp_path / output)])
        assert isinstance(done.exception, ToolkitError)
        assert "cannot write" in done.exception.message and "-o" in done.exception.hint
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
