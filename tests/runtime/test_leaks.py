"""Opening and closing leave no memory, no open file and no thread."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.open_close import open_and_close


@pytest.mark.parametrize(("backend", "warm_up", "count"), [("onnxruntime", 50, 250), ("openvino", 20, 60)])
def test_opening_again_and_again_leaves_nothing(tiny_bundle: Path, backend: str, warm_up: int, count: int) -> None:
    """Fewer than the thousand of the benchmark, for time."""
    first, last = open_and_close(tiny_bundle, backend, warm_up, count)
    assert last["files"] == first["files"]
    assert last["threads"] == first["threads"]
    assert last["kilobytes"] <= 1.1 * first["kilobytes"] + 8 * 1024
