"""Weights: safetensors that fit, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from runtime.errors import WeightsError
from toolkit.zoo.lenet import LeNet
from toolkit.zoo.weights import load_weights, save_weights

State = dict[str, torch.Tensor]


def without_first(state: State) -> State:
    return {key: value for key, value in state.items() if key != "conv1.weight"}


def changed(key: str, value: torch.Tensor) -> Callable[[State], State]:
    return lambda state: {**state, key: value}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_first, ["conv1.weight", "(6, 1, 5, 5)"]),
        (changed("conv1.weight", torch.zeros(6, 3, 5, 5)), ["conv1.weight", "(6, 3, 5, 5)", "(6, 1, 5, 5)"]),
        (changed("fc1.bias", torch.zeros(120, dtype=torch.float16)), ["fc1.bias", "float16", "float32"]),
        (changed("fc2.bias", torch.full((84,), torch.nan)), ["fc2.bias", "NaN"]),
        (changed("head.weight", torch.zeros(1)), ["head.weight"]),
    ],
    ids=["missing", "shape", "dtype", "nan", "unexpected"],
)
def test_weights_that_do_not_fit_name_the_first_key(tmp_path: Path, change: Any, words: list[str]) -> None:
    path = tmp_path / "w.safetensors"
    save_file(change(LeNet().state_dict()), path)
    module = LeNet()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(module, path)
    for word in ["w.safetensors", *words]:
        assert word in caught.value.message
    assert caught.value.hint
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (self.marker,)  # type: ignore[return-value]


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Trap(tmp_path / "ran")}, tmp_path / "w.pt")
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert (tmp_path / "ran").exists()  # the trap is set
    (tmp_path / "ran").unlink()
    with pytest.raises(WeightsError, match=r"w\.pt") as caught:
        load_weights(LeNet(), tmp_path / "w.pt")
    assert "safetensors" in caught.value.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 4, 100, 10_000, -1])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    save_weights(LeNet(), tmp_path / "whole.safetensors")
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:keep])
    module = LeNet()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(WeightsError, match="half") as caught:
        load_weights(module, tmp_path / "half.safetensors")
    assert "safetensors" in caught.value.hint
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="gone") as caught:
        load_weights(LeNet(), tmp_path / "gone.safetensors")
    assert caught.value.hint


def test_infinity_is_refused_as_nan_is(tmp_path: Path) -> None:
    save_file({**LeNet().state_dict(), "fc3.bias": torch.full((10,), -torch.inf)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"fc3\.bias.*infinity"):
        load_weights(LeNet(), tmp_path / "w.safetensors")


def test_a_save_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(LeNet(), path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("runtime.folder.flush", full)
    with pytest.raises(OSError, match="no space left"):
        save_weights(LeNet(), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]


def test_round_trip_leaves_one_file(tmp_path: Path) -> None:
    one, other = LeNet(), LeNet()
    save_weights(one, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
