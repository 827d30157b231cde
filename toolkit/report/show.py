"""A report on a terminal: one table, what to take, what is doubtful, and where the rest is."""

from __future__ import annotations

from toolkit.console import milliseconds, print_table, printable, say
from toolkit.report.figures import MIB, throughput
from toolkit.report.result import EngineReport, Report

NONE = "-"


def show(report: Report) -> None:
    """Print it."""
    answers = [engine.accuracy for engine in report.engines if engine.accuracy]
    unlabelled = bool(answers) and all(one.top1 is None for one in answers)
    accuracy = [">same answer %"] if unlabelled else [">top-1 %", ">drop"]
    columns = ["bundle", "graph", "backend", ">p50 ms", ">p99 ms", ">time", ">images/s", *accuracy, ">MiB"]
    names = [engine.name for engine in report.engines]
    chosen = report.recommendation.engine
    bold = names.index(chosen) if chosen in names else None
    title = f"{report.images:,} images of {report.data}" if report.data else "without images"
    print_table(title, columns, [row(engine, unlabelled) for engine in report.engines], bold=bold)
    say(printable(report.recommendation.text))
    for warning in (*report.conditions.warnings, *report.warnings):
        say(printable(f"warning: {warning}"))
    if report.against:
        show_against(report)
    if "html" in report.files:
        say(f"report: {report.files['html']}")


def row(engine: EngineReport, unlabelled: bool) -> list[str]:
    """Its cells; of `unlabelled` images, how many it answers as the reference does."""
    cells = [engine.name, engine.precision, engine.backend]
    if engine.performance:
        single = engine.performance.single
        best, _ = throughput(engine.performance)
        p99 = NONE if single.times.p99 is None else milliseconds(single.times.p99)
        ratio = "" if single.ratio is None else f"{single.ratio.value:.2f}x"
        if single.ratio and single.ratio.within_noise:
            ratio += " ~"
        cells += [milliseconds(single.times.p50), p99, ratio, f"{best:,.0f}"]
    else:
        cells += [NONE] * 4
    return [*cells, *accuracy_cells(engine, unlabelled), f"{engine.size_bytes / MIB:.2f}"]


def accuracy_cells(engine: EngineReport, unlabelled: bool) -> list[str]:
    """What it keeps."""
    accuracy = engine.accuracy
    pairing = accuracy.pairing if accuracy else None
    if unlabelled:
        return [f"{pairing.agreement:.2f}" if pairing else NONE if accuracy is None else ""]
    drop = pairing.drop_points if pairing else None
    return [
        NONE if accuracy is None or accuracy.top1 is None else f"{accuracy.top1:.2f}",
        "" if pairing is None else NONE if drop is None else f"{drop:+.2f}",
    ]


def show_against(report: Report) -> None:
    """What changed beyond noise, and what the comparison is worth."""
    against = report.against
    assert against is not None
    rows = [
        [change.engine, change.figure, f"{change.before:.5g}", f"{change.now:.5g}", change.verdict]
        for change in against.changes
        if change.verdict != "same"
    ]
    title = f"since {against.created} ({against.file})"
    if rows:
        print_table(title, ["bundle", "figure", ">then", ">now", ""], rows)
    else:
        say(printable(f"{title}: nothing changed beyond noise"))
    for warning in against.warnings:
        say(printable(f"warning: {warning}"))
    for name in against.missing:
        say(printable(f"warning: {name} is in one of the two reports alone"))
