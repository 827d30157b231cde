"""What a process says of itself and allows itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import environment

ROOT = Path(__file__).parents[2]
TOO_MUCH = """
from runtime.child import limit_growth
before = bytearray(300_000_000)
limit_growth(200_000_000)
after = bytearray(100_000_000)
try:
    bytearray(300_000_000)
except MemoryError:
    print("no more")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts what may be written on Linux alone")
def test_what_a_process_has_already_does_not_count_for_its_limit() -> None:
    command = [sys.executable, "-c", TOO_MUCH]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("no more\n", "")
