"""The values of `toolkit build`'s command line, resolved to what the pipeline and the rebuild take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit import board
from toolkit.progress import make_progress

if TYPE_CHECKING:
    from calibration.options import CalibrationOptions
    from runtime.backend import EngineOptions
    from runtime.backends.tensorrt.options import TensorRtOptions
    from runtime.bundle import Bundle
    from runtime.spec import BatchRange, Precision
    from toolkit.build_result import BuildResult
    from toolkit.options import ModelChoice


@dataclass(frozen=True)
class Arguments:
    """The command line's values, by the names of its options."""

    model: str
    precision: Precision | None
    target: str
    output: Path | None
    force: bool
    chosen: ModelChoice
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
    from toolkit.source import (
        SourceRequest,
        make_source,
        open_eval_data,
        require_apart,
        require_two_sets,
        resolve_model,
    )

    progress = TimedProgress(make_progress())
    model = resolve_model(arguments.model, arguments.chosen, arguments.cache_dir, progress)
    click.echo(f"building {model.name} of {model.origin}", err=True)
    output = arguments.output_for(model.name, arguments.precision)
    refuse_existing(output, arguments.force)
    targets = arguments.targets(arguments.precision)
    if arguments.data:
        require_two_sets(arguments.data)
    eval_data = open_eval_data(model, arguments.data or arguments.eval_data)
    wanted = SourceRequest(
        model,
        arguments.calib_options,
        data=arguments.data or arguments.calib_data,
        precision=arguments.precision,
        calibration=arguments.calibration,
        max_drop=arguments.max_drop,
        batch=arguments.batch,
        targets=targets,
        cache_dir=arguments.cache_dir,
    )
    source = make_source(wanted, progress)
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

    chosen = arguments.chosen
    of_models = {
        "--set": chosen.settings or None,
        "--weights": chosen.weights,
        "--random-weights": chosen.random_weights or None,
        "--data": arguments.data,
        "--calib-data": arguments.calib_data,
        "--calibration": arguments.calibration,
        "--max-drop": arguments.max_drop,
    }
    given = [flag for flag, value in of_models.items() if value is not None]
    for flag in (*given, *arguments.calib_options.differs()):
        raise click.UsageError(f"{flag} does not go with a bundle: its graph is finished. Build from the model instead")
    refuse_told(chosen.told, "a bundle")
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
