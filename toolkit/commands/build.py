"""`toolkit build`: a dispatcher to the pipeline (a model comes in) or to the rebuild (a bundle comes in)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit import board
from toolkit.console import make_progress, print_json
from toolkit.figures import BUILD_FIGURES, build_figures
from toolkit.gate_option import gate_option, tell_gates
from toolkit.gates import MISSED, Gate, judge
from toolkit.options import (
    BACKEND_NAMES,
    FOLDER,
    MODEL,
    FiniteRange,
    batch_option,
    cache_option,
    calibration_file_option,
    calibration_options,
    device_option,
    output_options,
    pick_precision,
    precision_options,
    refuse_idle,
    tensorrt_options,
    threads_option,
    told_options,
    weights_options,
)
from toolkit.remote.options import remote_options

if TYPE_CHECKING:
    from calibration.options import CalibrationOptions
    from runtime.backend import EngineOptions
    from runtime.backends.tensorrt.options import TensorRtOptions
    from runtime.bundle import Bundle
    from runtime.spec import BatchRange, Precision
    from toolkit.foreign.spec import Told
    from toolkit.outcome import BuildResult
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
@weights_options
@told_options
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
        from toolkit.outcome import show

        show(result)
    missed = result.budget is not None and not result.budget.budget.met
    return tell_gates(judged) or (MISSED if missed else 0)


@dataclass(frozen=True)
class Arguments:
    """The command line's values, by the names of its options."""

    model: str
    precision: Precision | None
    target: str
    output: Path | None
    force: bool
    settings: dict[str, str]
    weights: str | None
    random_weights: bool
    told: Told
    data: Path | None
    calib_data: Path | None
    eval_data: Path | None
    calib_options: CalibrationOptions
    calibration: Path | None
    max_drop: float | None
    batch: BatchRange | None
    device: str | None
    threads: int | None
    cache_dir: Path | None
    tensorrt: TensorRtOptions

    def output_for(self, model: str, precision: Precision | None) -> Path:
        """The folder that was named, or MODEL-PRECISION, with -TARGET where one was named."""
        suffix = "" if self.target == "auto" else f"-{self.target}"
        return self.output or Path(f"{model}-{precision or 'auto'}{suffix}")

    def engine_options(self, precision: Precision, batch: BatchRange, reduced_range: bool = False) -> EngineOptions:
        from runtime.backend import EngineOptions, available_cores
        from runtime.cache import cache_folder

        threads = self.threads or available_cores()
        cache = cache_folder(self.cache_dir)
        trust = True  # of what this builds itself
        return EngineOptions(precision, batch, self.device, threads, cache, reduced_range, self.tensorrt, trust)

    def targets(self, precision: Precision | None) -> list[str]:
        """The backends to build for, all of which take the options that were given."""
        from runtime.backend import get_backend
        from runtime.race import require_race, resolve_targets
        from runtime.spec import BatchRange

        targets = resolve_targets(self.target, self.device)
        require_race(targets, precision)
        for target in targets:
            get_backend(target).refuse(self.engine_options(precision or "fp32", self.batch or BatchRange()))
        return targets


def build_from_model(arguments: Arguments) -> BuildResult:
    """Resolve names and folders to what the pipeline takes."""
    from runtime.progress import TimedProgress
    from toolkit.source import make_source, open_eval_data, require_apart, require_two_sets, resolve_model

    progress = TimedProgress(make_progress())
    model = resolve_model(
        arguments.model,
        arguments.settings,
        arguments.weights,
        arguments.random_weights,
        arguments.told,
        arguments.cache_dir,
        progress,
    )
    click.echo(f"building {model.name} of {model.origin}", err=True)
    output = arguments.output_for(model.name, arguments.precision)
    refuse_existing(output, arguments.force)
    targets = arguments.targets(arguments.precision)
    if arguments.data:
        require_two_sets(arguments.data)
    eval_data = open_eval_data(model, arguments.data or arguments.eval_data)
    source = make_source(
        model,
        arguments.data or arguments.calib_data,
        arguments.calib_options,
        arguments.precision,
        arguments.batch,
        targets,
        arguments.cache_dir,
        progress,
        arguments.calibration,
        arguments.max_drop,
    )
    require_apart(source.pool, eval_data)
    from toolkit.pipeline import BuildRequest, build

    request = BuildRequest(
        source=source,
        precision=arguments.precision,
        target=arguments.target,
        output=output,
        force=arguments.force,
        eval_data=eval_data,
        options=arguments.engine_options(arguments.precision or "fp32", source.batch),
    )
    return build(request, progress)


def open_source(arguments: Arguments) -> Bundle:
    """The bundle to build from, with nothing asked of it that its graph would have to be made anew for."""
    from runtime.bundle import Bundle
    from toolkit.foreign.spec import refuse_told

    foreign = ("settings", "weights", "random_weights", "data", "calib_data", "calibration", "max_drop")
    given = [option for option in foreign if getattr(arguments, option) not in (None, False, {})]
    flags = ["--set" if option == "settings" else "--" + option.replace("_", "-") for option in given]
    for flag in (*flags, *arguments.calib_options.differs()):
        raise click.UsageError(f"{flag} does not go with a bundle: its graph is finished. Build from the model instead")
    refuse_told(arguments.told, "a bundle")
    source = Bundle.open(arguments.model)
    if arguments.precision not in (None, source.manifest.precision):
        raise click.UsageError(
            f"{arguments.model} holds an {source.manifest.precision} graph; build {arguments.precision} from the model"
        )
    return source


def build_from_bundle(arguments: Arguments) -> BuildResult:
    """Resolve a bundle to what the rebuild takes."""
    from runtime.datasets import open_dataset
    from runtime.errors import DataError
    from runtime.evaluate import require_classes
    from runtime.progress import TimedProgress
    from toolkit.rebuild import RebuildRequest, rebuild

    source = open_source(arguments)
    precision = source.manifest.precision
    output = arguments.output_for(source.spec.name, precision)
    refuse_existing(output, arguments.force)
    arguments.targets(precision)
    labels = source.spec.labels
    eval_data = open_dataset(arguments.eval_data, "test", labels) if arguments.eval_data else None
    if eval_data is not None and eval_data.labels is None:
        raise DataError(
            f"the {len(eval_data):,} images of {arguments.eval_data} have no labels, and a bundle holds no FP32 graph "
            "to compare with",
            "give labelled images: IDX files with their labels, or a subfolder for each class",
        )
    if eval_data is not None:
        require_classes(eval_data, source.spec)
    request = RebuildRequest(
        source=source,
        target=arguments.target,
        output=output,
        force=arguments.force,
        eval_data=eval_data,
        options=arguments.engine_options(
            precision, arguments.batch or source.manifest.batch, source.manifest.reduced_range
        ),
    )
    return rebuild(request, TimedProgress(make_progress()))


def refuse_existing(output: Path, force: bool) -> None:
    """Say so before the work and before PyTorch is imported; the draft checks again, under its lock."""
    from runtime.folder import taken

    if output.exists() and not force:
        raise taken(output)
    board.writes(output)
