"""How long a bundle takes to open: goal, the second time at most 3 times the bare library's load of the same model.

Each figure is the median over fresh processes that have imported all they need, and over one process that does all of
it; in random order, so that no kind always follows another. The first time, the cache folder is empty.

python tests/benchmarks/open_time.py [RUNS]
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from runtime import open_session
from runtime.backend import available_cores, get_backend, installed_backends
from tests.benchmarks.common import ROOT, TOOLKIT, environment, publish

GOAL = 3.0
KINDS = ("bare", "first", "second")


def bare_load(backend: str, model: Path) -> Any:
    """What the library's own documentation tells to do."""
    if backend == "openvino":
        from runtime.backends.openvino import openvino

        core = openvino().Core()
        threads = {"INFERENCE_NUM_THREADS": available_cores(), "PERFORMANCE_HINT": "LATENCY"}
        return core.compile_model(core.read_model(str(model)), "CPU", threads)
    from runtime.backends.onnxruntime import onnxruntime

    settings = onnxruntime().SessionOptions()
    settings.intra_op_num_threads = available_cores()
    return onnxruntime().InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])


def milliseconds(kind: str, backend: str, bundle: Path, cache: Path) -> float:
    """Of one load or opening."""
    if kind == "first":
        cache = cache / "first"
        shutil.rmtree(cache, ignore_errors=True)
    start = time.perf_counter()
    if kind == "bare":
        loaded = bare_load(backend, bundle / "model.onnx")
    else:
        loaded = open_session(bundle, backend=backend, cache_dir=cache)
    seconds = time.perf_counter() - start
    del loaded
    return 1000 * seconds


def in_fresh_process(kind: str, backend: str, bundle: Path, cache: Path) -> float:
    command = [sys.executable, __file__, "--one", kind, backend, str(bundle), str(cache)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment())
    return float(json.loads(done.stdout))


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        bundle, cache = Path(folder) / "lenet", Path(folder) / "cache"
        build = [*TOOLKIT, "build", "lenet", "--int8", "-o", str(bundle)]
        subprocess.run(build, check=True, capture_output=True, cwd=ROOT, env=environment())
        for backend in installed_backends():
            for where, measure, rounds in (("fresh", in_fresh_process, runs), ("the same", milliseconds, 5 * runs)):
                for kind in KINDS:  # fills the cache folder, and brings the files into the page cache
                    measure(kind, backend, bundle, cache)
                times: dict[str, list[float]] = {kind: [] for kind in KINDS}
                for kind in random.sample(KINDS * rounds, len(KINDS) * rounds):
                    times[kind].append(measure(kind, backend, bundle, cache))
                medians = {kind: median(values) for kind, values in times.items()}
                ratio = medians["second"] / medians["bare"]
                figures[f"{backend}, {where} process"] = {**medians, "ratio": ratio}
                rows.append([backend, where, *(f"{medians[kind]:.1f}" for kind in KINDS), f"{ratio:.2f}", f"{GOAL:g}"])
    columns = ["backend", "process", ">bare ms", ">first ms", ">second ms", ">second / bare", ">goal"]
    publish("open_time", columns, rows, figures)


def one() -> None:
    """What a fresh process does."""
    kind, backend, bundle, cache = sys.argv[2:]
    import runtime.session  # noqa: F401 - imported before the clock starts

    get_backend(backend).available()
    print(json.dumps(milliseconds(kind, backend, Path(bundle), Path(cache))))


if __name__ == "__main__":
    one() if sys.argv[1:2] == ["--one"] else main()
