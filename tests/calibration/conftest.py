"""The FP32 graph of lenet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import toolkit


@pytest.fixture(scope="session")
def lenet_fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fp32")
    done = toolkit("build", "lenet", "--fp32", "--target", "onnxruntime", "-o", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out" / "model.onnx"
