"""`toolkit bench`: the latency of bundles, measured in turns."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from toolkit.console import make_progress, milliseconds, print_json, print_table
from toolkit.options import FiniteRange, engine_options, output_options


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
@output_options
def command(
    bundles: tuple[Path, ...],
    batch: int,
    seconds: float,
    backend: str | None,
    device: str | None,
    threads: int | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Measure the latency of BUNDLES side by side, in turns, so that a machine that drifts favours none.

    A call goes from images in memory to probabilities in memory. Compare figures of one run only.
    """
    import numpy as np

    from runtime import open_session
    from runtime.backend import available_cores
    from runtime.bundle import Bundle
    from runtime.errors import DataError
    from runtime.latency import measure
    from toolkit.results import BenchRow

    opened = [Bundle.open(path) for path in dict.fromkeys(bundles)]
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
                open_session(bundle, backend=backend, device=device, threads=threads, cache_dir=cache_dir)
            )
            for bundle in opened
        }
        latencies = measure(sessions, images, make_progress(), seconds=seconds)
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
        )
        for bundle in opened
    ]
    if as_json:
        print_json(results)
        return
    fastest = min(latency.p50 for latency in latencies.values())
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
    print_table(f"batch {batch}, {results[0].threads} threads", columns, rows)
