"""`toolkit build`: a dispatcher to the pipeline (a model comes in) or to the rebuild (a bundle comes in)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.console import make_progress, print_json
from toolkit.options import (
    BACKEND_NAMES,
    FILE,
    FOLDER,
    BatchRangeType,
    cache_option,
    device_option,
    output_options,
    threads_option,
)

if TYPE_CHECKING:
    from runtime.backend import EngineOptions
    from runtime.spec import BatchRange, Precision
    from toolkit.outcome import BuildResult

DEFAULT_CALIB_IMAGES = 1024


@click.command()
@click.argument("model")
@click.option("--fp32", "precision", flag_value="fp32", help="A float32 graph.")
@click.option("--int8", "precision", flag_value="int8", help="An INT8 graph, calibrated on images.")
@click.option(
    "--target",
    type=click.Choice(("auto", *BACKEND_NAMES)),
    default="auto",
    show_default=True,
    help="What to build for; auto races all that run here.",
)
@click.option("-o", "--output", type=FOLDER, help="The bundle's folder.  [default: MODEL-PRECISION[-TARGET]]")
@click.option("--force", is_flag=True, help="Replace a bundle that is there.")
@click.option("--weights", type=FILE, help="A safetensors file.  [default: the model's own]")
@click.option("--data", type=FOLDER, help="Images to calibrate and to evaluate with: a folder with both halves.")
@click.option("--calib-data", type=FOLDER, help="Images to calibrate with.  [default: the model's own]")
@click.option("--eval-data", type=FOLDER, help="Images to measure accuracy on.  [default: the model's own]")
@click.option(
    "--calib-images",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Take N images to calibrate with, evenly spaced.  [default: {DEFAULT_CALIB_IMAGES}]",
)
@click.option("--batch", type=BatchRangeType(), help="Batch sizes to serve.  [default: 1:1:32]")
@device_option
@threads_option
@cache_option
@output_options
def command(as_json: bool, **values: Any) -> None:
    """Turn MODEL into a checked, calibrated bundle.

    MODEL is a model of the zoo (lenet), or a bundle, which is built again for this machine without PyTorch or ONNX.

    Prints how FP32 and the precision asked for compare here in size, accuracy and latency, and which target won.
    """
    from runtime.bundle import is_bundle

    arguments = Arguments(**values)
    if arguments.data and (arguments.calib_data or arguments.eval_data):
        raise click.UsageError("--data names both sets: give it alone, or --calib-data and --eval-data")
    if is_bundle(Path(arguments.model)):
        click.echo(f"building from the bundle {arguments.model}", err=True)
        result = build_from_bundle(arguments)
    else:
        result = build_from_model(arguments)
    if as_json:
        print_json(result)
    else:
        from toolkit.outcome import show

        show(result)


@dataclass(frozen=True)
class Arguments:
    """The command line's values, by the names of its options."""

    model: str
    precision: Precision | None
    target: str
    output: Path | None
    force: bool
    weights: Path | None
    data: Path | None
    calib_data: Path | None
    eval_data: Path | None
    calib_images: int | None
    batch: BatchRange | None
    device: str | None
    threads: int | None
    cache_dir: Path | None

    def output_for(self, model: str, precision: str) -> Path:
        """The folder that was named, or MODEL-PRECISION, with -TARGET where one was named."""
        suffix = "" if self.target == "auto" else f"-{self.target}"
        return self.output or Path(f"{model}-{precision}{suffix}")

    def engine_options(self, precision: Precision, batch: BatchRange) -> EngineOptions:
        from runtime.backend import EngineOptions, available_cores

        return EngineOptions(precision, batch, self.device, self.threads or available_cores(), self.cache_dir)


def build_from_model(arguments: Arguments) -> BuildResult:
    """Resolve names and folders to what the pipeline takes."""
    from runtime.spec import BatchRange
    from toolkit.zoo import get_zoo_model

    model = get_zoo_model(arguments.model)
    if arguments.precision is None:
        raise click.UsageError("say which graph to build: --int8 or --fp32")
    click.echo(f"building {model.name} of the zoo", err=True)
    output = arguments.output_for(model.name, arguments.precision)
    refuse_existing(output, arguments.force)
    batch = arguments.batch or BatchRange()
    calib_folder = arguments.data or arguments.calib_data or model.data
    eval_folder = arguments.data or arguments.eval_data or model.data
    if calib_folder is None:
        raise click.UsageError(f"{model.name} brings no images: give --calib-data FOLDER")

    from runtime.datasets import has_both_splits, open_dataset
    from runtime.errors import DataError

    if arguments.data and not has_both_splits(arguments.data):
        raise DataError(
            f"{arguments.data} does not hold two sets of images",
            "--data needs train and t10k IDX files, or folders train and val; or give --calib-data and --eval-data",
        )
    progress = make_progress()
    with progress.stage("load PyTorch"):
        from toolkit.pipeline import BuildRequest, build

    labels = model.spec.labels
    request = BuildRequest(
        model=model,
        weights=arguments.weights,
        precision=arguments.precision,
        target=arguments.target,
        output=output,
        force=arguments.force,
        calib_data=open_dataset(calib_folder, "train", labels),
        eval_data=open_dataset(eval_folder, "test", labels) if eval_folder else None,
        calib_images=arguments.calib_images or DEFAULT_CALIB_IMAGES,
        batch=batch,
        options=arguments.engine_options(arguments.precision, batch),
    )
    return build(request, progress)


def build_from_bundle(arguments: Arguments) -> BuildResult:
    """Resolve a bundle to what the rebuild takes."""
    from runtime.bundle import Bundle
    from runtime.datasets import open_dataset
    from toolkit.rebuild import RebuildRequest, rebuild

    for option in ("weights", "data", "calib_data", "calib_images"):
        if getattr(arguments, option) is not None:
            flag = "--" + option.replace("_", "-")
            raise click.UsageError(
                f"{flag} does not go with a bundle: its graph is finished. Build from the model instead"
            )
    source = Bundle.open(arguments.model)
    precision = source.manifest.precision
    if arguments.precision not in (None, precision):
        raise click.UsageError(
            f"{arguments.model} holds an {precision} graph; build {arguments.precision} from the model"
        )
    output = arguments.output_for(source.spec.name, precision)
    refuse_existing(output, arguments.force)
    labels = source.spec.labels
    request = RebuildRequest(
        source=source,
        target=arguments.target,
        output=output,
        force=arguments.force,
        eval_data=open_dataset(arguments.eval_data, "test", labels) if arguments.eval_data else None,
        options=arguments.engine_options(precision, arguments.batch or source.manifest.batch),
    )
    return rebuild(request, make_progress())


def refuse_existing(output: Path, force: bool) -> None:
    """Say so before the work and before PyTorch is imported; the draft checks again, under its lock."""
    from runtime.folder import taken

    if output.exists() and not force:
        raise taken(output)
