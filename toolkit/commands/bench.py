"""`toolkit bench`: what bundles take of time, memory and energy, measured side by side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.text import counted
from toolkit.console import print_json
from toolkit.figures import BENCH_FIGURES, TIME_RATIO, bench_figures
from toolkit.gate_option import gate_option, tell_gates
from toolkit.gates import Gate, judge
from toolkit.measure_options import measure_options
from toolkit.options import EngineChoice, engine_options, output_options
from toolkit.progress import make_progress
from toolkit.remote.options import forwarded, remote_options

if TYPE_CHECKING:
    from runtime.measure.run import MeasureOptions
    from toolkit.remote.session import Remote
    from toolkit.results import BenchRow


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@measure_options
@engine_options
@remote_options
@gate_option(BENCH_FIGURES)
@output_options
def command(
    bundles: tuple[Path, ...],
    measure: MeasureOptions,
    engine: EngineChoice,
    remote: Remote | None,
    gates: tuple[Gate, ...],
    as_json: bool,
) -> int:
    """Measure BUNDLES side by side, in turns, so that a machine that drifts favours none.

    A call goes from images in memory to probabilities in memory. Compare figures of one run only: the last column is
    the time of a bundle over that of the one named first; below is where that lies with a probability of 95 %.

    With --gate the exit code is 3 where a bundle misses a limit. time_ratio is the time of a bundle over that of the
    one named first: on machines that others share, a better gate than milliseconds. "time_ratio<=1.1" asks every other
    bundle to take at most a tenth longer than the first.
    """
    from msgspec.structs import replace

    from toolkit.measure_tables import show_more, show_single, warn_of

    paths = list(dict.fromkeys(bundles))
    if len(paths) == 1 and any(gate.name == TIME_RATIO for gate in gates):
        raise click.UsageError(f"--gate {TIME_RATIO} compares with the bundle named first: name another one too")
    if remote:
        from toolkit.remote.bench import bench_there

        results = bench_there(remote, paths, forwarded(click.get_current_context()), make_progress())
    else:
        results = bench_here(paths, engine, measure)
    first, *others = results
    alone = [gate for gate in gates if gate.name != TIME_RATIO]  # the first is what others are compared with
    judged = [judge(alone, bench_figures(first, first))]
    judged += [judge(gates, bench_figures(row, first)) for row in others]
    results = [replace(row, gates=passed) for row, passed in zip(results, judged, strict=True)]
    performances = {row.bundle: row.performance for row in results}
    if as_json:
        print_json(results)
    else:
        about = {row.bundle: (row.precision, row.backend) for row in results}
        show_single(f"batch {measure.batch}, {counted(first.threads, 'thread')}", about, performances)
        show_more(performances)
    if not remote:  # it has said so there, which was shown here
        warn_of(first.conditions, performances)
    return max(tell_gates(row.gates, f"{row.bundle}: ") for row in results)


def bench_here(paths: Sequence[Path], engine: EngineChoice, options: MeasureOptions) -> list[BenchRow]:
    """Measure bundles on this machine.

    Args:
        paths: their folders.
        engine: how each is opened.
        options: what is measured.
    """
    from runtime.backend import available_cores
    from runtime.bundle import Bundle
    from runtime.measure.machine import describe_machine
    from runtime.measure.run import measure_all
    from toolkit.results import BenchRow

    opened = [Bundle.open(path) for path in paths]
    openings = {str(path): engine.opening(path) for path in paths}
    with ExitStack() as stack:
        sessions = {str(bundle.path): stack.enter_context(engine.open(bundle)) for bundle in opened}
        images = {str(bundle.path): bundle.probe.images for bundle in opened}
        measured = measure_all(sessions, images, options, make_progress(), openings=openings)
    machine = describe_machine()
    return [
        BenchRow(
            bundle=name,
            model=bundle.spec.name,
            precision=bundle.manifest.precision,
            backend=engine.backend or bundle.manifest.target,
            threads=engine.threads or available_cores(),
            batch=options.batch,
            latency_ms=measured.latencies[name],
            images_per_second=round(1000 * options.batch / measured.latencies[name].p50, 1),
            performance=measured.performances[name],
            conditions=measured.conditions,
            machine=machine,
            gpu=measured.performances[name].gpu,
        )
        for name, bundle in zip(openings, opened, strict=True)
    ]
