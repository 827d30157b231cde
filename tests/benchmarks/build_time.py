"""How long `toolkit build lenet --int8` takes, from an empty cache, and its stages: goal, at most 15 s on two cores.

python tests/benchmarks/build_time.py [RUNS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.common import TOOLKIT, environment, publish

GOAL_S = 15
WHOLE = "the whole process"


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        measured = [stages_of(Path(folder), run) for run in range(runs + 1)][1:]  # the first one fills the page cache
    table, figures = [], {}
    for stage in measured[0]:
        times = [run[stage] for run in measured]
        figures[stage] = times
        goal = str(GOAL_S) if stage == WHOLE else ""
        table.append([stage, f"{min(times):.2f}", f"{statistics.median(times):.2f}", f"{max(times):.2f}", goal])
    publish("build_time", ["build lenet --int8", ">min s", ">median s", ">max s", ">goal s"], table, figures)


def stages_of(folder: Path, run: int) -> dict[str, float]:
    """Seconds of the process and of each stage."""
    start = time.perf_counter()
    done = subprocess.run(
        [*TOOLKIT, "build", "lenet", "--int8", "--json", "-o", f"lenet-{run}", "--cache-dir", f"cache-{run}"],
        cwd=folder,
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    result = json.loads(done.stdout)
    return {WHOLE: seconds, "all stages": result["seconds"], **result["stage_seconds"]}


if __name__ == "__main__":
    main()
