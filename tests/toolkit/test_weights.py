"""Weights: safetensors and tensors of torch.save that fit, and nothing else."""

from __future__ import annotations

import errno
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from runtime.errors import WeightsError
from tests.command import assert_clean_failure, toolkit
from toolkit.zoo import ZOO
from toolkit.zoo.weights import load_weights, save_weights

State = dict[str, torch.Tensor]

CARD = ZOO["lenet"].card


def refused(path: Path, *words: str) -> WeightsError:
    """The error for a file, which must leave the module as it was."""
    module = ZOO["lenet"].make()
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


MISFITS = [
    (without_first, ["conv1.weight", "(6, 1, 5, 5)"]),
    (changed("conv1.weight", torch.zeros(6, 3, 5, 5)), ["conv1.weight", "(6, 3, 5, 5)", "(6, 1, 5, 5)"]),
    (changed("fc1.bias", torch.zeros(120, dtype=torch.float16)), ["fc1.bias", "float16", "float32"]),
    (changed("fc1.bias", torch.zeros(120, dtype=torch.float64)), ["fc1.bias", "float64", "float32"]),
    (changed("fc1.bias", torch.zeros(120, dtype=torch.int8)), ["fc1.bias", "int8", "float32"]),
    (changed("fc2.bias", torch.full((84,), torch.nan)), ["fc2.bias", "NaN"]),
    (changed("head.weight", torch.zeros(1)), ["head.weight"]),
]
MISFIT_NAMES = ["missing", "shape", "float16", "float64", "int8", "nan", "unexpected"]


@pytest.mark.parametrize(("change", "words"), MISFITS, ids=MISFIT_NAMES)
def test_weights_that_do_not_fit_name_the_first_key(tmp_path: Path, change: Any, words: list[str]) -> None:
    path = tmp_path / "w.safetensors"
    save_file(change(ZOO["lenet"].make().state_dict()), path)
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
def test_a_pickle_of_more_than_tensors_is_refused_and_none_of_it_runs(
    tmp_path: Path, name: str, write: Callable[[object, Path], None]
) -> None:
    path, marker = tmp_path / name, tmp_path / "ran"
    write({"conv1.weight": Trap(marker)}, path)
    if write is write_pickle:
        pickle.loads(path.read_bytes())
    else:
        torch.load(path.open("rb"), weights_only=False)
    assert marker.exists()  # the trap is set
    marker.unlink()
    assert "model.state_dict()" in refused(path, "pickle", "none was run").hint
    assert not marker.exists()


class Shell:
    """Runs a shell command when it is unpickled, as an attacker's file would."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_a_shell_command_among_good_weights_is_named_and_not_run(
    tmp_path: Path, write: Callable[[object, Path], None]
) -> None:
    path, marker = tmp_path / "w.pth", tmp_path / "ran"
    write({**ZOO["lenet"].make().state_dict(), "fc3.bias": Shell(f"touch '{marker}'")}, path)
    torch.load(path, weights_only=False)
    assert marker.exists()  # the trap is set
    marker.unlink()
    refused(path, f"{os.system.__module__}.system", "none was run")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["it's mine.pth", "w.PT", "pytorch_model.bin", "w.safetensors", "w"])
@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_weights_of_torch_save_load_whatever_their_name(
    tmp_path: Path, name: str, write: Callable[[object, Path], None]
) -> None:
    path, module = tmp_path / name, ZOO["lenet"].make()
    state = {
        **ZOO["lenet"].make().state_dict(),
        "fc1.weight": torch.rand(400, 120).T,
        "fc1.bias": torch.nn.Parameter(torch.ones(120)),
    }
    write(state, path)
    load_weights(module, path)
    path.write_bytes(b"")  # the module keeps nothing of the file
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("place", ["state_dict", "model_state_dict", "model", None])
def test_weights_of_a_checkpoint_and_of_a_wrapped_module_load(tmp_path: Path, place: str | None, prefix: str) -> None:
    path, module, state = tmp_path / "w.pth", ZOO["lenet"].make(), ZOO["lenet"].make().state_dict()
    named = {prefix + key: value for key, value in state.items()}
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    torch.save(named if place is None else {place: named, "epoch": 3, "optimizer": optimizer}, path)
    load_weights(module, path)
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())


def test_names_that_the_module_has_itself_are_kept(tmp_path: Path) -> None:
    module = torch.nn.ModuleDict({"module": torch.nn.Linear(2, 2)})
    save_weights(module, tmp_path / "w.safetensors", CARD)
    load_weights(torch.nn.ModuleDict({"module": torch.nn.Linear(2, 2)}), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"has no 'module\.weight'"):
        save_weights(torch.nn.ModuleDict({"module": module}), tmp_path / "w.safetensors", CARD)
        load_weights(module, tmp_path / "w.safetensors")


def test_a_safetensors_file_may_be_named_as_a_pickle_and_begin_as_one(tmp_path: Path) -> None:
    path, module, state = tmp_path / "w.pth", ZOO["lenet"].make(), ZOO["lenet"].make().state_dict()
    for padding in range(1000):
        save_file(state, path, {"padding": "x" * padding})
        if path.read_bytes().startswith(b"\x80\x03"):
            break
    assert path.read_bytes().startswith(b"\x80\x03")
    load_weights(module, path)
    assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize(("change", "words"), MISFITS, ids=MISFIT_NAMES)
def test_weights_of_torch_save_are_held_to_the_same(
    tmp_path: Path, write: Callable[[object, Path], None], change: Any, words: list[str]
) -> None:
    write(change(ZOO["lenet"].make().state_dict()), tmp_path / "w.pth")
    refused(tmp_path / "w.pth", *words)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([torch.zeros(1)], ["a list"]),
        (torch.zeros(1), ["a Tensor"]),
        ({"epoch": 3}, ["'epoch' is of type int"]),
        ({"weights": {"a": torch.zeros(1)}}, ["'weights' is of type dict"]),
        ({"state_dict": {"model": {"a": torch.zeros(1)}}}, ["'model' is of type dict"]),
        ({7: torch.zeros(1)}, ["under 7"]),
        ({"a": torch.eye(2).to_sparse()}, ["'a'", "sparse"]),
        ({"a": torch.zeros(1, device="meta")}, ["'a'", "without content"]),
        (torch.nn.Linear(1, 1), ["Linear", "none was run"]),
    ],
    ids=["list", "tensor", "number", "elsewhere", "nested", "key", "sparse", "meta", "module"],
)
def test_what_is_no_flat_dict_of_tensors_is_refused(
    tmp_path: Path, write: Callable[[object, Path], None], value: object, words: list[str]
) -> None:
    write(value, tmp_path / "w.pth")
    assert "state_dict" in refused(tmp_path / "w.pth", *words).hint


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_weights_of_torch_save_that_are_cut_off_are_refused(
    tmp_path: Path, write: Callable[[object, Path], None]
) -> None:
    write(ZOO["lenet"].make().state_dict(), tmp_path / "whole.pth")
    data = (tmp_path / "whole.pth").read_bytes()
    for keep in (1, 4, 9, 100, *(len(data) * eighth // 8 for eighth in range(1, 8)), len(data) - 1):
        (tmp_path / "half.pth").write_bytes(data[:keep])
        assert "torch.save" in str(refused(tmp_path / "half.pth"))


def test_archives_that_torch_save_does_not_write_are_refused(tmp_path: Path) -> None:
    write_zip(ZOO["lenet"].make().state_dict(), tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as plain:
        for name, compression, keep in (("bomb", zipfile.ZIP_DEFLATED, "/"), ("other", zipfile.ZIP_STORED, "version")):
            with zipfile.ZipFile(tmp_path / f"{name}.pth", "w", compression) as archive:
                for entry in (entry for entry in plain.namelist() if keep in entry):
                    archive.writestr(entry, plain.read(entry))
            refused(tmp_path / f"{name}.pth", "not one that torch.save writes")
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/constants.pkl", b"")
    refused(tmp_path / "script.pt", "TorchScript")


def test_a_file_that_is_cut_off_at_any_eighth_is_refused(tmp_path: Path) -> None:
    save_weights(ZOO["lenet"].make(), tmp_path / "whole.safetensors", CARD)
    data = (tmp_path / "whole.safetensors").read_bytes()
    for keep in (1, 4, 7, 8, 100, *(len(data) * eighth // 8 for eighth in range(1, 8)), len(data) - 1):
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


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").touch()
    refused(tmp_path / "w.safetensors", "w.safetensors are empty (0 bytes)")


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    )
    refused(tmp_path / "w.safetensors", "w.safetensors is a pointer of Git LFS")


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

    save_weights(ZOO["lenet"].make(), tmp_path / "w.safetensors", CARD)
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
        load_weights(ZOO["lenet"].make(), tmp_path / "gone.safetensors")
    assert caught.value.hint


def test_infinity_is_refused_as_nan_is(tmp_path: Path) -> None:
    save_file(
        {**ZOO["lenet"].make().state_dict(), "fc3.bias": torch.full((10,), -torch.inf)}, tmp_path / "w.safetensors"
    )
    with pytest.raises(WeightsError, match=r"fc3\.bias.*infinity"):
        load_weights(ZOO["lenet"].make(), tmp_path / "w.safetensors")


def test_a_save_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(ZOO["lenet"].make(), path, CARD)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("runtime.folder.flush", full)
    with pytest.raises(OSError, match="no space left"):
        save_weights(ZOO["lenet"].make(), path, CARD)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]


def test_round_trip_leaves_one_file(tmp_path: Path) -> None:
    one, other = ZOO["lenet"].make(), ZOO["lenet"].make()
    save_weights(one, tmp_path / "w.safetensors", CARD)
    load_weights(other, tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
