"""Graphs for the real builder, made once for all workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.spec import ModelSpec
from tests import zygote
from tests.command import ROOT, environment
from tests.conftest import shared_folder


@dataclass(frozen=True)
class Graphs:
    """A model's graphs: `{precision}.onnx` in a folder, and what each asks of its layers."""

    folder: Path
    spec: ModelSpec
    asked: dict[str, dict[str, str]]


@pytest.fixture(scope="session")
def graphs_of(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], Graphs]:
    def get(name: str) -> Graphs:
        from toolkit.zoo import ZOO

        with shared_folder(tmp_path_factory, worker_id, f"graphs-{name}") as root:
            if not (root / "asked.json").exists():
                done = zygote.run("tests.toolkit.tensorrt.graphs", [name, str(root)], ROOT, environment())
                assert done.code == 0, done.err
        return Graphs(root, ZOO[name].spec, json.loads((root / "asked.json").read_text()))

    return get
