"""What a build gives back, whether it came from a model or from a bundle: the JSON of `build --json`, and its table."""

from __future__ import annotations

import shlex
from pathlib import Path

from msgspec import Struct

from calibration.record import Budget
from runtime.manifest import Accuracy, Coverage, GraphError, Latency, LayerEntry, Manifest
from runtime.progress import TimedProgress
from runtime.race import SAME_GRAPH, Race, RaceRow
from runtime.spec import Precision
from toolkit.console import milliseconds, points, print_table, say, size
from toolkit.gates import GateResult

SHORT_STAGE_S = 0.05  # shorter stages are left to the JSON
LOW_SQNR_DB = 15.0
HIGH_DROP = 1.0  # points
MOST_LAYERS = 20  # of the table; `inspect` and the JSON have all
SMALL_DIFFERENCE = 1.02  # two targets nearer than this are said to be equally fast


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
    against = race.reason_against
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
        warnings=(*warnings, *more_warnings(manifest, against)),
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


def show(result: BuildResult) -> None:
    """The race, the layers of the winner, what it means, and what to do next."""
    columns = ["graph", "target", ">size", ">top-1", ">drop", ">agree", ">SQNR", ">p50", ">p99", "runs"]
    rows = [
        [
            row.precision,
            row.target,
            size(row.size_bytes),
            points(row.top1),
            points(row.drop_points),
            points(row.agreement),
            points(row.logits_sqnr_db, 1),
            milliseconds(row.p50_ms),
            milliseconds(row.p99_ms),
            ", ".join(f"{count} {kind}" for kind, count in row.executed.items()) or "-",
        ]
        for row in result.race
    ]
    chosen = next(index for index, row in enumerate(result.race) if row.chosen)
    title = f"{result.model}, batch {result.latency_batch}: top-1, drop and agreement in %, SQNR in dB, latency in ms"
    print_table(title, columns, rows, bold=chosen)
    if any(layer.sqnr_db is not None for layer in result.layers):
        show_layers(result.layers)
    for line in explain(result):
        say(line)
    say()
    long = {name: seconds for name, seconds in result.stage_seconds.items() if seconds >= SHORT_STAGE_S}
    say("time: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in long.items()))
    say(f"wrote {result.bundle} ({size(result.size_bytes)} model) in {result.seconds:.1f} s")
    folder = shlex.quote(result.bundle)
    say(f"next:  toolkit classify {folder} IMAGE...    toolkit verify {folder}")


def show_layers(layers: tuple[LayerEntry, ...]) -> None:
    """What each layer was asked to be, what it is executed in, and how far its output strays from FP32."""
    shown = sorted(layers, key=lambda layer: layer.sqnr_db if layer.sqnr_db is not None else 0.0)[:MOST_LAYERS]
    rows = [
        [layer.name, f"{layer.macs:,}", layer.asked, layer.reached, points(layer.sqnr_db, 1), layer.reason]
        for layer in layers
        if layer in shown
    ]
    title = "layers" if len(layers) == len(rows) else f"the {len(rows)} layers that stray most, of {len(layers)}"
    print_table(title, ["layer", ">multiply-adds", "asked", "executed", ">SQNR dB", "why not"], rows)


def accuracy_line(accuracy: Accuracy) -> str:
    """What was measured, on what, by what; of a rebuilt bundle that is its source."""
    measured = [
        f"{name} {points(value)} %"
        for name, value in (("top-1", accuracy.top1), ("agreement with FP32", accuracy.agreement))
        if value is not None
    ]
    return f"accuracy: {', '.join(measured)} on {accuracy.images:,} images, measured with {accuracy.measured_with}"


def explain(result: BuildResult) -> list[str]:
    """Why this graph on this target, what it costs, and what was left in float."""
    chosen = next(row for row in result.race if row.chosen)
    name = f"{chosen.precision} on {chosen.target}"
    rivals = [row for row in result.race if row is not chosen and row.p50_ms is not None]
    raced = chosen.precision == "fp32" or len({row.precision for row in result.race}) > 2  # no precision was asked for
    able = [row for row in rivals if not row.reason_against and (raced or row.precision == chosen.precision)]
    lines = []
    if able:
        slower = ", ".join(f"{times(row, chosen)} as fast as {row.precision} on {row.target}" for row in able)
        lines.append(f"chosen: {name}, {slower}")
    elif not rivals_at(chosen, rivals):
        lines.append(f"chosen: {name}, the only target that was built for")
    elif not chosen.reason_against:
        lines.append(f"chosen: {name}, the only one of {chosen.precision} that can win")
    else:
        lines.append(f"chosen: {name}: no target does all that was asked")
    lines += [
        f"{row.precision} on {row.target} {'failed' if row.p50_ms is None else 'cannot win'}: {row.reason_against}"
        for row in result.race
        if row.reason_against and not row.chosen
    ]
    references = [row for row in rivals if row.precision == "fp32"]
    if chosen.p50_ms is None:
        lines.append(f"latency: not measured: {chosen.target} does not run here: {result.latency_reason}")
    elif chosen.precision != "fp32" and references:
        fastest = min(references, key=lambda row: row.p50_ms or 0)
        ratio = chosen.p50_ms / (fastest.p50_ms or 1)
        if ratio > SMALL_DIFFERENCE:
            lines.append(
                f"FP32 on {fastest.target} is {ratio:.2f}x as fast here ({milliseconds(fastest.p50_ms)} ms): "
                f"{chosen.precision} does not pay for this model on this machine"
            )
        elif ratio < 1 / SMALL_DIFFERENCE:
            lines.append(f"{chosen.precision} is {1 / ratio:.2f}x as fast as FP32 on {fastest.target}")
        else:
            lines.append(f"{chosen.precision} is as fast as FP32 on {fastest.target}")
    if result.accuracy is None:
        lines.append(f"accuracy: not measured: {result.accuracy_reason}")
    else:
        lines.append(accuracy_line(result.accuracy))
        if result.accuracy.measured_with not in (result.target, SAME_GRAPH):
            lines.append(f"that is the accuracy of the bundle it was built from; --eval-data measures {result.target}")
    if "int8" in chosen.precision:
        lines.append(f"INT8 layers do {100 * result.coverage.macs_share:.1f} % of the multiply-accumulates")
    if result.reduced_range:
        lines.append("INT8 weights use 7 of their 8 bits, so that no CPU without VNNI overflows")
    if result.budget:
        lines += budget_lines(result.budget)
    return lines + [f"warning: {text}" for text in result.warnings]


def budget_lines(outcome: BudgetOutcome) -> list[str]:
    """What was allowed, what was done for it, and what that costs."""
    budget = outcome.budget
    unit = "points" if budget.judged_by == "top1" else "% of the classes"
    judged = f"on {budget.images:,} held-out images"
    if not budget.given_back:
        return [f"budget: INT8 loses {budget.lost:.2f} {unit} {judged}, of {budget.max_drop:g} that it may"]
    names = ", ".join(entry.layer for entry in budget.given_back)
    lines = [
        f"budget: INT8 loses {budget.lost_at_first:.2f} {unit} {judged}, over {budget.max_drop:g}; with {names} in "
        f"float it loses {budget.lost:.2f}" + ("" if budget.met else ", the least that was found: the budget is missed")
    ]
    if outcome.p50_ms and outcome.all_int8_p50_ms:
        lines.append(
            f"that costs a latency of {milliseconds(outcome.p50_ms)} ms in place of "
            f"{milliseconds(outcome.all_int8_p50_ms)} ms"
        )
    return lines


def rivals_at(chosen: RaceRow, rivals: list[RaceRow]) -> list[RaceRow]:
    """Those of the same precision."""
    return [row for row in rivals if row.precision == chosen.precision]


def times(slower: RaceRow, faster: RaceRow) -> str:
    """How many times as fast one row is."""
    return f"{(slower.p50_ms or 0) / (faster.p50_ms or 1):.2f}x"
