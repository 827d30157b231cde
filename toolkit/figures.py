"""The figures that gates hold to limits: names as in the JSON, and two ratios. Light: `--help` loads it.

The ratios are for machines that others share. Milliseconds differ from one to the next and from hour to hour; what was
timed in turns, in one run, drifts together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.gates import Figure

if TYPE_CHECKING:
    from toolkit.build_result import BuildResult
    from toolkit.comparison.result import Comparison
    from toolkit.results import BenchRow

LATENCIES = ("p50_ms", "p90_ms", "p99_ms")
BUILD_FIGURES = (
    "top1",
    "drop_points",
    "agreement",
    *LATENCIES,
    "speedup",
    "size_bytes",
    "macs_share",
    "logits_sqnr_db",
)
TIME_RATIO = "time_ratio"
COMPARE_FIGURES = ("agreement", "drop_points", "largest_probability_difference", "lowest_sqnr_db")
BENCH_FIGURES = (*LATENCIES, "p95_ms", "images_per_second", TIME_RATIO)


def build_figures(result: BuildResult) -> dict[str, Figure]:
    """Those of a build, by the names of `BUILD_FIGURES`."""
    accuracy, latency = result.accuracy, result.latency_ms
    unlabelled = "the images have no labels" if accuracy else result.accuracy_reason
    alone = result.accuracy_reason or "there is no FP32 on this target to compare with"
    return {
        "top1": figure(accuracy, "top1", unlabelled),
        "drop_points": figure(accuracy, "drop_points", alone if accuracy and accuracy.top1 is not None else unlabelled),
        "agreement": figure(accuracy, "agreement", alone),
        "p50_ms": figure(latency, "p50", result.latency_reason),
        "p90_ms": figure(latency, "p90", result.latency_reason),
        "p99_ms": figure(latency, "p99", result.latency_reason),
        "speedup": speedup(result),
        "size_bytes": result.size_bytes,
        "macs_share": result.coverage.macs_share,
        "logits_sqnr_db": figure(result.error, "logits_sqnr_db", "an FP32 graph strays from nothing"),
    }


def speedup(result: BuildResult) -> Figure:
    """Median time of the fastest FP32 graph of the race over that of the chosen one."""
    references = [row.p50_ms for row in result.race if row.precision == "fp32" and row.p50_ms is not None]
    if not references:
        return "no FP32 graph was timed beside it (a bundle holds none: build from the model)"
    return min(references) / result.latency_ms.p50 if result.latency_ms else result.latency_reason


def bench_figures(row: BenchRow, first: BenchRow) -> dict[str, Figure]:
    """Those of a bundle, by the names of `BENCH_FIGURES`; `first` is the bundle that was named first."""
    latency, times = row.latency_ms, row.performance.single.times
    return {
        "p50_ms": latency.p50,
        "p90_ms": latency.p90,
        "p99_ms": latency.p99,
        "p95_ms": "too few calls were timed: --seconds gives it longer" if times.p95 is None else times.p95,
        "images_per_second": row.images_per_second,
        TIME_RATIO: latency.p50 / first.latency_ms.p50,
    }


def compare_figures(result: Comparison) -> dict[str, Figure]:
    """Those of a comparison, by the names of `COMPARE_FIGURES`."""
    one, other = result.top1_a, result.top1_b
    ratios = [layer.sqnr_db for layer in result.layers]
    return {
        "agreement": result.agreement,
        "drop_points": "the images have no labels" if one is None or other is None else round(one - other, 10),
        "largest_probability_difference": result.largest_probability_difference,
        "lowest_sqnr_db": min(ratios) if ratios else "no tensor of one could be matched with one of the other",
    }


def figure(values: object, name: str, reason: str) -> Figure:
    """One of some values that may all be missing, or why it is."""
    value: float | None = getattr(values, name, None)
    return reason if value is None else value
