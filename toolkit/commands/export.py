"""`toolkit export`: only the ONNX file, at the precision asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.console import points, print_json, print_table, say, size
from toolkit.option_types import FOLDER, MODEL
from toolkit.options import (
    ModelChoice,
    batch_option,
    cache_option,
    calibration_file_option,
    calibration_options,
    model_options,
    output_options,
    pick_precision,
    precision_options,
    refuse_idle,
)
from toolkit.progress import make_progress

if TYPE_CHECKING:
    from calibration.options import CalibrationOptions
    from runtime.manifest import LayerEntry
    from runtime.spec import BatchRange
    from toolkit.model_results import Exported


@click.command()
@click.argument("model", type=MODEL)
@precision_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "triton"]),
    default="onnx",
    show_default=True,
    help="triton: a bundle as a model of NVIDIA's Triton Inference Server; -o names the model repository.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The file, or repository.  [default: MODEL-PRECISION.onnx]"
)
@click.option("--name", help="With --format triton, what the model is called.  [default: the bundle's folder]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@model_options
@click.option(
    "--calib-data", "--data", type=FOLDER, help="Images to check and calibrate with.  [default: the model's own]"
)
@calibration_options
@calibration_file_option
@batch_option
@cache_option
@output_options
def command(
    model: str,
    fp32: bool,
    fp16: bool,
    int8: bool,
    form: str,
    output: Path | None,
    name: str | None,
    force: bool,
    chosen: ModelChoice,
    calib_data: Path | None,
    calib_options: CalibrationOptions,
    calibration: Path | None,
    batch: BatchRange | None,
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Write the ONNX file of MODEL, of the zoo, module:factory or model.onnx, and nothing else.

    Without --fp16 or --int8 it is in float32. The graph takes uint8 images (batch, height, width, channels) and gives
    probabilities. It is held to the original's answers; a float16 or INT8 one is compared with it layer by layer. Its
    metadata say how it takes images, and name its classes: build, calibrate and compare need not be told again.

    With --format triton MODEL is a bundle. Its engine, or its graph where a CPU runs it, becomes a model in a folder of
    models, with batching, labels, and warm-up by the probe's first image.
    """
    if form == "triton":
        export_to_triton(Path(model), output, name, force, as_json)
        return
    if name:
        raise click.UsageError("--name is about --format triton")
    from runtime.backend import installed_backends
    from toolkit.output_file import place_for
    from toolkit.source import SourceRequest, make_source, resolve_model

    progress = make_progress()
    entry = resolve_model(model, chosen, cache_dir, progress)
    precision = pick_precision(fp32, fp16, int8) or "fp32"
    refuse_idle(precision, calib_options, calibration)
    path = output or Path(f"{entry.name}-{precision}.onnx")
    with place_for(path, force=force), tempfile.TemporaryDirectory() as folder:
        wanted = SourceRequest(
            entry,
            calib_options,
            data=calib_data,
            precision=precision,
            calibration=calibration,
            batch=batch,
            targets=installed_backends(),
            cache_dir=cache_dir,
        )
        source = make_source(wanted, progress)
        from export.own_spec import with_own_spec
        from runtime.folder import write_atomically
        from toolkit.graphs import export_fp32, make_graphs

        exported = export_fp32(source, source.samples, Path(folder) / "fp32.onnx", progress)
        graphs = make_graphs(source, exported.path, (precision,), progress)
        graph = graphs.by_precision[precision]
        data = with_own_spec(graph.path, entry.spec)
        write_atomically(path, data)
    from toolkit.model_results import Exported, ExportedLayer

    result = Exported(
        model=entry.name,
        precision=precision,
        file=str(path),
        size_bytes=len(data),
        parity=exported.parity,
        method=graphs.calibration.method if graphs.calibration else None,
        reduced_range=graphs.reduced_range,
        error=graph.error,
        layers=tuple(ExportedLayer(layer.name, layer.asked, layer.reason, layer.sqnr_db) for layer in graph.layers),
        warnings=(*exported.warnings, *graphs.warnings),
    )
    if as_json:
        print_json(result)
    else:
        show(result, graph.layers)


def show(result: Exported, layers: Sequence[LayerEntry]) -> None:
    """The table of layers, and what is to be known of the file."""
    rows = [[layer.name, f"{layer.macs:,}", layer.asked, points(layer.sqnr_db, 1), layer.reason] for layer in layers]
    print_table(f"{result.model}, {result.precision}", ["layer", ">multiply-adds", "type", ">SQNR dB", "why not"], rows)
    for warning in result.warnings:
        say(f"warning: {warning}")
    largest = max(row.max_error for row in result.parity)
    say(f"the FP32 graph's answers differ from the original's by {largest:.1e} at most")
    error = result.error
    if error.logits_sqnr_db is not None:
        say(f"logits: SQNR {error.logits_sqnr_db:.1f} dB on {error.images:,} images, against the FP32 graph")
    if result.reduced_range:
        say("INT8 weights use 7 of their 8 bits, which a CPU engine here needs; --full-range uses all 8")
    say(f"wrote {result.file} ({size(result.size_bytes)})")


TRITON_OPTIONS = frozenset({"model", "form", "output", "name", "force", "as_json", "debug"})


def export_to_triton(path: Path, repository: Path | None, name: str | None, force: bool, as_json: bool) -> None:
    """`--format triton`."""
    from runtime.bundle import Bundle
    from toolkit.results import TritonModel
    from toolkit.triton import server_command, write_model

    context = click.get_current_context()
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in TRITON_OPTIONS
        and context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{given[0]} is about making a graph; --format triton takes a bundle as it is")
    if repository is None:
        raise click.UsageError("--format triton needs a model repository: name the folder with -o")
    opened = Bundle.open(path)
    folder = write_model(opened, repository, name, force=force)
    if as_json:
        print_json(TritonModel(folder.name, str(folder), opened.manifest.target))
        return
    say(f"wrote {folder}: config.pbtxt, labels.txt, 1, warmup")
    say(f"next:  {server_command(opened, repository)}")
