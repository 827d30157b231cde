"""The three AlexNets, narrow ones, from torch to every precision on both engines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import toolkit


@pytest.mark.parametrize("name", ["alexnet", "alexnet-bn", "alexnet-owt"])
def test_every_precision_builds(name: str, tmp_path: Path) -> None:
    narrow = ("--set", "maps=8,16,16,16,16", "--set", "dense=64", "--random-weights")
    done = toolkit("build", name, *narrow, "-o", "bundle", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    race = {(entry["precision"], entry["target"]): entry for entry in json.loads(done.stdout)["race"]}
    engines = ("openvino", "onnxruntime")
    assert {("fp32", engine) for engine in engines} <= race.keys()
    assert all(race["fp16", engine]["logits_sqnr_db"] > 50 for engine in engines)
    assert all(race["int8", engine]["logits_sqnr_db"] > 25 for engine in engines)
    assert race["int8", "openvino"]["quantized"] == race["int8", "openvino"]["quantizable"] == 8
    assert race["int8", "openvino"]["executed"] == {"int8": 8}
    assert race["int8", "openvino"]["size_bytes"] < 0.4 * race["fp32", "openvino"]["size_bytes"]
    assert toolkit("verify", "bundle", cwd=tmp_path).returncode == 0
