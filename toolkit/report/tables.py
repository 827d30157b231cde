"""Tables of a report: the summary, gates, and what was timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runtime.measure.result import Conditions, Energy, Machine, Pairing, Performance, Times
from toolkit.gates import shown
from toolkit.report.against import EXACT
from toolkit.report.document import TEXT, Cell, Column, Table, Verdict, table, text_cells
from toolkit.report.figures import throughput
from toolkit.report.result import Against, Change, EngineReport, Report
from toolkit.report.words import (
    energy,
    ms,
    ms_like,
    name_of,
    percent,
    points,
    probability,
    rate,
    size,
    within,
)

NOT_ASKED = "it was not asked for"
FEW = "too few samples: a percentile needs ten above it"
NO_LABELS = "the images have no labels"
T = TypeVar("T")
VERDICTS: dict[str, tuple[str, Verdict]] = {
    "worse": ("worse", "bad"),
    "better": ("better", "good"),
    "unknown": ("unknown: without an interval", ""),
    "same": ("the same within noise", ""),
}


def cell(value: T | None, text: Callable[[T], str], missing: str, asides: tuple[str, ...] = ()) -> Cell:
    """A value in words, or why there is none."""
    return Cell("", missing=missing) if value is None else Cell(text(value), asides)


def summary(report: Report) -> Table:
    """What decides, one row an engine."""
    columns = [
        Column("Engine", TEXT),
        Column("Precision", TEXT),
        Column("Backend", TEXT),
        Column("p50, ms"),
        Column("p99, ms"),
        Column("Time ratio"),
        Column("Images/s"),
        Column("Top-1, %"),
        Column("Drop, points"),
        Column("Size"),
        Column("Memory"),
        Column("Energy, mJ"),
    ]
    note = (
        "Below figures: 95 % intervals. Time ratio: median time over that of the engine named first; below 1 is "
        "faster. Images/s: the most over batch sizes, and of one request after another."
    )
    return table("Engines side by side", columns, [summary_row(report, engine) for engine in report.engines], note)


def summary_row(report: Report, engine: EngineReport) -> list[Cell]:
    """One engine."""
    timed, absent = engine.performance, engine.performance_reason
    times = timed.single.times if timed else None
    memory = timed.cold.peak_memory_bytes if timed and timed.cold else None
    return [
        Cell(name_of(report, engine)),
        *text_cells(engine.precision, engine.backend),
        Cell(ms(times.p50), within(times.p50_interval, ms_like(times.p50))) if times else Cell("", missing=absent),
        p99(times, absent),
        ratio_cell(report, engine),
        throughput_cell(timed) if timed else Cell("", missing=absent),
        *accuracy_cells(report, engine),
        Cell(size(engine.size_bytes)),
        cell(memory, size, absent or (unknown_memory(timed) if timed else "")),
        energy_cell(engine, lambda found: energy(found.millijoules)),
    ]


def p99(times: Times | None, absent: str) -> Cell:
    """The 99th percentile."""
    if times is None or times.p99 is None:
        return Cell("", missing=FEW if times else absent)
    return Cell(ms(times.p99), within(times.p99_interval, ms_like(times.p99)))


def unknown_memory(timed: Performance) -> str:
    """Why there is no peak of memory."""
    return "the system does not tell" if timed.cold else "cold starts were not asked for"


def energy_cell(engine: EngineReport, text: Callable[[Energy], str]) -> Cell:
    """Something of the energy."""
    found = engine.performance.energy if engine.performance else None
    reason = engine.performance.energy_reason if engine.performance else engine.performance_reason
    return cell(found, text, reason or NOT_ASKED)


def ratio_cell(report: Report, engine: EngineReport) -> Cell:
    """Time over that of the engine named first."""
    if engine.performance is None:
        return Cell("", missing=engine.performance_reason)
    ratio = engine.performance.single.ratio
    if ratio is None:
        return Cell("1") if len(report.engines) > 1 else Cell("", missing="it is the only engine")
    asides = within(ratio.interval, lambda value: f"{value:.3f}")
    if ratio.within_noise:
        return Cell(f"{ratio.value:.3f}", (*asides, "within noise"))
    return Cell(f"{ratio.value:.3f}", asides, verdict="good" if ratio.value < 1 else "bad")


def throughput_cell(timed: Performance) -> Cell:
    """The most images a second, as gates and the next report have it."""
    best, batch = throughput(timed)
    return Cell(rate(best), (f"at batch {batch}",) if timed.batches else ())


def accuracy_cells(report: Report, engine: EngineReport) -> list[Cell]:
    """Top-1 and what was lost of it."""
    found = engine.accuracy
    if found is None:
        return [Cell("", missing=engine.accuracy_reason)] * 2
    top1 = cell(found.top1, percent, NO_LABELS, within(found.top1_interval, percent))
    return [top1, drop(report, engine, found.pairing, with_chance=True)]


def drop(report: Report, engine: EngineReport, pairing: Pairing | None, *, with_chance: bool) -> Cell:
    """What was lost of the reference's top-1."""
    if pairing is None or pairing.drop_points is None:
        return Cell("", missing=NO_LABELS if pairing else unpaired(report, engine))
    chance = () if pairing.p_value is None or not with_chance else (probability(pairing.p_value),)
    return Cell(points(pairing.drop_points), (*within(pairing.drop_interval, points), *chance))


def unpaired(report: Report, engine: EngineReport) -> str:
    """Why an engine is not compared."""
    return "it is the reference" if engine.name == report.reference else "there is no reference"


def gates(report: Report) -> Table | None:
    """Every gate of every engine, those that are missed first."""
    rows = [
        (
            gate.passed,
            [
                Cell(name_of(report, engine)),
                Cell(f"{gate.name} {gate.operator} {shown(gate.limit)}"),
                cell(gate.value, lambda value: f"{value:.6g}", f"not measured: {gate.value_reason}"),
                Cell("passed", verdict="good") if gate.passed else Cell("missed", verdict="bad"),
            ],
        )
        for engine in report.engines
        for gate in engine.gates
    ]
    ordered = [row for _, row in sorted(rows, key=lambda row: row[0])]
    columns = [Column("Engine", TEXT), Column("Gate", TEXT), Column("Measured"), Column("Outcome", TEXT)]
    return table("Limits and what came of them", columns, ordered) if rows else None


def against(found: Against) -> Table | None:
    """Figure by figure beside an earlier report, what is worse first."""
    order = list(VERDICTS)
    rows = [
        [
            *text_cells(change.engine, change.figure, f"{change.before:,.6g}", f"{change.now:,.6g}"),
            cell(change.interval, lambda ends: f"{ends.low:.4g} to {ends.high:.4g}", no_interval(change)),
            Cell(verdict_of(change), verdict=VERDICTS[change.verdict][1]),
        ]
        for change in sorted(found.changes, key=lambda change: order.index(change.verdict))
    ]
    columns = [
        Column("Engine", TEXT),
        Column("Figure", TEXT),
        Column("Before"),
        Column("Now"),
        Column("Change, 95 %"),
        Column("Verdict", TEXT),
    ]
    note = "Change: of times, now over before; of percentages, now less before."
    return table("Beside the earlier report", columns, rows, note) if rows else None


def no_interval(change: Change) -> str:
    """Why there is none."""
    if change.figure in EXACT:
        return "it is exact"
    return "it has not changed" if change.before == change.now else "noise is not known"


def verdict_of(change: Change) -> str:
    """In words; what has no interval and is the same is so by its value."""
    exactly = change.verdict == "same" and change.interval is None
    return "the same" if exactly else VERDICTS[change.verdict][0]


def environment(machine: Machine) -> tuple[tuple[str, str], ...]:
    """What was measured on."""
    pairs = [
        ("Host", machine.name),
        ("Board", machine.board),
        ("System", machine.system),
        ("CPU", f"{machine.cpu or 'unknown'}, {machine.cores} cores used"),
        ("Memory", size(machine.memory_bytes) if machine.memory_bytes else ""),
        ("GPU", ", ".join(machine.gpus) or "none"),
        ("Python", machine.python),
        *sorted(machine.packages.items()),
    ]
    return tuple((name, value or "the system does not tell") for name, value in pairs if value or name != "Board")


def conditions(found: Conditions) -> tuple[tuple[str, str], ...]:
    """The state of the machine meanwhile."""
    clock, warm = found.clock_mhz, found.temperature_c
    pairs = [
        ("Governor of the clock", found.governor),
        ("Power mode", found.power_mode),
        ("Clock", f"{clock.low:,.0f} to {clock.high:,.0f} MHz" if clock else ""),
        ("Highest temperature", "" if warm is None else f"{warm:.0f} °C"),
        ("Slowed itself down", "" if found.throttled is None else "yes" if found.throttled else "no"),
        ("Load before", "" if found.load_before is None else f"{found.load_before:.2f}"),
        ("CPU time of others", "" if found.others_percent is None else f"{found.others_percent:.1f} %"),
        ("CPU time stolen", "" if found.stolen_percent is None else f"{found.stolen_percent:.1f} %"),
    ]
    return tuple((name, value or "the system does not tell") for name, value in pairs if value or name != "Power mode")


def bundles(report: Report) -> Table:
    """What was run, exactly."""
    rows = [
        [
            Cell(name_of(report, engine)),
            *text_cells(engine.bundle, engine.digest[:12], engine.toolkit_version),
            *text_cells(f"{engine.backend} {engine.backend_version}", engine.device or "the usual one"),
            Cell(str(engine.threads)),
        ]
        for engine in report.engines
    ]
    names = ("Engine", "Bundle", "Digest", "Built with", "Backend", "Device")
    return table("Bundles", [*(Column(name, TEXT) for name in names), Column("Threads")], rows)
