"""Tables of a report: everything that was timed, and the energy that it took."""

from __future__ import annotations

from runtime.measure.result import BatchPoint, Performance
from toolkit.report.document import TEXT, Cell, Column, Table, table, text_cells
from toolkit.report.result import EngineReport, Report
from toolkit.report.tables import FEW, cell, energy_cell
from toolkit.report.words import energy, ms, name_of, rate, size


def timing_tables(report: Report) -> list[Table]:
    """Those that have a row."""
    made = [percentiles(report), batches(report), paced(report), cold(report), preparation(report), energies(report),
            gpu(report)]  # fmt: skip
    return [found for found in made if found.rows]


def heads(*names: str) -> list[Column]:
    """The engine, and columns of numbers."""
    return [Column("Engine", TEXT), *(Column(name) for name in names)]


def timed(report: Report) -> list[tuple[EngineReport, Performance]]:
    """Engines that run here."""
    return [(engine, found) for engine in report.engines if (found := engine.performance) is not None]


def percentiles(report: Report) -> Table:
    """One request after another."""
    rows: list[list[Cell]] = []
    for engine, performance in timed(report):
        single = performance.single
        times = single.times
        rows.append(
            [
                Cell(name_of(report, engine)),
                *text_cells(str(single.batch), ms(times.p50)),
                *(cell(value, ms, FEW) for value in (times.p90, times.p95, times.p99, times.p999)),
                *text_cells(ms(times.max), ms(times.mean), ms(times.jitter), f"{times.variation_percent:.1f} %"),
                *text_cells(ms(single.cpu_ms), f"{times.samples:,}", f"{times.seconds:.1f}"),
                Cell(f"{single.warm_up_calls:,}{'' if single.steady else ', not steady'}"),
            ]
        )
    columns = heads("Batch", "p50", "p90", "p95", "p99", "p99.9", "max", "mean", "Jitter", "Variation", "CPU time",
                    "Calls", "Seconds", "Warm-up calls")  # fmt: skip
    return table("One request after another, milliseconds a call", columns, rows)


def batches(report: Report) -> Table:
    """Throughput over batch sizes, a column each."""
    sizes = sorted({point.batch for _, performance in timed(report) for point in performance.batches})
    rows: list[list[Cell]] = []
    for engine, performance in timed(report):
        points = {point.batch: point for point in performance.batches}
        absent = Cell("", missing="it was not measured at this batch size")
        cells = [batch_cell(points[size]) if size in points else absent for size in sizes]
        if points:
            rows.append([Cell(name_of(report, engine)), *cells])
    return table("Images a second over batch sizes", heads(*map(str, sizes)), rows)


def batch_cell(point: BatchPoint) -> Cell:
    """Throughput, and the time of a call."""
    return Cell(rate(point.images_per_second), (f"{ms(point.p50_ms)} ms",))


def paced(report: Report) -> Table:
    """A camera's pace."""
    rows = [
        [
            Cell(name_of(report, engine)),
            *text_cells(f"{pace.fps:g}", ms(pace.times.p50)),
            cell(pace.times.p99, ms, FEW),
            *text_cells(ms(pace.times.max), f"{pace.late:,} of {pace.times.samples:,}"),
        ]
        for engine, performance in timed(report)
        for pace in performance.paced
    ]
    note = (
        "From when a frame was due to its answer. Between frames the clock may fall, so calls take longer than above."
    )
    return table("At a camera's pace, milliseconds", heads("Frames a second", "p50", "p99", "max", "Late"), rows, note)


def cold(report: Report) -> Table:
    """Starts of processes."""
    rows: list[list[Cell]] = []
    for engine, performance in timed(report):
        found = performance.cold
        if found:
            texts = (ms(found.start_ms), ms(found.load_ms), ms(found.first_call_ms))
            memory = cell(found.peak_memory_bytes, size, "the system does not tell")
            rows.append([Cell(name_of(report, engine)), *text_cells(*texts), memory, Cell(str(found.starts))])
    columns = heads("Start to first answer", "Loading the engine", "First call", "Peak memory", "Starts")
    return table(
        "Cold start, milliseconds", columns, rows, "Medians, of memory the most; files were in the system's cache."
    )


def preparation(report: Report) -> Table:
    """What comes before the engine."""
    rows: list[list[Cell]] = []
    for engine, performance in timed(report):
        found = performance.preparation
        if found:
            reason = "the images are not files"
            rows.append(
                [
                    Cell(name_of(report, engine)),
                    cell(found.decode_ms, ms, reason),
                    Cell(ms(found.preprocess_ms)),
                    cell(found.together_ms, ms, reason),
                    Cell(f"{found.images:,}"),
                ]
            )
    columns = heads("Decoding", "Preprocessing", "All, with the engine", "Images")
    return table("From a file to an answer, milliseconds an image", columns, rows)


def energies(report: Report) -> Table:
    """Energy, where any engine's was asked for."""
    shown = timed(report) if any(performance.energy for _, performance in timed(report)) else []
    rows = [
        [
            Cell(name_of(report, engine)),
            energy_cell(engine, lambda found: energy(found.millijoules)),
            energy_cell(engine, lambda found: f"{found.watts:.1f}"),
            energy_cell(engine, lambda found: f"{found.idle_watts:.1f}"),
            energy_cell(engine, lambda found: found.source),
        ]
        for engine, _ in shown
    ]
    columns = [*heads("Millijoules an image", "Watts", "Watts when idle"), Column("Sensor", TEXT)]
    return table("Energy, without what the idle machine takes", columns, rows)


def gpu(report: Report) -> Table:
    """What a call on a GPU spends its time on."""
    rows: list[list[Cell]] = []
    for engine, performance in timed(report):
        found = performance.gpu
        if found:
            parts = (
                found.host_to_device_ms,
                found.compute_ms,
                found.device_to_host_ms,
                found.enqueue_ms,
                found.host_ms,
            )
            rows.append([Cell(name_of(report, engine)), *text_cells(*(ms(part.p50) for part in parts))])
    columns = heads("To the GPU", "Computing", "From the GPU", "Queueing", "The whole call")
    return table("On the GPU, median milliseconds", columns, rows)
