"""The FP32 graph of lenet, exported once for all workers."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, environment


@pytest.fixture(scope="session")
def lenet_fp32(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The file: not to be changed."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "lenet-fp32"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of pytest-xdist share it
        if not (root / "done").exists():
            command = [sys.executable, "-m", "tests.export.lenet", str(root / "lenet.onnx")]
            done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            (root / "done").touch()
    return root / "lenet.onnx"
