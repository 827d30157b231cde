"""`toolkit bench`: the latency of bundles, measured in turns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.console import make_progress, milliseconds, print_json, print_table, say
from toolkit.figures import BENCH_FIGURES, TIME_RATIO, bench_figures
from toolkit.gate_option import gate_option, tell_gates
from toolkit.gates import Gate, judge
from toolkit.options import FiniteRange, engine_options, output_options

if TYPE_CHECKING:
    from runtime.manifest import GpuTimes
    from toolkit.results import BenchRow


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--batch", type=click.IntRange(1, 65536), default=1, show_default=True, help="Images a call.")
@click.option(
    "--seconds",
    type=FiniteRange(min=0.05),
    default=2.0,
    show_default=True,
    help="How long to measure each bundle, about.",
)
@engine_options
@gate_option(BENCH_FIGURES)
@output_options
def command(
    bundles: tuple[Path, ...],
    batch: int,
    seconds: float,
    backend: str | None,
    device: str | None,
    threads: int | None,
    cache_dir: Path | None,
    trust: bool,
    gates: tuple[Gate, ...],
    as_json: bool,
) -> int:
    """Measure the latency of BUNDLES side by side, in turns, so that a machine that drifts favours none.

    A call goes from images in memory to probabilities in memory. Compare figures of one run only.

    With --gate the exit code is 3 where a bundle misses a limit. time_ratio is the time of a bundle over that of the
    one named first: on machines that others share, a better gate than milliseconds. "time_ratio<=1.1" asks every other
    bundle to take at most a tenth longer than the first.
    """
    import numpy as np
    from msgspec.structs import replace

    from runtime import open_session
    from runtime.backend import available_cores
    from runtime.bundle import Bundle
    from runtime.errors import DataError
    from runtime.latency import measure, measure_parts
    from toolkit.results import BenchRow

    paths = list(dict.fromkeys(bundles))
    if len(paths) == 1 and any(gate.name == TIME_RATIO for gate in gates):
        raise click.UsageError(f"--gate {TIME_RATIO} compares with the bundle named first: name another one too")
    opened = [Bundle.open(path) for path in paths]
    shapes = {bundle.spec.image_shape for bundle in opened}
    if len(shapes) > 1:
        raise DataError(
            f"these bundles take images of different sizes: {' and '.join(map(str, sorted(shapes)))}",
            "bench them one by one",
        )
    images = np.resize(opened[0].probe.images, (batch, *opened[0].spec.image_shape))
    with ExitStack() as stack:
        sessions = {
            str(bundle.path): stack.enter_context(
                open_session(bundle, backend=backend, device=device, threads=threads, cache_dir=cache_dir, trust=trust)
            )
            for bundle in opened
        }
        latencies = measure(sessions, images, make_progress(), seconds=seconds)
        parts = {name: measure_parts(session, images) for name, session in sessions.items()}
    results = [
        BenchRow(
            bundle=str(bundle.path),
            model=bundle.spec.name,
            precision=bundle.manifest.precision,
            backend=backend or bundle.manifest.target,
            threads=threads or available_cores(),
            batch=batch,
            latency_ms=latencies[str(bundle.path)],
            images_per_second=round(1000 * batch / latencies[str(bundle.path)].p50, 1),
            gpu=parts[str(bundle.path)],
        )
        for bundle in opened
    ]
    first, *others = results
    alone = [gate for gate in gates if gate.name != TIME_RATIO]  # the first is what others are compared with
    judged = [judge(alone, bench_figures(first, first))]
    judged += [judge(gates, bench_figures(row, first)) for row in others]
    results = [replace(row, gates=passed) for row, passed in zip(results, judged, strict=True)]
    if as_json:
        print_json(results)
    else:
        show(results)
    return max(tell_gates(row.gates, f"{row.bundle}: ") for row in results)


def show(results: Sequence[BenchRow]) -> None:
    """The table."""
    fastest = min(row.latency_ms.p50 for row in results)
    rows = [
        [
            row.bundle,
            row.precision,
            row.backend,
            milliseconds(row.latency_ms.p50),
            milliseconds(row.latency_ms.p90),
            milliseconds(row.latency_ms.p99),
            f"{row.images_per_second:,.0f}",
            f"{row.latency_ms.p50 / fastest:.2f}x",
        ]
        for row in results
    ]
    columns = ["bundle", "graph", "backend", ">p50 ms", ">p90 ms", ">p99 ms", ">images/s", ">time"]
    print_table(f"batch {results[0].batch}, {results[0].threads} threads", columns, rows)
    on_gpu = [(row.bundle, row.gpu) for row in results if row.gpu]
    if on_gpu:
        show_gpu(on_gpu)


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
