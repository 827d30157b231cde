"""Tables of a report: answers by class, and error by layer."""

from __future__ import annotations

from runtime.measure.result import Changed, MeasuredAccuracy
from toolkit.report.document import TEXT, Cell, Column, Details, Frame, Table, table, text_cells
from toolkit.report.result import EngineReport, Report
from toolkit.report.tables import NO_LABELS, cell, drop, unpaired
from toolkit.report.words import name_of, percent, probability, within

MOST_NUMBERS = 20  # classes of a confusion matrix that is shown in numbers
MOST_CLASSES = 50  # by class; of more the worst
MOST_FRAMES = 24  # images of an engine's gallery


def overview(report: Report) -> Table:
    """All engines: answers, and how sure they are of them."""
    columns = [
        Column("Engine", TEXT),
        Column("Images"),
        Column("Top-1, %"),
        Column("Top-5, %"),
        Column("Drop, points"),
        Column("Lost, gained"),
        Column("McNemar's test"),
        Column("Same answer, %"),
        Column("Calibration error"),
        Column("Refused, %"),
        Column("NaN"),
    ]
    rows = [overview_row(report, engine, engine.accuracy) for engine in report.engines if engine.accuracy]
    note = f"Below figures: 95 % intervals. The reference is {report.reference}." if report.reference else ""
    return table("Answers of each engine", columns, rows, note)


def overview_row(report: Report, engine: EngineReport, found: MeasuredAccuracy) -> list[Cell]:
    """One engine."""
    pairing, alone = found.pairing, unpaired(report, engine)
    absent = NO_LABELS if pairing else alone
    top5 = NO_LABELS if found.top1 is None else "there are fewer than six classes"
    lost = None if pairing is None or pairing.lost is None else f"{pairing.lost:,}, {pairing.gained or 0:,}"
    return [
        Cell(name_of(report, engine)),
        Cell(f"{found.images:,}"),
        cell(found.top1, percent, NO_LABELS, within(found.top1_interval, percent)),
        cell(found.top5, percent, top5, within(found.top5_interval, percent)),
        drop(report, engine, pairing, with_chance=False),
        cell(lost, str, absent),
        cell(pairing.p_value if pairing else None, probability, absent),
        cell(pairing.agreement if pairing else None, percent, alone),
        cell(found.calibration_error, lambda value: f"{value:.4f}", NO_LABELS),
        cell(found.refused, percent, "the bundle has no threshold"),
        Cell(f"{found.broken:,}", verdict="bad" if found.broken else ""),
    ]


def confusion(report: Report, engine: EngineReport, found: MeasuredAccuracy) -> Table | None:
    """Right classes by answers, in numbers, where there are few."""
    if not 0 < len(found.confusion) <= MOST_NUMBERS:
        return None
    labels = [each.label for each in found.classes] or [str(index) for index in range(len(found.confusion))]
    wrong = [count for i, row in enumerate(found.confusion) for j, count in enumerate(row) if i != j]
    most = max(wrong, default=0) or 1
    rows = [
        [
            Cell(labels[i]),
            *(
                Cell(f"{count:,}", verdict="good" if i == j else "bad", shade=1.0 if i == j else count / most)
                if count
                else Cell("0")
                for j, count in enumerate(row)
            ),
        ]
        for i, row in enumerate(found.confusion)
    ]
    columns = [Column("Right class", TEXT), *(Column(label) for label in labels)]
    note = "Rows: the right class; columns: the answer; images in each."
    return table(f"Confusion matrix of {name_of(report, engine)}", columns, rows, note)


def confused(report: Report, engine: EngineReport, found: MeasuredAccuracy) -> Table | None:
    """The most frequent mistakes."""
    if not found.confused:
        return None
    rows = [
        text_cells(label(found, right), label(found, answer), f"{count:,}") for right, answer, count in found.confused
    ]
    columns = [Column("Right class", TEXT), Column("Answer", TEXT), Column("Images")]
    return table(f"Most frequent mistakes of {name_of(report, engine)}", columns, rows)


def classes(report: Report, engine: EngineReport, found: MeasuredAccuracy) -> Details | None:
    """Class by class; of many the worst."""
    if not found.classes:
        return None
    listed, title = found.classes, f"All {len(found.classes)} classes"
    if len(listed) > MOST_CLASSES:
        known = [each for each in listed if each.recall is not None]
        listed = tuple(sorted(known, key=lambda each: each.recall or 0.0)[:MOST_CLASSES])
        title = f"The {len(listed)} worst of {len(found.classes)} classes"
    rows = [
        [
            *text_cells(each.label, f"{each.images:,}"),
            cell(each.recall, percent, "no image has the class"),
            cell(each.precision, percent, "no answer was the class"),
        ]
        for each in listed
    ]
    columns = [Column("Class", TEXT), Column("Images"), Column("Recall, %"), Column("Precision, %")]
    caption = f"{title} of {name_of(report, engine)}"
    note = "All are in the report's JSON." if len(listed) < len(found.classes) else ""
    return Details(title, (table(caption, columns, rows, note),))


def label(found: MeasuredAccuracy, index: int) -> str:
    """A class in words."""
    if index < 0:
        return "NaN"
    return found.classes[index].label if index < len(found.classes) else str(index)


def frames(engine: EngineReport, reference: str | None) -> tuple[Frame, ...]:
    """The images of an engine's gallery."""
    found = engine.accuracy
    if found is None:
        return ()
    return tuple(frame(found, change, reference or "the reference") for change in found.changed[:MOST_FRAMES])


def frame(found: MeasuredAccuracy, change: Changed, reference: str) -> Frame:
    """An image with both answers."""
    right = () if change.label is None else (f"Right: {label(found, change.label)}",)
    before = f"{reference}: {label(found, change.reference)} ({change.reference_probability:.2f})"
    now = f"this engine: {label(found, change.engine)} ({change.engine_probability:.2f})"
    return Frame(change.image, change.file or f"image {change.image}", (*right, before, now))


def layers(report: Report, engine: EngineReport) -> Table | None:
    """Layer by layer, from the build."""
    if not engine.layers:
        return None
    rows = [
        [
            *text_cells(layer.name, f"{layer.macs:,}", layer.asked),
            Cell(layer.reached, verdict="bad" if layer.reached not in (layer.asked, "unknown") else ""),
            cell(layer.sqnr_db, lambda value: f"{value:.1f}", "the build did not measure it"),
            Cell(layer.reason),
        ]
        for layer in engine.layers
    ]
    columns = [
        Column("Layer", TEXT),
        Column("Multiply-adds"),
        Column("Asked", TEXT),
        Column("Reached", TEXT),
        Column("SQNR, dB"),
        Column("Why not", TEXT),
    ]
    end = "" if engine.logits_sqnr_db is None else f"Of the logits: {engine.logits_sqnr_db:.1f} dB."
    return table(f"Layers of {name_of(report, engine)}", columns, rows, end)
