"""Fixtures of the tests of training."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.toolkit.training.bars import write_bars


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """More would only wait for each other: the workers of pytest-xdist share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """IDX files of `bars.write_bars`: not to be changed."""
    return write_bars(tmp_path_factory.mktemp("bars"))


@pytest.fixture
def bars_copy(bars: Path, tmp_path: Path) -> Path:
    """A folder to damage."""
    return Path(shutil.copytree(bars, tmp_path / "bars"))
