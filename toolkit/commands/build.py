"""`toolkit build`: a dispatcher to the pipeline (a model comes in) or to the rebuild (a bundle comes in)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.console import print_json
from toolkit.figures import BUILD_FIGURES, build_figures
from toolkit.gate_option import gate_option, tell_gates
from toolkit.gates import MISSED, Gate, judge
from toolkit.option_types import FOLDER, MODEL, FiniteRange
from toolkit.options import (
    BACKEND_NAMES,
    batch_option,
    cache_option,
    calibration_file_option,
    calibration_options,
    device_option,
    model_options,
    output_options,
    pick_precision,
    precision_options,
    refuse_idle,
    tensorrt_options,
    threads_option,
)
from toolkit.progress import make_progress
from toolkit.remote.options import remote_options

if TYPE_CHECKING:
    from toolkit.remote.session import Remote


@click.command()
@click.argument("model", type=MODEL)
@precision_options
@click.option(
    "--target",
    type=click.Choice(("auto", *BACKEND_NAMES)),
    default="auto",
    show_default=True,
    help="What to build for; auto races all that run here.",
)
@click.option("-o", "--output", type=FOLDER, help="The bundle's folder.  [default: MODEL-PRECISION[-TARGET]]")
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
@model_options
@click.option("--data", type=FOLDER, help="Images to calibrate and to evaluate with: a folder with both halves.")
@click.option("--calib-data", type=FOLDER, help="Images to calibrate with.  [default: the model's own]")
@click.option("--eval-data", type=FOLDER, help="Images to measure accuracy on.  [default: the model's own]")
@calibration_options
@calibration_file_option
@click.option(
    "--max-drop",
    type=FiniteRange(0, 100),
    metavar="POINTS",
    help="With --int8: give layers back to float until top-1 drops by no more than this on images held out of the "
    "calibration set, or until no more than this percentage changes its class where there are no labels. Exit with 3 "
    "where that cannot be.",
)
@batch_option
@device_option
@threads_option
@cache_option
@tensorrt_options
@remote_options
@gate_option(BUILD_FIGURES)
@output_options
def command(
    as_json: bool, fp32: bool, fp16: bool, int8: bool, gates: tuple[Gate, ...], remote: Remote | None, **values: Any
) -> int:
    """Turn MODEL into a checked, calibrated bundle.

    MODEL is a model of the zoo (lenet), a PyTorch module of yours (package.module:factory, with --input-size), an ONNX
    file (model.onnx), or a bundle, which is built again for this machine without PyTorch or ONNX.

    Without --fp32, --fp16 or --int8, precisions race too: the fastest wins that loses at most 0.1 points against FP32
    on calibration images that were held out. Its bundle is MODEL-auto.

    Prints how they compare here in size, accuracy and latency, and which won.

    With --gate the exit code is 3 where a figure of the bundle misses its limit, or was not measured; the bundle is
    written all the same. Percentages are in 0..100, macs_share in 0..1. speedup is the time of the fastest FP32 graph
    of the race over that of the bundle: on machines that others share, a better gate than milliseconds.

    With --on, the graph is made here, and a machine that ssh reaches builds its engine, verifies and times it.
    """
    from msgspec.structs import replace

    from runtime.bundle import is_bundle
    from toolkit.build_arguments import Arguments, build_from_bundle, build_from_model

    arguments = Arguments(precision=pick_precision(fp32, fp16, int8), **values)
    if arguments.data and (arguments.calib_data or arguments.eval_data):
        raise click.UsageError("--data names both sets: give it alone, or --calib-data and --eval-data")
    refuse_idle(arguments.precision, arguments.calib_options, arguments.calibration)
    if arguments.max_drop is not None and not int8:
        raise click.UsageError("--max-drop says what INT8 may lose: give --int8 too")
    if remote:
        from toolkit.build_on import build_on

        result = build_on(remote, arguments, make_progress())
    elif is_bundle(Path(arguments.model)):
        click.echo(f"building from the bundle {arguments.model}", err=True)
        result = build_from_bundle(arguments)
    else:
        result = build_from_model(arguments)
    judged = judge(gates, build_figures(result))
    if as_json:
        print_json(replace(result, gates=judged))
    else:
        from toolkit.build_tables import show

        show(result)
    missed = result.budget is not None and not result.budget.budget.met
    return tell_gates(judged) or (MISSED if missed else 0)
