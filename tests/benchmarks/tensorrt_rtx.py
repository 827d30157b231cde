"""The compile stage alone, with the real TensorRT for RTX, without a GPU: seconds, the plan's size, the child's memory.

python tests/benchmarks/tensorrt_rtx.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from calibration.options import CalibrationOptions
from runtime.backend import EngineOptions
from runtime.backends.tensorrt.build import build_plan
from runtime.backends.tensorrt.events import Request
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.progress import SilentProgress
from runtime.spec import Precision
from tests.benchmarks.common import publish
from toolkit.graphs import export_fp32, make_graphs
from toolkit.options import ModelChoice
from toolkit.source import SourceRequest, make_source, resolve_model

RUNS = 5
CAPABILITIES = ("8.6",)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-fp16")
MODELS = {"lenet": False, "alexnet": True}  # whether its weights are random
LIMITS = {"lenet": "2 s", "alexnet": "10 s, 65 MB, 1.5 GB"}


def graphs_of(name: str, folder: Path) -> tuple[dict[Precision, Path], tuple[int, int, int]]:
    """Every precision's graph."""
    quiet = SilentProgress()
    model = resolve_model(name, ModelChoice(random_weights=MODELS[name]), None, quiet)
    options = CalibrationOptions(32, "minmax", False)
    source = make_source(SourceRequest(model, options, targets=["tensorrt-rtx"]), quiet)
    exported = export_fp32(source, source.samples, folder / "fp32.onnx", quiet)
    made = make_graphs(source, exported.path, PRECISIONS, quiet).by_precision
    return {precision: graph.path for precision, graph in made.items()}, source.spec.image_shape


def measure(model: Path, shape: tuple[int, int, int], folder: Path) -> dict[str, Any]:
    """Some builds of one graph."""
    batch = EngineOptions().batch
    request = Request(
        product="tensorrt-rtx",
        model=str(model),
        plan=str(folder / "engine.plan"),
        image_shape=shape,
        batch=(batch.smallest, batch.best, batch.largest),
        options=TensorRtOptions(compute_capabilities=CAPABILITIES),
    )
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        built = build_plan(request, SilentProgress())
        seconds.append(time.perf_counter() - start)
    layers = built.success.layers or {}
    return {
        "seconds": seconds,
        "plan_bytes": Path(request.plan).stat().st_size,
        "peak_bytes": built.success.peak_bytes,
        "version": built.success.version,
        "layers": layers,
    }


def main() -> None:
    figures: dict[str, Any] = {}
    rows = []
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            graphs, shape = graphs_of(name, Path(folder))
            for precision, path in graphs.items():
                figures[f"{name} {precision}"] = found = measure(path, shape, Path(folder))
                rows.append(
                    [
                        name,
                        precision,
                        f"{statistics.median(found['seconds']):.2f}",
                        f"{max(found['seconds']):.2f}",
                        f"{found['plan_bytes'] / 1e6:.1f}",
                        f"{found['peak_bytes'] / 1e6:.0f}",
                        LIMITS[name] if precision == "int8" else "",
                    ]
                )
    columns = ["model", "graph", ">median s", ">longest s", ">plan MB", ">memory MB", "asked of INT8"]
    publish("tensorrt_rtx", columns, rows, figures)


if __name__ == "__main__":
    main()
