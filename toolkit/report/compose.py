"""A report as a document: what is said, in which order. How it looks is left to HTML and Markdown."""

from __future__ import annotations

from runtime.measure.result import MeasuredAccuracy
from toolkit.console import printable
from toolkit.report import accuracy_tables as answers
from toolkit.report import tables
from toolkit.report.charts import draw_batches, draw_latency, draw_rounds
from toolkit.report.charts_accuracy import draw_confusion, draw_front, draw_layers, draw_reliability
from toolkit.report.document import Block, Details, Document, Gallery, Items, Pictures, Section, Terms, Words
from toolkit.report.result import EngineReport, Report
from toolkit.report.timing_tables import timing_tables
from toolkit.report.words import name_of, percent

GLOSSARY = (
    ("p50, p99", "half, 99 of 100 calls took no longer. A percentile is shown only with ten samples above it."),
    (
        "95 % interval",
        "where the figure lies with a probability of 95 %: of times by a bootstrap over rounds, of accuracies by "
        "Wilson's formula, of drops for paired proportions.",
    ),
    ("Within noise", "the interval holds what would be no difference: the run does not say which is the better."),
    (
        "One request after another",
        "an image in memory to probabilities in memory, engines in turns, so that what drifts hits all alike; calls "
        "before times were steady do not count.",
    ),
    ("Jitter", "the mean difference between a call and the one before."),
    ("CPU time", "of all cores together, a call."),
    ("Cold start", "a process from its start to its first answer, with files in the system's cache."),
    ("Energy", "what the sensor tells while the engine runs, less what it told before, when the machine was idle."),
    ("Top-1, top-5", "the share of images with the right class first, or among the first five answers."),
    (
        "Drop",
        "top-1 of the reference less that of the engine, on the same images; negative where the engine is better.",
    ),
    (
        "McNemar's test",
        "how probable so uneven a count of lost and gained images is if both engines are equally often right.",
    ),
    ("Calibration error", "how far probabilities are from the share of right answers, over 15 bins."),
    ("SQNR", "signal to quantization noise: 20 dB is an error of a tenth of the signal, 40 dB of a hundredth."),
    ("Pareto front", "the engines that no other beats in both time and accuracy."),
)


def compose(report: Report) -> Document:
    """All that is said of a report."""
    sections = (
        Section("summary", "Summary", (tables.summary(report),)),
        gates(report),
        pictures(report),
        timing(report),
        accuracy(report),
        changed(report),
        layers(report),
        conditions(report),
        against(report),
        Section("environment", "Environment", (Terms(tables.environment(report.machine)), tables.bundles(report))),
        Section("glossary", "How it was measured", (measured(report), Terms(GLOSSARY))),
    )
    return Document(title(report), about(report), lead(report), tuple(each for each in sections if each is not None))


def title(report: Report) -> str:
    """What was measured."""
    models = " and ".join(dict.fromkeys(printable(engine.model) for engine in report.engines))
    count = len(report.engines)
    return f"{models}: {count} {'engine' if count == 1 else 'engines'} measured"


def about(report: Report) -> str:
    """Where and when."""
    where = report.machine.board or report.machine.cpu or "an unknown machine"
    when = report.created.replace("T", " ").replace("Z", " UTC")
    return f"On {where}, {when}, with edge-deployment-toolkit {report.toolkit_version}."


def lead(report: Report) -> tuple[Block, ...]:
    """What matters most, and what makes it doubtful."""
    doubts = (*report.conditions.warnings, *report.warnings)
    words = Words(report.recommendation.text, "lead")
    return (words, Items(doubts, "Take these figures with care:", "warning")) if doubts else (words,)


def gates(report: Report) -> Section | None:
    """Limits and what came of them."""
    made = tables.gates(report)
    if made is None:
        return None
    missed = sum(not gate.passed for engine in report.engines for gate in engine.gates)
    text = f"{missed} of {len(made.rows)} {'is' if missed == 1 else 'are'} missed." if missed else "All are passed."
    return Section("gates", "Gates", (Words(text), made))


def pictures(report: Report) -> Section | None:
    """Pictures of all engines together."""
    drawn = (draw_front, draw_latency, draw_rounds, draw_batches, draw_layers, draw_reliability)
    charts = tuple(chart for draw in drawn if (chart := draw(report)) is not None)
    return Section("pictures", "Pictures", (Pictures(charts, key(report)),)) if charts else None


def key(report: Report) -> tuple[str, ...]:
    """Engines in the order of their numbers."""
    return tuple(printable(engine.name) for engine in report.engines)


def timing(report: Report) -> Section | None:
    """All that was timed."""
    made = timing_tables(report)
    absent = [
        f"{name_of(report, engine)}: {engine.performance_reason}" for engine in report.engines if not engine.performance
    ]
    blocks: tuple[Block, ...] = (*made, Items(tuple(absent), "Not timed:")) if absent else tuple(made)
    return Section("timing", "Times and throughput", blocks) if blocks else None


def accuracy(report: Report) -> Section | None:
    """All engines together, then each."""
    known = [(index, engine, found) for index, engine in enumerate(report.engines, 1) if (found := engine.accuracy)]
    if not known:
        return None
    parts = [accuracy_of(report, index, engine, found) for index, engine, found in known]
    shown = tuple(part for part in parts if part.blocks)
    return Section("accuracy", "Accuracy in detail", (answers.overview(report),), shown)


def accuracy_of(report: Report, index: int, engine: EngineReport, found: MeasuredAccuracy) -> Section:
    """One engine: its mistakes, and class by class."""
    numbers = answers.confusion(report, engine, found)
    chart = draw_confusion(index, engine, found) if numbers is None else None
    matrix: Block | None = Pictures((chart,), ()) if chart else numbers
    mistakes = answers.confused(report, engine, found)
    blocks = (
        matrix and Details("Confusion matrix", (matrix,)),
        mistakes and Details("Most frequent mistakes", (mistakes,)),
        answers.classes(report, engine, found),
    )
    return Section(f"accuracy-{index}", name_of(report, engine), tuple(block for block in blocks if block))


def changed(report: Report) -> Section | None:
    """Images that another engine answers differently."""
    parts = []
    for index, engine in enumerate(report.engines, 1):
        frames = answers.frames(engine, report.reference)
        if engine.accuracy and frames:
            listed = len(engine.accuracy.changed)
            rest = (
                f" The first {len(frames)} of {listed}; the others are in the report's JSON."
                if listed > len(frames)
                else ""
            )
            agreed = (
                f"{percent(pairing.agreement)} % of the answers are the same."
                if (pairing := engine.accuracy.pairing)
                else ""
            )
            blocks = (Words(agreed + rest), Gallery(frames))
            parts.append(Section(f"changed-{index}", name_of(report, engine), blocks))
    note = Words(f"Answered differently than by {report.reference}.")
    return Section("changed", "Images that changed", (note,), tuple(parts)) if parts else None


def layers(report: Report) -> Section | None:
    """Layer by layer, each engine."""
    blocks = tuple(
        Details(f"{name_of(report, engine)}: {len(made.rows)} layers", (made,))
        for engine in report.engines
        if (made := answers.layers(report, engine)) is not None
    )
    return Section("layers", "Layers", blocks) if blocks else None


def conditions(report: Report) -> Section:
    """The machine's state, with what was doubtful about it."""
    found = report.conditions
    calm = Words("Nothing was found that would make the figures doubtful.")
    state = Items(found.warnings, "", "warning") if found.warnings else calm
    return Section("conditions", "Conditions", (state, Terms(tables.conditions(found))))


def against(report: Report) -> Section | None:
    """Beside an earlier report."""
    found = report.against
    if found is None:
        return None
    counts = [
        f"{count} {verdict}"
        for verdict in ("worse", "better")
        if (count := sum(change.verdict == verdict for change in found.changes))
    ]
    text = f"{found.file}, made {found.created}: {' and '.join(counts) or 'nothing better or worse'} beyond noise."
    missing = Items(tuple(printable(name) for name in found.missing), "Only one of the two reports has:")
    made = tables.against(found)
    blocks = (
        Words(text),
        Items(found.warnings, "The two are hard to compare:", "warning") if found.warnings else None,
        made,
        missing if found.missing else None,
    )
    return Section("against", "Against an earlier report", tuple(block for block in blocks if block))


def measured(report: Report) -> Words:
    """The command and how long it took."""
    data = f" on {report.images:,} images of {report.data}" if report.data else ""
    return Words(f"Measured{data} in {report.seconds:.0f} s by: {report.command}")


def wanted_images(report: Report) -> tuple[int, ...]:
    """The images that the galleries show, counted from 0 in the set: for `thumbnails`."""
    shown = (frame for engine in report.engines for frame in answers.frames(engine, report.reference))
    return tuple(sorted({frame.image for frame in shown}))
