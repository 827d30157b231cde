"""What `Session.run` adds to its engine's bare call, lenet at batch 1, `out` given: goal, at most 3 microseconds.

python tests/benchmarks/session_overhead.py
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from runtime import open_session
from runtime.backend import installed_backends
from tests.benchmarks.common import ROOT, TOOLKIT, environment, publish

GOAL_US = 3.0
ROUNDS = 40
CALLS = 500


def microseconds(call: Callable[[], object]) -> float:
    """Of one call, the mean over a block."""
    start = time.perf_counter_ns()
    for _ in range(CALLS):
        call()
    return (time.perf_counter_ns() - start) / CALLS / 1e3


def main() -> None:
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "lenet"
        subprocess.run(
            [*TOOLKIT, "build", "lenet", "--int8", "-o", str(bundle)],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env=environment(),
        )
        for backend in installed_backends():
            for threads in (1, 2):
                with open_session(bundle, backend=backend, threads=threads) as session:
                    image = np.zeros((1, *session.spec.image_shape), np.uint8)
                    out = np.empty((1, session.spec.classes), np.float32)
                    engine = session._engine
                    assert engine is not None
                    pairs = [
                        (
                            microseconds(lambda: engine.run(image, out)),  # noqa: B023 - called at once
                            microseconds(lambda: session.run(image, out)),  # noqa: B023
                        )
                        for _ in range(ROUNDS)
                    ]
                bare, whole = np.median(pairs, axis=0)
                overhead = float(np.median([b - a for a, b in pairs]))
                rows.append([backend, str(threads), f"{bare:.2f}", f"{whole:.2f}", f"{overhead:.2f}", f"{GOAL_US:g}"])
                figures[f"{backend}, {threads} threads"] = {
                    "engine_us": float(bare),
                    "session_us": float(whole),
                    "overhead_us": overhead,
                }
    publish(
        "session_overhead",
        ["backend", ">threads", ">engine us", ">session us", ">overhead us", ">goal us"],
        rows,
        figures,
    )


if __name__ == "__main__":
    main()
