"""`toolkit inspect`: what a bundle says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import structs

from runtime.text import counted
from toolkit.console import milliseconds, points, print_json, print_table, say, size
from toolkit.options import bundle_argument, output_options

SNIFFED = 64  # bytes, which JSON has begun in

if TYPE_CHECKING:
    from runtime.bundle import Bundle


@click.command()
@bundle_argument
@click.option(
    "--histogram",
    "tensor",
    metavar="TENSOR",
    help="Draw what calibration saw of an activation, and where each method would clip it; `all` draws every one. "
    "BUNDLE may be a calibration.json, too.",
)
@output_options
def command(bundle: Path, tensor: str | None, as_json: bool) -> None:
    """Show what BUNDLE says of itself: model, precision layer by layer, accuracy, latency, files.

    Every file is verified first. With --json the manifest is printed, with the labels in its spec.
    """
    if tensor is not None or bundle.is_file():
        if as_json:
            raise click.UsageError("--json does not go with a histogram: calibration.json is JSON itself")
        show_calibration(bundle, tensor)
        return
    from runtime.bundle import Bundle

    opened = Bundle.open(bundle)
    if as_json:
        print_json(structs.replace(opened.manifest, spec=opened.spec))
    else:
        show(opened)


def show_calibration(path: Path, tensor: str | None) -> None:
    """The histograms that were asked for, or all there is in a calibration.json.

    Raises:
        DataError: there is none, or it has no such tensor.
    """
    from calibration.record import read_calibration
    from runtime.bundle import CALIBRATION, Bundle
    from runtime.errors import DataError
    from toolkit.histogram import draw

    if path.is_file():
        with path.open("rb") as file:
            if not file.read(SNIFFED).lstrip().startswith(b"{"):
                raise DataError(
                    f"{path} is neither a bundle nor a calibration.json",
                    "toolkit summary shows the layers of an ONNX file or a module; build and compare take both",
                )
    else:
        files = Bundle.open(path).manifest.files
        path = path / CALIBRATION
        if CALIBRATION not in files:
            raise DataError(f"{path.parent} was not calibrated", "build it with --int8")
    calibration = read_calibration(path)
    if tensor not in (None, "all", *calibration.tensors):
        raise DataError(f"{path} has no tensor {tensor}", f"give one of {', '.join(calibration.tensors)}, or all")
    for name, found in calibration.tensors.items():
        if tensor in (None, "all", name):
            draw(name, found)


def show(bundle: Bundle) -> None:
    """Three tables: facts, layers, files."""
    manifest, spec = bundle.manifest, bundle.spec
    height, width, channels = spec.image_shape
    steps = ", ".join(type(step).__name__ for step in spec.preprocess.steps) or "none"
    accuracy, latency = manifest.accuracy, manifest.latency_ms
    distance, error = manifest.probe.distance, manifest.error
    reduced = ", INT8 weights of 7 bits" if manifest.reduced_range else ""
    probe = manifest.probe.reason if distance is None else f"distance {distance:.2g}, limit {manifest.probe.limit:g}"
    facts = [
        ["model", f"{spec.name}: {height}x{width}x{channels} {spec.preprocess.color} in, {spec.classes} classes out"],
        ["preprocessing", f"{steps}; mean {list(spec.preprocess.mean)}, std {list(spec.preprocess.std)}"],
        ["graph", f"{manifest.precision}, batch {manifest.batch}{reduced}"],
        ["target", f"{manifest.target} {manifest.backend_version}, {counted(manifest.threads, 'thread')}"],
        *([["built for", built_for(manifest.fingerprint)]] if manifest.fingerprint else []),
        ["written by", f"toolkit {manifest.toolkit_version}"],
        ["probe", probe],
    ]
    if error.logits_sqnr_db is not None:
        facts.append(["error", f"SQNR of the logits {error.logits_sqnr_db:.1f} dB on {error.images:,} images"])
    if accuracy:
        facts.append(
            [
                "accuracy",
                f"top-1 {points(accuracy.top1)} %, FP32 {points(accuracy.top1_fp32)} %, agreement "
                f"{points(accuracy.agreement)} % on {accuracy.images:,} images, measured with {accuracy.measured_with}",
            ]
        )
    else:
        facts.append(["accuracy", f"not measured: {manifest.accuracy_reason}"])
    if latency:
        values = ", ".join(
            f"{name} {milliseconds(value)} ms"
            for name, value in (("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99))
        )
        facts.append(["latency", f"{values} at batch {manifest.batch.best}, when it was built"])
    else:
        facts.append(["latency", f"not measured: {manifest.latency_reason}"])
    print_table(str(bundle.path), ["", ""], facts)
    layers = [
        [layer.name, f"{layer.macs:,}", layer.asked, layer.reached, points(layer.sqnr_db, 1), layer.reason]
        for layer in manifest.layers
    ]
    print_table("layers", ["layer", ">multiply-adds", "asked", "executed", ">SQNR dB", "why not"], layers)
    files = [[name, size(entry.size), entry.sha256[:16]] for name, entry in sorted(manifest.files.items())]
    print_table("files", ["file", ">size", "sha256"], files)
    say("every file is as it was built")


def built_for(fingerprint: dict[str, str]) -> str:
    """Where a plan may run, for people."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fingerprint.items())
