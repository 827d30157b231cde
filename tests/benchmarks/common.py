"""What the benchmarks share: a table on standard output, and the same figures as JSON in build/benchmarks/."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "build" / "benchmarks"
TOOLKIT = [sys.executable, "-m", "toolkit"]


def publish(name: str, columns: Sequence[str], rows: Sequence[Sequence[str]], figures: Any) -> None:
    """Print a table, and write the figures with the machine they were measured on."""
    from toolkit.console import print_table

    print_table(name.replace("_", " "), columns, rows)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    path = OUTPUT / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, "figures": figures}, indent=2) + "\n")
    print(f"wrote {path.relative_to(ROOT)}")


def seconds_of(command: Sequence[str], cwd: Path) -> float:
    """Wall-clock seconds of one run that must succeed; its output is dropped."""
    start = time.perf_counter()
    subprocess.run(
        command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    return time.perf_counter() - start


def environment() -> dict[str, str]:
    """This process's environment, with the repository importable from anywhere."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}
