"""How long the command line takes to start: goal, `toolkit --help` at most 3 times `python -c "import click"`.

python tests/benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from tests.benchmarks.common import TOOLKIT, publish, seconds_of

ROUNDS = 15
GOAL = 3.0
COMMANDS = {
    'python -c "import click"': [sys.executable, "-c", "import click"],
    "toolkit --help": [*TOOLKIT, "--help"],
    "toolkit build --help": [*TOOLKIT, "build", "--help"],
    'python -c "import runtime"': [sys.executable, "-c", "import runtime"],
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            times[name].append(seconds_of(command, Path.cwd()))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    base = medians['python -c "import click"']
    rows = [
        [name, f"{1000 * median:.0f}", f"{median / base:.2f}", f"{GOAL:g}" if name == "toolkit --help" else ""]
        for name, median in medians.items()
    ]
    publish("startup", ["command", ">median ms", ">times click", ">goal"], rows, medians)


if __name__ == "__main__":
    main()
