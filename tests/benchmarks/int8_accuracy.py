"""What INT8 costs lenet on the 10,000 test digits: goals, a drop of at most 0.05 points, agreement at least 99.9 %.

python tests/benchmarks/int8_accuracy.py
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks.common import ROOT, TOOLKIT, environment, publish


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*TOOLKIT, "build", "lenet", "--int8", "--json", "-o", str(Path(folder) / "lenet")],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment(),
        )
    result = json.loads(done.stdout)
    rows = [
        [
            row["precision"],
            row["target"],
            f"{row['top1']:.2f}",
            f"{row['drop_points']:.2f}",
            f"{row['agreement']:.2f}",
            f"{row['quantized']}/{row['quantizable']}",
            f"{1000 * row['p50_ms']:.1f}",
        ]
        for row in result["race"]
    ]
    columns = ["graph", "target", ">top-1 %", ">drop", ">agree %", ">INT8 layers", ">p50 us"]
    publish("int8_accuracy", columns, rows, result["race"])


if __name__ == "__main__":
    main()
