"""How long `toolkit build lenet --int8` takes, from an empty cache: goal, at most 15 s on two cores.

python tests/benchmarks/build_time.py [RUNS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.common import TOOLKIT, publish, seconds_of

GOAL_S = 15


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        times = [
            seconds_of([*TOOLKIT, "build", "lenet", "--int8", "-o", f"lenet-{run}"], Path(folder))
            for run in range(runs + 1)
        ][1:]  # the first one brings the files into the page cache
    median = statistics.median(times)
    rows = [["build lenet --int8", f"{min(times):.1f}", f"{median:.1f}", f"{max(times):.1f}", str(GOAL_S)]]
    publish("build_time", ["command", ">min s", ">median s", ">max s", ">goal s"], rows, {"seconds": times})


if __name__ == "__main__":
    main()
