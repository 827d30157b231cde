"""Weights: safetensors that fit, and nothing else."""

from __future__ import annotations

import errno
import os
import pickle
import shlex
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from runtime.errors import WeightsError
from tests.command import assert_clean_failure, toolkit
from toolkit.zoo.lenet import LeNet
from toolkit.zoo.weights import load_weights, save_weights

State = dict[str, torch.Tensor]


def refused(path: Path, *words: str) -> WeightsError:
    """The error for a file, which must leave the module as it was."""
    module = LeNet()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(module, path)
    assert caught.value.hint
    for word in (str(path), *words):
        assert word in caught.value.message
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    return caught.value


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
        (changed("fc1.bias", torch.zeros(120, dtype=torch.float64)), ["fc1.bias", "float64", "float32"]),
        (changed("fc1.bias", torch.zeros(120, dtype=torch.int8)), ["fc1.bias", "int8", "float32"]),
        (changed("fc2.bias", torch.full((84,), torch.nan)), ["fc2.bias", "NaN"]),
        (changed("head.weight", torch.zeros(1)), ["head.weight"]),
    ],
    ids=["missing", "shape", "float16", "float64", "int8", "nan", "unexpected"],
)
def test_weights_that_do_not_fit_name_the_first_key(tmp_path: Path, change: Any, words: list[str]) -> None:
    path = tmp_path / "w.safetensors"
    save_file(change(LeNet().state_dict()), path)
    refused(path, *words)


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (self.marker,)  # type: ignore[return-value]


def write_zip(value: object, path: Path) -> None:
    torch.save(value, path)


def write_legacy(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def write_pickle(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
@pytest.mark.parametrize("write", [write_zip, write_legacy, write_pickle])
def test_a_pickle_is_never_opened(tmp_path: Path, name: str, write: Callable[[object, Path], None]) -> None:
    path, marker = tmp_path / name, tmp_path / "ran"
    write({"conv1.weight": Trap(marker)}, path)
    if write is write_pickle:
        pickle.loads(path.read_bytes())
    else:
        torch.load(path.open("rb"), weights_only=False)
    assert marker.exists()  # the trap is set
    marker.unlink()
    error = refused(path, "pickle", "not opened")
    assert "weights_only=True" in error.hint
    assert not marker.exists()


@pytest.mark.parametrize("name", ["it's mine.pth", "w.safetensors"])
def test_the_line_that_converts_a_pickle_works_and_runs_no_code(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    state = {**LeNet().state_dict(), "fc1.weight": torch.rand(400, 120).T}  # not contiguous
    torch.save(state, path)
    python, option, code = shlex.split(refused(path, "pickle").hint.split(": ", 1)[1])
    assert (python, option) == ("python", "-c")
    exec(code, {})
    (made,) = set(tmp_path.iterdir()) - {path}
    module = LeNet()
    load_weights(module, made)
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
    torch.save({"conv1.weight": Trap(tmp_path / "ran")}, path)
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        exec(code, {})
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_cut_off_at_any_eighth_is_refused(tmp_path: Path) -> None:
    save_weights(LeNet(), tmp_path / "whole.safetensors")
    data = (tmp_path / "whole.safetensors").read_bytes()
    for keep in (0, 4, 7, 8, 100, *(len(data) * eighth // 8 for eighth in range(1, 8)), len(data) - 1):
        (tmp_path / "half.safetensors").write_bytes(data[:keep])
        assert "safetensors" in refused(tmp_path / "half.safetensors", "not a whole").hint


def tensor_header(*entries: tuple[str, str, int, int]) -> str:
    """The JSON of tensors of two numbers each, with a key as often as it is named."""
    parts = (f'"{key}":{{"dtype":"{kind}","shape":[2],"data_offsets":[{a},{b}]}}' for key, kind, a, b in entries)
    return "{" + ",".join(parts) + "}"


@pytest.mark.parametrize(
    ("header", "claimed", "body"),
    [
        ("{}", 100_000_000, 0),
        ("{}", 100_000_001, 0),
        ("{}", 1 << 63, 0),
        (tensor_header(("a", "F32", 0, 8)), None, 7),
        (tensor_header(("a", "F32", 0, 8)), None, 9),
        (tensor_header(("a", "F32", 0, 8), ("b", "F32", 4, 12)), None, 12),
        (tensor_header(("a", "F32", 0, 8), ("a", "F32", 8, 16)), None, 16),
        (tensor_header(("a", "F32", 8, 0)), None, 8),
        (tensor_header(("a", "F99", 0, 8)), None, 8),
        ("[" * 100_000, None, 0),
    ],
    ids=["length", "too-long", "huge", "short", "long", "overlap", "twice", "backwards", "type", "nested"],
)
def test_a_forged_header_is_refused(tmp_path: Path, header: str, claimed: int | None, body: int) -> None:
    length = len(header) if claimed is None else claimed
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", length) + header.encode() + bytes(body))
    refused(tmp_path / "w.safetensors", "not a whole safetensors file")


def test_a_type_that_pytorch_lacks_is_refused(tmp_path: Path) -> None:
    header = tensor_header(("a", "F4", 0, 1)).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(1))
    refused(tmp_path / "w.safetensors", "F4")


def test_an_empty_safetensors_file_has_no_first_key(tmp_path: Path) -> None:
    save_file({}, tmp_path / "w.safetensors")
    refused(tmp_path / "w.safetensors", "conv1.weight")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for path in (tmp_path / "pipe.safetensors", tmp_path / "folder.safetensors", Path("/dev/zero")):
        refused(path, "not a file")
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    refused(tmp_path / "loop.safetensors", "symbolic links")


def test_a_file_far_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "w.safetensors").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    refused(tmp_path / "w.safetensors", "1,099,512 MB")


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    save_weights(LeNet(), tmp_path / "w.safetensors")
    monkeypatch.setattr(Path, "read_bytes", deny)  # root may read whatever the mode is
    refused(tmp_path / "w.safetensors", "Permission denied")


@pytest.mark.parametrize(("what", "word"), [("pickle", "pickle"), ("pipe", "not a file")])
def test_a_build_with_bad_weights_leaves_nothing(tmp_path: Path, what: str, word: str) -> None:
    path = tmp_path / "w.pth"
    if what == "pipe":
        os.mkfifo(path)
    else:
        torch.save({"conv1.weight": Trap(tmp_path / "ran")}, path)
    done = toolkit("build", "lenet", "--int8", "--weights", path, "-o", "out", cwd=tmp_path)
    assert_clean_failure(done, "w.pth", word)
    assert os.listdir(tmp_path) == ["w.pth"]


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
