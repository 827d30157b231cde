"""What a build gives back, whether it came from a model or from a bundle: the JSON of `build --json`, and its table."""

from __future__ import annotations

import shlex
from pathlib import Path

from msgspec import Struct

from runtime.manifest import Accuracy, Coverage, Latency
from runtime.race import Race, RaceRow
from runtime.spec import Precision
from toolkit.console import milliseconds, points, print_table, say, size

SMALL_DIFFERENCE = 1.02  # two targets nearer than this are said to be equally fast


class BuildResult(Struct, frozen=True):
    """`build --json`. Percentages in 0..100, latency at batch 1."""

    model: str
    precision: Precision
    target: str
    bundle: str
    size_bytes: int
    accuracy: Accuracy | None
    accuracy_reason: str
    latency_ms: Latency | None
    latency_reason: str
    coverage: Coverage
    race: tuple[RaceRow, ...]
    probe_distance: float
    warnings: tuple[str, ...]
    seconds: float


def make_result(
    model: str,
    race: Race,
    bundle: Path,
    accuracy: Accuracy | None,
    accuracy_reason: str,
    probe_distance: float,
    warnings: tuple[str, ...],
    seconds: float,
) -> BuildResult:
    """Gather what a build measured."""
    winner = race.winner
    return BuildResult(
        model,
        winner.precision,
        winner.target,
        str(bundle),
        next(row.size_bytes for row in race.rows if row.chosen),
        accuracy,
        accuracy_reason,
        race.latency,
        "",
        winner.coverage,
        race.rows,
        probe_distance,
        warnings
        + (
            (f"{winner.target} runs this INT8 graph in float: it is no faster for it",) if winner.reason_against else ()
        ),
        round(seconds, 2),
    )


def show(result: BuildResult) -> None:
    """The table of a build, then what it means and what to do next."""
    columns = [
        "graph",
        "target",
        ">size",
        ">top-1 %",
        ">drop",
        ">agree %",
        ">p50 ms",
        ">p90 ms",
        ">p99 ms",
        ">INT8 layers",
    ]
    rows = [
        [
            row.precision,
            row.target,
            size(row.size_bytes),
            points(row.top1),
            points(row.drop_points),
            points(row.agreement),
            milliseconds(row.p50_ms),
            milliseconds(row.p90_ms),
            milliseconds(row.p99_ms),
            f"{row.quantized}/{row.quantizable}",
        ]
        for row in result.race
    ]
    chosen = next(index for index, row in enumerate(result.race) if row.chosen)
    print_table(f"{result.model}, batch 1", columns, rows, bold=chosen)
    for line in explain(result):
        say(line)
    say()
    say(f"wrote {result.bundle} ({size(result.size_bytes)} model) in {result.seconds:.1f} s")
    folder = shlex.quote(result.bundle)
    say(f"next:  toolkit classify {folder} IMAGE...    toolkit verify {folder}")


def accuracy_line(accuracy: Accuracy) -> str:
    """What was measured, on what, by what; of a rebuilt bundle that is its source."""
    measured = [
        f"{name} {points(value)} %"
        for name, value in (("top-1", accuracy.top1), ("agreement with FP32", accuracy.agreement))
        if value is not None
    ]
    return f"accuracy: {', '.join(measured)} on {accuracy.images:,} images, measured with {accuracy.measured_with}"


def explain(result: BuildResult) -> list[str]:
    """Why this target, what it costs, and what was left in float."""
    chosen = next(row for row in result.race if row.chosen)
    lines = []
    rivals = [row for row in result.race if row.precision == chosen.precision and not row.chosen]
    able = [row for row in rivals if not row.reason_against]
    if able:
        second = min(able, key=lambda row: row.p50_ms)
        lines.append(
            f"chosen: {chosen.precision} on {chosen.target}, "
            f"{second.p50_ms / chosen.p50_ms:.2f}x as fast as {second.target}"
        )
    elif rivals:
        lines.append(f"chosen: {chosen.precision} on {chosen.target}, the only target that can win")
    lines += [f"{row.target} cannot win: {row.reason_against}" for row in rivals if row.reason_against]
    references = [row for row in result.race if row.precision == "fp32" and not row.chosen]
    if chosen.precision != "fp32" and references:
        fastest = min(references, key=lambda row: row.p50_ms)
        ratio = chosen.p50_ms / fastest.p50_ms
        if ratio > SMALL_DIFFERENCE:
            lines.append(
                f"FP32 on {fastest.target} is {ratio:.2f}x as fast here ({milliseconds(fastest.p50_ms)} ms): "
                "INT8 does not pay for this model on this CPU"
            )
        elif ratio < 1 / SMALL_DIFFERENCE:
            lines.append(f"INT8 is {1 / ratio:.2f}x as fast as FP32 on {fastest.target}")
        else:
            lines.append(f"INT8 is as fast as FP32 on {fastest.target}")
    if result.accuracy is None:
        lines.append(f"accuracy: not measured: {result.accuracy_reason}")
    else:
        lines.append(accuracy_line(result.accuracy))
    if chosen.precision == "int8":
        lines += [f"left in float: {entry['layer']}: {entry['reason']}" for entry in result.coverage.skipped]
        lines.append(f"INT8 layers do {100 * result.coverage.macs_share:.1f} % of the multiply-accumulates")
    return lines + [f"warning: {text}" for text in result.warnings]
