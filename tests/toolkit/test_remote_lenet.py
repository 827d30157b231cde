"""`toolkit build MODEL --on ssh://HOST`: the graph is made here, with PyTorch, and the engine there, without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.bundle import Bundle
from tests.command import assert_clean_failure, toolkit
from tests.device import Device

ON = ("--on", "ssh://device")


def test_a_model_is_built_here_and_there(device: Device, few_digits: Path, tmp_path: Path) -> None:
    options = ("--calib-images", "64", "--method", "minmax", "--eval-data", few_digits, "--threads", "1", "--json")
    env = device.client(tmp_path)
    done = toolkit("build", "lenet", "--int8", "--target", "onnxruntime", *options, *ON, cwd=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    output = "lenet-int8-onnxruntime"
    assert (result["bundle"], result["method"], result["target"]) == (output, "minmax", "onnxruntime")
    assert result["accuracy"]["images"] == 500
    built = Bundle.open(tmp_path / output)
    assert built.manifest.threads == 1
    assert built.manifest.reduced_range == bool(overflows())
    steps = ["building the graph of lenet here", "export:", "send to device", "device: compile", "verified on"]
    places = [done.stderr.index(step) for step in steps]
    assert places == sorted(places)
    assert sorted(path.name for path in tmp_path.iterdir()) == [output, "ssh_config"]
    assert device.working() == []


def overflows() -> str:
    """What ONNX Runtime of the device says, whose CPU is ours."""
    from runtime.backend import get_backend

    return get_backend("onnxruntime").overflows()


def test_without_a_connection_nothing_is_built(tmp_path: Path) -> None:
    done = toolkit("build", "lenet", "--int8", *ON, cwd=tmp_path, fresh=True, TOOLKIT_SSH="false")
    assert_clean_failure(done, "no connection to ssh://device", "ssh ended without a word")
    assert "building" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["lenet"], "--on builds one graph"),
        (["some.module:make", "--int8", "--input-size", "8"], "give -o FOLDER"),
        (["lenet", "--int8", "--max-drop", "1", "--remote-resume", "/var/tmp/toolkit-x"], "--max-drop was judged"),
    ],
)
def test_what_cannot_be_asked_of_another_machine(tmp_path: Path, arguments: list[str], word: str) -> None:
    done = toolkit("build", *arguments, *ON, cwd=tmp_path, fresh=True)
    assert done.returncode == 2
    assert word in done.stderr
