"""What a build gives back, whether it came from a model or from a bundle: the JSON of `build --json`."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from calibration.record import Budget
from runtime.manifest import Accuracy, Coverage, GraphError, Latency, LayerEntry, Manifest
from runtime.progress import TimedProgress
from runtime.race import Race, RaceRow
from runtime.spec import Precision
from toolkit.gates import GateResult

LOW_SQNR_DB = 15.0
HIGH_DROP = 1.0  # points


class BudgetOutcome(Struct, frozen=True):
    """What became of --max-drop.

    Attributes:
        budget: what was allowed, what is lost, and the layers that stay in float for it.
        p50_ms: the latency of the bundle's engine.
        all_int8_p50_ms: that of one with every layer in INT8, measured beside it. Both are null where no layer was
            given back, or the engine cannot run here.
    """

    budget: Budget
    p50_ms: float | None
    all_int8_p50_ms: float | None


class BuildResult(Struct, frozen=True):
    """`build --json`. Percentages in 0..100, latencies in milliseconds.

    Attributes:
        model: its name.
        precision: of the graph that won.
        target: the backend that the bundle is for.
        bundle: the folder that was written.
        size_bytes: of the model in it.
        accuracy: of the bundle; null where there was nothing to evaluate on.
        accuracy_reason: why it, or the comparison with FP32, was not measured; empty where both were.
        latency_ms: of a call with `latency_batch` images; null where the engine cannot run here.
        latency_reason: why it was not measured; empty where it was.
        latency_batch: the batch size that the engine is best at.
        method: by which INT8 thresholds were found; null where none were.
        reduced_range: INT8 weights use 7 of their 8 bits.
        coverage: how much runs in INT8.
        error: of the graph against the FP32 one.
        layers: the type that was asked for and the one that is executed, of each.
        race: every graph on every target.
        probe_distance: of the engine's answers from those that the bundle holds.
        warnings: for people.
        seconds: that the build took.
        stage_seconds: that each stage of it took, by name.
        gates: what came of them, in the order in which they were given.
        budget: what came of --max-drop; null where it was not given.
    """

    model: str
    precision: Precision
    target: str
    bundle: str
    size_bytes: int
    accuracy: Accuracy | None
    accuracy_reason: str
    latency_ms: Latency | None
    latency_reason: str
    latency_batch: int
    method: str | None
    reduced_range: bool
    coverage: Coverage
    error: GraphError
    layers: tuple[LayerEntry, ...]
    race: tuple[RaceRow, ...]
    probe_distance: float | None
    warnings: tuple[str, ...]
    seconds: float
    stage_seconds: dict[str, float]
    gates: tuple[GateResult, ...] = ()
    budget: BudgetOutcome | None = None


def make_result(
    manifest: Manifest,
    method: str | None,
    race: Race,
    bundle: Path,
    warnings: tuple[str, ...],
    progress: TimedProgress,
    budget: BudgetOutcome | None = None,
) -> BuildResult:
    """Gather what a build measured."""
    return BuildResult(
        model=manifest.spec.name,
        precision=manifest.precision,
        target=manifest.target,
        bundle=str(bundle),
        size_bytes=next(row.size_bytes or 0 for row in race.rows if row.chosen),
        accuracy=manifest.accuracy,
        accuracy_reason=manifest.accuracy_reason,
        latency_ms=manifest.latency_ms,
        latency_reason=manifest.latency_reason,
        latency_batch=manifest.batch.best,
        method=method,
        reduced_range=manifest.reduced_range,
        coverage=manifest.coverage,
        error=manifest.error,
        layers=manifest.layers,
        race=race.rows,
        probe_distance=manifest.probe.distance,
        warnings=(*warnings, *more_warnings(manifest, race.reason_against)),
        seconds=round(progress.elapsed_s, 2),
        stage_seconds=progress.seconds,
        budget=budget,
    )


def more_warnings(manifest: Manifest, against: str) -> list[str]:
    """What the user should know before using the bundle."""
    found = []
    if against and any(layer.reached == "bf16" for layer in manifest.layers):  # CPUs with bfloat16 and without float16
        found.append(f"{against}: {manifest.target} runs it in bfloat16, which is as fast and keeps fewer digits")
    elif against:
        found.append(f"{against}: {manifest.target} gains size from it, not speed")
    sqnr, accuracy = manifest.error.logits_sqnr_db, manifest.accuracy
    lost = accuracy.drop_points if accuracy else None
    if (sqnr is not None and sqnr < LOW_SQNR_DB) or (lost is not None and lost > HIGH_DROP):
        what = f"it loses {lost:.2f} points" if lost is not None else f"its logits have an SQNR of {sqnr:.1f} dB"
        found.append(f"{manifest.precision} is far from FP32 here: {what}; try --method auto, more images, or --fp16")
    return found
