"""Without a GPU, `make test` skips the GPU tests with the reason, and `make test-gpu` fails with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.command import ROOT, environment
from tests.gpu.gate import REHEARSE, REQUIRE


def run_without_gpu(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The GPU tests, where CUDA sees no GPU."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/gpu", "-p", "no:cacheprovider", *arguments]
    variables = {"CUDA_VISIBLE_DEVICES": "", REQUIRE: "", REHEARSE: "", **variables}
    return subprocess.run(command, cwd=ROOT, env=environment(**variables), capture_output=True, text=True, timeout=300)


def test_where_gpu_tests_are_asked_for_none_can_be_skipped() -> None:
    done = run_without_gpu(**{REQUIRE: "1"})
    assert done.returncode != 0
    assert "passed" not in done.stdout and "skipped" not in done.stdout
    for words in ("no GPU test can run", "tensorrt does not run here: ", "tensorrt-rtx does not run here: ", "next: "):
        assert words in done.stderr, done.stderr


def test_elsewhere_every_one_is_skipped_with_the_reason() -> None:
    done = run_without_gpu()
    assert done.returncode == 0, done.stdout
    assert re.search(r"^=+ \d+ skipped, \d+ deselected in .*=$", done.stdout.splitlines()[-1]), done.stdout
    for name in ("tensorrt", "tensorrt-rtx"):
        assert f"{name} does not run here: " in done.stdout


def test_make_asks_for_them() -> None:
    plain = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "PYTEST_ARGS")}
    done = subprocess.run(["make", "-n", "test-gpu"], cwd=ROOT, env=plain, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (command,) = (line for line in done.stdout.splitlines() if "pytest" in line)
    assert command.split() == f"{REQUIRE}=1 .venv/bin/python -m pytest -m gpu tests/gpu".split()
