"""`toolkit calibrate`: only calibration.json."""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.console import print_json, print_table, say
from toolkit.option_types import FILE, FOLDER, MODEL
from toolkit.options import ModelChoice, cache_option, calibration_options, model_options, output_options
from toolkit.progress import make_progress

if TYPE_CHECKING:
    from calibration.options import CalibrationOptions
    from calibration.record import Calibration


class Version(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """MAJOR.MINOR.PATCH."""

    name = "X.Y.Z"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{1,2})", str(value), re.ASCII)
        return tuple(map(int, found.groups())) if found else self.fail(f"'{value}' is not X.Y.Z, such as 10.3.0")


@click.command()
@click.argument("model", type=MODEL)
@click.option("-o", "--output", type=FILE, help="The file.  [default: MODEL-calibration.json]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@model_options
@click.option("--data", "--calib-data", "data", type=FOLDER, help="The images.  [default: the model's own]")
@calibration_options
@click.option(
    "--trt-cache",
    type=FILE,
    help="Write a calibration cache of TensorRT's as well, with these scales and those of all other activations, for "
    "trtexec --calib and DLA; it goes with the graph of `toolkit export MODEL --fp32`.",
)
@click.option(
    "--trt-version",
    type=Version(),
    default="10.3.0",
    show_default=True,
    help="The TensorRT that will read that cache: it skips those of others.",
)
@cache_option
@output_options
def command(
    model: str,
    output: Path | None,
    force: bool,
    chosen: ModelChoice,
    data: Path | None,
    calib_options: CalibrationOptions,
    trt_cache: Path | None,
    trt_version: tuple[int, int, int],
    cache_dir: Path | None,
    as_json: bool,
) -> None:
    """Write the INT8 thresholds of MODEL (of the zoo, module:factory or model.onnx) as calibration.json.

    Three quarters of the images give histograms; the other quarter judges the methods. Where --data holds two sets, the
    training half is taken. Labels are not needed.
    """
    from runtime.backend import installed_backends
    from toolkit.output_file import place_for
    from toolkit.source import SourceRequest, make_source, resolve_model

    progress = make_progress()
    entry = resolve_model(model, chosen, cache_dir, progress)
    path = output or Path(f"{entry.name}-calibration.json")
    with ExitStack() as stack:
        for place, option in ((path, "-o"), (trt_cache, "--trt-cache")):
            if place:
                stack.enter_context(place_for(place, force=force, option=option))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        wanted = SourceRequest(
            entry, calib_options, data=data, precision="int8", targets=installed_backends(), cache_dir=cache_dir
        )
        source = make_source(wanted, progress)
        from calibration.record import write_calibration
        from calibration.trt_cache import every_scale
        from calibration.trt_cache import trt_cache as trt_cache_of
        from runtime.folder import write_atomically
        from toolkit.graphs import calibrate_graph, calibration_request, export_fp32

        exported = export_fp32(source, source.samples, Path(folder) / "fp32.onnx", progress)
        calibration = calibrate_graph(source, exported.path, progress)
        cache = b""
        if trt_cache:
            scales = every_scale(calibration_request(source, exported.path), calibration, progress)
            cache = trt_cache_of(scales, trt_version)
        write_calibration(path, calibration)
        if trt_cache:
            write_atomically(trt_cache, cache)
    if as_json:
        from toolkit.model_results import Calibrated

        print_json(Calibrated(entry.name, str(path), calibration))
        return
    show(entry.name, calibration)
    say(f"wrote {path}" + (f" and {trt_cache}" if trt_cache else ""))


def show(model: str, calibration: Calibration) -> None:
    """The thresholds, and how they came about."""
    rows = [
        [
            name,
            *(f"{value:.4g}" for value in (scale.minimum, scale.maximum, scale.threshold, scale.scale)),
            scale.source,
        ]
        for name, scale in calibration.tensors.items()
    ]
    columns = ["activation", ">minimum", ">maximum", ">threshold", ">scale", "by"]
    print_table(f"{model}, from {calibration.images:,} images", columns, rows)
    if calibration.compared:
        judged = ", ".join(f"{method} {value:.1f} dB" for method, value in sorted(calibration.compared.items()))
        say(f"method: {calibration.method}; mean SQNR of the logits of {calibration.held_out:,} images: {judged}")
