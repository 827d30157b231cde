"""Tables of what was timed, and what speaks against relying on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from runtime.manifest import GpuTimes
from runtime.measure.result import Conditions, Performance, Ratio
from toolkit.console import milliseconds, print_table, printable, say, size


def show_single(title: str, about: Mapping[str, Sequence[str]], performances: Mapping[str, Performance]) -> None:
    """One request after another.

    Args:
        title: over the table.
        about: graph and backend of each engine, by its name.
        performances: by the engine's name.
    """
    rows = []
    for name, performance in performances.items():
        single = performance.single
        times = single.times
        rows.append(
            [
                name,
                *about[name],
                *map(milliseconds, (times.p50, times.p90, times.p99, times.max, single.cpu_ms)),
                f"{1000 * single.batch / times.p50:,.0f}" if times.p50 else "-",
                f"{single.ratio.value:.2f}x" if single.ratio else "1x",
            ]
        )
    figures = (">p50", ">p90", ">p99", ">max", ">CPU", ">img/s", ">time")
    print_table(f"{title}; milliseconds", ["bundle", "graph", "backend", *figures], rows)
    reference = next(iter(performances))
    ratios = [
        (name, performance.single.ratio) for name, performance in performances.items() if performance.single.ratio
    ]
    for name, ratio in ratios:
        say(printable(f"{name} takes {describe_ratio(ratio)} of the time of {reference}"))
    if ratios:
        say()


def describe_ratio(ratio: Ratio) -> str:
    """With its interval, and what that says."""
    interval = f"{ratio.interval.low:.2f} to {ratio.interval.high:.2f}" if ratio.interval else "too few rounds to tell"
    return f"{ratio.value:.2f} ({interval}{', within noise' if ratio.within_noise else ''})"


def show_more(performances: Mapping[str, Performance]) -> None:
    """A table for each kind of measurement that was asked for."""
    show_batches(performances)
    paced = [(name, pace) for name, performance in performances.items() for pace in performance.paced]
    if paced:
        columns = ["bundle", ">fps", ">p50 ms", ">p90 ms", ">p99 ms", ">max ms", ">frames", ">late"]
        rows = [
            [
                name,
                f"{pace.fps:g}",
                *map(milliseconds, (pace.times.p50, pace.times.p90, pace.times.p99, pace.times.max)),
                *map(str, (pace.times.samples, pace.late)),
            ]
            for name, pace in paced
        ]
        print_table("at a camera's pace, from when a frame was due to its answer", columns, rows)
    cold = [(name, performance.cold) for name, performance in performances.items() if performance.cold]
    if cold:
        columns = ["bundle", ">to first answer ms", ">load ms", ">first call ms", ">peak memory"]
        rows = [
            [name, *map(milliseconds, (one.start_ms, one.load_ms, one.first_call_ms)), size(one.peak_memory_bytes)]
            for name, one in cold
        ]
        print_table(f"processes of their own, {cold[0][1].starts} each: medians, the most memory", columns, rows)
    energy = [(name, performance.energy) for name, performance in performances.items() if performance.energy]
    if energy:
        columns = ["bundle", ">mJ an image", ">W busy", ">W idle", "sensor"]
        rows = [
            [name, f"{one.millijoules:.3f}", f"{one.watts:.2f}", f"{one.idle_watts:.2f}", one.source]
            for name, one in energy
        ]
        print_table("energy, without what the machine takes when idle", columns, rows)
    on_gpu = [(name, performance.gpu) for name, performance in performances.items() if performance.gpu]
    if on_gpu:
        show_gpu(on_gpu)


def show_batches(performances: Mapping[str, Performance]) -> None:
    """Images a second over batch sizes, a column for each."""
    found = {name: {point.batch: point for point in one.batches} for name, one in performances.items()}
    sizes = sorted({batch for points in found.values() for batch in points})
    if sizes:
        rows = [
            [name, *(f"{points[batch].images_per_second:,.0f}" if batch in points else "-" for batch in sizes)]
            for name, points in found.items()
        ]
        print_table("images/s at batch sizes", ["bundle", *(f">{batch}" for batch in sizes)], rows)


def show_gpu(rows: Sequence[tuple[str, GpuTimes]]) -> None:
    """What calls spend their time on, medians, and what speaks against the figures."""
    cells = [
        [
            bundle,
            *(
                milliseconds(part.p50)
                for part in (gpu.host_to_device_ms, gpu.compute_ms, gpu.device_to_host_ms, gpu.enqueue_ms, gpu.host_ms)
            ),
            f"{gpu.variation_percent:g}",
        ]
        for bundle, gpu in rows
    ]
    columns = ["bundle", ">to device", ">compute", ">to host", ">enqueue (CPU)", ">whole call", ">compute varies %"]
    print_table("on the GPU, without CUDA graphs, p50 in ms", columns, cells)
    for bundle, gpu in rows:
        for warning in gpu.warnings:
            say(f"warning: {bundle}: {warning}")


def warn_of(conditions: Conditions, performances: Mapping[str, Performance]) -> None:
    """Why the figures should be taken with care, and what could not be measured, on standard error."""
    reasons = dict.fromkeys(one.energy_reason for one in performances.values() if one.energy_reason)
    for warning in (*conditions.warnings, *(f"no energy: {reason}" for reason in reasons)):
        click.echo(printable(f"warning: {warning}"), err=True)
