"""The figures of a report that gates hold to limits. Light: `--help` loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.gates import Figure

if TYPE_CHECKING:
    from runtime.measure.result import Performance
    from toolkit.report.result import EngineReport

REPORT_FIGURES = (
    "top1",
    "drop_points",
    "agreement",
    "p50_ms",
    "p99_ms",
    "time_ratio",
    "images_per_second",
    "cold_start_ms",
    "peak_memory_mib",
    "millijoules",
    "size_mib",
)
MIB = 1 << 20


def report_figures(engine: EngineReport) -> dict[str, Figure]:
    """Those of an engine, by the names of `REPORT_FIGURES`; for one that was not measured, the reason."""
    return {**accuracy_figures(engine), **time_figures(engine), "size_mib": engine.size_bytes / MIB}


def accuracy_figures(engine: EngineReport) -> dict[str, Figure]:
    """What it keeps."""
    accuracy = engine.accuracy
    if accuracy is None:
        return dict.fromkeys(("top1", "drop_points", "agreement"), engine.accuracy_reason)
    unlabelled, alone = "the images have no labels", "there is no reference to compare with"
    pairing = accuracy.pairing
    drop: Figure = alone if pairing is None else unlabelled if pairing.drop_points is None else pairing.drop_points
    return {
        "top1": unlabelled if accuracy.top1 is None else accuracy.top1,
        "drop_points": drop,
        "agreement": alone if pairing is None else pairing.agreement,
    }


def time_figures(engine: EngineReport) -> dict[str, Figure]:
    """What it costs."""
    performance = engine.performance
    if performance is None:
        names = ("p50_ms", "p99_ms", "time_ratio", "images_per_second", "cold_start_ms", "peak_memory_mib")
        return dict.fromkeys((*names, "millijoules"), engine.performance_reason)
    single, cold, energy = performance.single, performance.cold, performance.energy
    p99, memory = single.times.p99, cold.peak_memory_bytes if cold else None
    no_cold = "no cold starts were measured: give --cold"
    return {
        "p50_ms": single.times.p50,
        "p99_ms": "there were too few calls for it: give more --seconds" if p99 is None else p99,
        "time_ratio": single.ratio.value if single.ratio else 1.0,
        "images_per_second": throughput(performance)[0],
        "cold_start_ms": cold.start_ms if cold else no_cold,
        "peak_memory_mib": (no_cold if cold is None else "this system does not tell")
        if memory is None
        else memory / MIB,
        "millijoules": energy.millijoules if energy else performance.energy_reason,
    }


def throughput(performance: Performance) -> tuple[float, int]:
    """The most images a second, over all batch sizes that were measured, and that size."""
    single = performance.single
    alone = 1000 * single.batch / single.times.mean if single.times.mean else 0.0
    return max([(alone, single.batch), *((point.images_per_second, point.batch) for point in performance.batches)])
