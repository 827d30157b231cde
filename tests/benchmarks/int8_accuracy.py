"""What each precision and method costs both lenets on the 10,000 test digits.

Goals for INT8: a drop of at most 0.05 points, agreement of at least 99.9 %. Accuracy is ONNX Runtime's, which computes
Q/DQ in float; the layers and the latency are OpenVINO's, where this CPU can run the graph there.

python tests/benchmarks/int8_accuracy.py
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

from calibration.options import CalibrationOptions, Method
from runtime.backend import EngineFile, EngineOptions, get_backend
from runtime.candidate import Graph
from runtime.datasets import Dataset, batches, open_dataset
from runtime.evaluate import accuracy, predict
from runtime.latency import measure
from runtime.progress import SilentProgress
from runtime.session import session_on
from runtime.spec import BatchRange, ModelSpec, Precision
from tests.benchmarks.common import publish
from toolkit.graphs import Source, export_fp32, make_graphs
from toolkit.zoo import ZOO

MODELS = ("lenet", "lenet-28")
FITTED = {
    "nothing": CalibrationOptions(rounding="nearest", correct_biases=False),
    "biases": CalibrationOptions(rounding="nearest"),
    "all": CalibrationOptions(),
}


@dataclass(frozen=True)
class Case:
    """One graph: its precision, how thresholds were found, the bits of its INT8 weights, what of it is fitted."""

    precision: Precision
    method: str
    bits: str
    fitted: str


def graphs_of(source: Source, folder: Path) -> dict[Case, Graph]:
    """Every precision, every method, weights of 8 and of 7 bits, nothing fitted, biases, and biases and rounding."""
    fp32 = export_fp32(source, source.samples, folder / "fp32.onnx", SilentProgress()).path
    made: dict[Case, Graph] = {}
    for method in get_args(Method):
        for bits, (fitted, options) in product(("8", "7"), FITTED.items()):
            options = replace(options, images=source.options.images, method=method)
            variant = replace(source, options=options, reduced_range=bits == "7")
            place = folder / f"{method}-{bits}-{fitted}"
            place.mkdir()
            copy = place / "fp32.onnx"
            copy.write_bytes(fp32.read_bytes())
            graphs = make_graphs(variant, copy, get_args(Precision), SilentProgress()).by_precision
            for precision, graph in graphs.items():
                case = Case(precision, method, bits, fitted) if "int8" in precision else Case(precision, "", "", "")
                made.setdefault(case, graph)
    return made


def measure_all(model: str, spec: ModelSpec, graphs: dict[Case, Graph], digits: Dataset) -> list[dict[str, Any]]:
    """A row for each graph."""
    progress = SilentProgress()
    reference = EngineOptions(batch=BatchRange(1, 1, 256))
    sessions = {
        str(case): session_on("onnxruntime", EngineFile(graph.path, {}, None), spec, options_for(case, reference))
        for case, graph in graphs.items()
    }
    classes = predict(sessions, digits, progress)
    openvino = get_backend("openvino")
    timed = {
        str(case): session_on("openvino", EngineFile(graph.path, {}, None), spec, options_for(case, EngineOptions()))
        for case, graph in graphs.items()
        if case.bits != "8" or not openvino.overflows()
    }
    latencies = measure(timed, next(batches(digits, spec, 1)), progress)
    rows = []
    for case, graph in graphs.items():
        measured = accuracy(classes[str(case)], classes[str(Case("fp32", "", "", ""))], digits.labels, "onnxruntime")
        rows.append(
            {
                "model": model,
                "precision": case.precision,
                "method": case.method,
                "weight_bits": case.bits,
                "fitted": case.fitted,
                "size_bytes": graph.path.stat().st_size,
                "logits_sqnr_db": graph.error.logits_sqnr_db,
                "top1": measured.top1,
                "drop_points": measured.drop_points,
                "agreement": measured.agreement,
                "openvino_p50_us": round(1000 * latencies[str(case)].p50, 1) if str(case) in latencies else None,
            }
        )
    return rows


def options_for(case: Case, options: EngineOptions) -> EngineOptions:
    return replace(options, precision=case.precision, reduced_range=case.bits == "7")


def main() -> None:
    rows: list[dict[str, Any]] = []
    for name in MODELS:
        model = ZOO[name]
        assert model.data is not None
        pool, digits = open_dataset(model.data, "train"), open_dataset(model.data, "test")
        source = Source(model, pool, CalibrationOptions(len(pool), "minmax"), BatchRange(), False, None)
        with tempfile.TemporaryDirectory() as folder:
            rows += measure_all(name, model.spec, graphs_of(source, Path(folder)), digits)
    table = [["-" if value is None or value == "" else str(value) for value in row.values()] for row in rows]
    columns = [
        "model",
        "graph",
        "method",
        ">weight bits",
        "fitted",
        ">bytes",
        ">SQNR dB",
        ">top-1 %",
        ">drop",
        ">agree %",
        ">p50 us",
    ]
    publish("int8_accuracy", columns, table, rows)


if __name__ == "__main__":
    main()
