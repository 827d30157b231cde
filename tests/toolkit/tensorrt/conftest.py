"""Graphs for the real builder, made once for all workers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.spec import ModelSpec
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
                command = [sys.executable, "-m", "tests.toolkit.tensorrt.graphs", name, str(root)]
                done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
                assert done.returncode == 0, done.stderr
        return Graphs(root, ZOO[name].spec, json.loads((root / "asked.json").read_text()))

    return get
