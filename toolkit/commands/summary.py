"""`toolkit summary`: the layers of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.text import by
from toolkit import board
from toolkit.console import print_json, print_table, printable, say, size
from toolkit.option_types import MODEL
from toolkit.options import output_options, set_option, told_options

if TYPE_CHECKING:
    from toolkit.foreign.spec import Told
    from toolkit.onnx_summary import OnnxLayer, OnnxSummary, Sides
    from toolkit.summary import Layer, Summary

BRANCHING = {"If", "Loop", "Scan"}


@click.command()
@click.argument("model", type=MODEL)
@set_option
@told_options
@output_options
def command(model: str, settings: dict[str, str], told: Told, as_json: bool) -> None:
    """Show the layers of MODEL: shapes, parameters, multiply-accumulates, memory.

    MODEL is one of the zoo, such as lenet; package.module:factory, with --input-size; or an ONNX file,
    model.onnx, which is shown as it stands: what it takes and gives, its opset, its nodes.

    Every figure is for one image, or for the batch that an ONNX file fixes. A parameter that several layers share is
    counted once.
    """
    from msgspec.structs import asdict

    from runtime.bundle import is_bundle
    from runtime.errors import ModelError
    from toolkit.foreign.spec import refuse_told, refuse_untold
    from toolkit.zoo import get_zoo_model

    if is_bundle(Path(model)):
        raise ModelError(
            f"{model} is a bundle, and summary reads the models that bundles are built from",
            f"toolkit inspect {model} shows its layers",
        )
    if model.endswith(".onnx"):
        if settings or told.flags:
            flag = "--set" if settings else told.flags[0]
            raise click.UsageError(f"{flag} does not go with an ONNX file, which is shown as it stands")
        found = read_file(Path(model))
        print_json(found) if as_json else show_file(found)
        return
    if ":" in model:
        refuse_untold(told)
        from toolkit.foreign.module import open_module

        with board.saying("about", model):
            foreign = open_module(model, settings, None, True, told)
        name, spec, module = foreign.name, foreign.spec, foreign.module
        options: dict[str, Any] = dict(settings)
    else:
        refuse_told(told, f"{model} of the zoo")
        entry = get_zoo_model(model).with_options(settings)
        name, spec, module, options = entry.name, entry.spec, entry.make(), asdict(entry.options)
    height, width, channels = spec.image_shape

    from toolkit.summary import summarize

    summary = summarize(module, (channels, height, width), name)
    if as_json:
        print_json(replace(summary, options=options))
        return
    show(summary)
    if ":" not in model:
        say(f"options, for --set: {entry.describe()}")


def show(summary: Summary) -> None:
    """The table of layers with the totals below, and a line for each thing that it cannot say."""
    rows = [cells(layer) for layer in summary.layers]
    totals = (f"{summary.parameters:,}", count(summary.macs), size(summary.activation_bytes))
    rows.append(["total", "", "", "", *totals])
    columns = ["layer", "operation", ">output", ">neurons", ">parameters", ">MACs", ">memory"]
    print_table(f"{summary.model}, one image {by(summary.input)}", columns, rows, bold=len(rows) - 1)
    kinds = ", ".join(f"{size(taken)} in {kind}" for kind, taken in summary.weight_bytes.items())
    say(f"weights: {kinds}")
    say("MACs are multiply-accumulates of convolutions and matrix products")
    say("memory is that of the output in fp32, 0 where it lies in that of the input")
    for layer in summary.layers:
        if layer.shared_with:
            say(f"{layer.name} shares parameters with {layer.shared_with}: they are counted there")
    unused = summary.parameters - sum(layer.parameters for layer in summary.layers)
    if unused:
        say(f"no layer uses {unused:,} of the parameters")


def read_file(path: Path) -> OnnxSummary:
    """What is in an ONNX file, read within limits of time and memory."""
    from export.onnx_source import bytes_on_disk
    from toolkit.guard import guard
    from toolkit.onnx_summary import summarize_onnx

    with guard(str(path), bytes_on_disk(path)):
        return summarize_onnx(path)


def show_file(summary: OnnxSummary) -> None:
    """What an ONNX file takes and gives, the table of its layers, and a line for each thing that needs a word."""
    from msgspec import convert

    from runtime.spec import ModelSpec

    ends = [(kind, value) for kind in ("input", "output") for value in getattr(summary, f"{kind}s")]
    rows = [[kind, value.name, value.type or "?", sides(value.shape)] for kind, value in ends]
    print_table(summary.model, ["", "name", "type", "shape"], rows)
    rows = [file_cells(layer) for layer in summary.layers]
    rows.append(["total", "", "", "", f"{summary.parameters:,}", count(summary.macs)])
    columns = ["layer", "operation", ">output", "type", ">parameters", ">MACs"]
    print_table("layers", columns, rows, bold=len(rows) - 1)
    opsets = ", ".join(f"{domain} {version}" for domain, version in summary.opsets.items())
    producer = f"; written by {summary.producer}" if summary.producer else ""
    say(printable(f"opset: {opsets}; IR version {summary.ir_version}{producer}"))
    say(printable("nodes: " + ", ".join(f"{number} {kind}" for kind, number in summary.nodes.items())))
    kinds = ", ".join(f"{size(taken)} in {kind}" for kind, taken in summary.weight_bytes.items())
    say(f"weights: {kinds or 'none'}")
    if summary.spec:
        spec = convert(summary.spec, ModelSpec)
        kind = f"{by(spec.image_shape)} in {spec.preprocess.color}, {spec.classes} classes"
        say(f"spec inside: images of {kind}; build, export and compare need not be told")
    say("layers are told for a batch of 1 where it is open")
    say("MACs are multiply-accumulates of convolutions and matrix products")
    if {"QuantizeLinear", "DequantizeLinear"} & {*summary.nodes}:
        say("QuantizeLinear and DequantizeLinear have no lines: the layer behind them has the type and the weight")
    if BRANCHING & {*summary.nodes}:
        say("what is inside of If, Loop and Scan is not told, and its parameters are not counted")
    if summary.macs is None:
        say("- in MACs: a layer that multiplies where that is not counted, or an open size keeps its count open")
    sharing = [layer.name for layer in summary.layers if layer.shared_with]
    if sharing:
        say(printable(f"share parameters with a layer before them, and count them there: {', '.join(sharing)}"))


def file_cells(layer: OnnxLayer) -> list[str]:
    """A row."""
    told = (sides(layer.output), layer.type or "?", f"{layer.parameters:,}", count(layer.macs))
    return [layer.name, layer.operation, *told]


def sides(shape: Sides | None) -> str:
    """`1x6x28x28`, or `batch x 3 x height x ?`."""
    if shape is None:
        return "?"
    if not shape:
        return "scalar"
    apart = "x" if all(isinstance(side, int) for side in shape) else " x "
    return apart.join("?" if side is None else str(side) for side in shape)


def cells(layer: Layer) -> list[str]:
    """A row."""
    counts = (f"{layer.neurons:,}", f"{layer.parameters:,}", count(layer.macs), size(layer.activation_bytes))
    return [layer.name, layer.operation, by(layer.output), *counts]


def count(number: int | None) -> str:
    """Exact below a million, else in millions; `-` where it is not known."""
    if number is None:
        return "-"
    return f"{number:,}" if number < 1e6 else f"{number / 1e6:,.1f} M"
