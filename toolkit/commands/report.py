"""`toolkit report`: what bundles cost and what they keep, measured side by side, for people and for gates."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from toolkit.console import print_json
from toolkit.figures import TIME_RATIO
from toolkit.gate_option import gate_option, tell_gates
from toolkit.gates import Gate
from toolkit.measure_options import AUTO, batch_option, cold_option, make_options, pace_option, seconds_option
from toolkit.option_types import FILE, FOLDER, FiniteRange
from toolkit.options import EngineChoice, as_one, engine_options, output_options
from toolkit.progress import make_progress
from toolkit.remote.options import forwarded, remote_options
from toolkit.report.figures import REPORT_FIGURES

if TYPE_CHECKING:
    from runtime.measure.run import MeasureOptions
    from toolkit.remote.session import Remote

PACE = 30.0  # frames a second, unless others are asked for
BUDGET = ("max_drop", "max_p99_ms", "min_throughput", "max_size_mib")
HERE = (*BUDGET, "data", "reference", "junit", "against")  # what --on does not pass on


def pick_gates(
    max_drop: float | None,
    max_p99_ms: float | None,
    min_throughput: float | None,
    max_size_mib: float | None,
    gates: tuple[Gate, ...],
) -> tuple[Gate, ...]:
    """Those with options of their own, and the others."""
    named = (
        Gate("drop_points", "<=", max_drop) if max_drop is not None else None,
        Gate("p99_ms", "<=", max_p99_ms) if max_p99_ms is not None else None,
        Gate("images_per_second", ">=", min_throughput) if min_throughput is not None else None,
        Gate("size_mib", "<=", max_size_mib) if max_size_mib is not None else None,
    )
    return (*filter(None, named), *gates)


gate_options = as_one(
    "gates",
    pick_gates,
    click.option(
        "--max-drop",
        type=FiniteRange(-100, 100),
        metavar="POINTS",
        help="The most accuracy that may be lost: a gate.",
    ),
    click.option("--max-p99-ms", type=FiniteRange(min=0), metavar="MS", help="The longest p99 of a call: a gate."),
    click.option("--min-throughput", type=FiniteRange(min=0), metavar="N", help="The fewest images a second: a gate."),
    click.option("--max-size-mib", type=FiniteRange(min=0), metavar="MIB", help="The largest graph and plan: a gate."),
    gate_option(REPORT_FIGURES),
)


def pick_measures(
    batch: int, seconds: float, paces: tuple[float, ...], cold_starts: int, quick: bool
) -> MeasureOptions:
    """What is timed."""
    if quick:
        asked = click.get_current_context().get_parameter_source("cold_starts") is not ParameterSource.DEFAULT
        return make_options(batch, seconds, (), paces, cold_starts if asked else 0, energy=False)
    return make_options(batch, seconds, AUTO, paces or (PACE,), cold_starts, energy=True)


measure_options = as_one(
    "measure",
    pick_measures,
    batch_option,
    seconds_option(5.0),
    pace_option(f"{PACE:g}"),
    cold_option(5),
    click.option(
        "--quick", is_flag=True, help="Single calls and accuracy alone, but for --pace and --cold where given."
    ),
)


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", type=FOLDER, help="Images, labelled or not: the accuracy is measured on them.")
@click.option(
    "--images", type=click.IntRange(min=1), metavar="N", help="Take N of them, evenly spaced.  [default: all]"
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Compare answers with this one's.  [default: the first of BUNDLES that is FP32]",
)
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    default=Path("report"),
    show_default=True,
    help="The folder for report.html, report.md and report.json.",
)
@click.option("--force", is_flag=True, help="Replace a report that is there.")
@gate_options
@click.option("--junit", type=FILE, help="Write what came of the gates here, as JUnit XML.")
@click.option(
    "--against", type=FILE, metavar="REPORT.JSON", help="Say what got better or worse since an earlier report."
)
@measure_options
@click.option(
    "--collect", "collect_only", is_flag=True, hidden=True, help="Measure, and write no files: what --on runs there."
)
@engine_options
@remote_options
@output_options
def command(
    bundles: tuple[Path, ...],
    data: Path | None,
    images: int | None,
    reference: Path | None,
    output: Path,
    force: bool,
    gates: tuple[Gate, ...],
    junit: Path | None,
    against: Path | None,
    measure: MeasureOptions,
    collect_only: bool,
    engine: EngineChoice,
    remote: Remote | None,
    as_json: bool,
) -> int:
    """Report what BUNDLES cost and what they keep: times, throughput, start-up, memory, energy, accuracy.

    Times are taken in turns, so that a machine that drifts favours none. The report is one page of HTML that needs no
    network and no script, the same as Markdown and as JSON; it says which bundle to take. In a step of GitHub Actions
    a summary goes to the job's page.

    Gates are a budget. The reference is what others are held against, and need not keep them; nor does time_ratio hold
    the bundle that is named first. Where a bundle misses one, the exit code is 3.
    """
    from msgspec import structs

    if junit is not None and not gates:
        raise click.UsageError("--junit says what came of gates: give --max-drop or another one too")
    if (
        any(gate.name == TIME_RATIO for gate in gates)
        and len({path.absolute() for path in (*bundles, reference or bundles[0])}) == 1
    ):
        raise click.UsageError(f"--gate {TIME_RATIO} compares with the bundle named first: name another one too")
    if images is not None and data is None:
        raise click.UsageError("--images takes some of --data: give that, too")
    from toolkit.report.against import compare_reports, read_report
    from toolkit.report.collect import ReportRequest, collect, conclude

    request = ReportRequest(
        bundles=bundles,
        reference=reference,
        data=data,
        images=images,
        engine=engine,
        measure=measure,
        command=shlex.join(["toolkit", *sys.argv[1:]]),
    )
    if collect_only:
        print_json(collect(request, make_progress())[0])
        return 0
    from toolkit.report.write import places_for, write_report

    with places_for(output, junit, force=force):
        earlier = None if against is None else read_report(against)
        if remote:
            from toolkit.remote.report import report_there

            words = forwarded(click.get_current_context(), HERE)
            report, dataset = report_there(remote, request, words, make_progress())
        else:
            report, dataset = collect(request, make_progress())
        report = conclude(report, gates)
        if earlier is not None and against is not None:
            report = structs.replace(report, against=compare_reports(against, earlier, report))
        report = write_report(report, dataset, output, junit)
    if as_json:
        print_json(report)
    else:
        from toolkit.report.show import show

        show(report)
    return max((tell_gates(engine.gates, f"{engine.name}: ") for engine in report.engines), default=0)
