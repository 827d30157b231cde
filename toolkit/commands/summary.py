"""`toolkit summary`: the layers of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.text import by
from toolkit import board
from toolkit.console import print_json, print_table, say, size
from toolkit.option_types import MODEL
from toolkit.options import output_options, set_option, told_options

if TYPE_CHECKING:
    from toolkit.foreign.spec import Told
    from toolkit.summary import Layer, Summary


@click.command()
@click.argument("model", type=MODEL)
@set_option
@told_options
@output_options
def command(model: str, settings: dict[str, str], told: Told, as_json: bool) -> None:
    """Show the layers of MODEL: shapes, parameters, multiply-accumulates, memory.

    MODEL is one of the zoo, such as lenet, or package.module:factory, with --input-size.

    Every figure is for one image. A parameter that several layers share is counted once.
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
        raise ModelError(
            f"{model} is an ONNX file, and summary reads models of PyTorch",
            "give one of the zoo or package.module:factory; toolkit build and compare take ONNX files",
        )
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


def cells(layer: Layer) -> list[str]:
    """A row."""
    counts = (f"{layer.neurons:,}", f"{layer.parameters:,}", count(layer.macs), size(layer.activation_bytes))
    return [layer.name, layer.operation, by(layer.output), *counts]


def count(number: int) -> str:
    """Exact below a million, else in millions."""
    return f"{number:,}" if number < 1e6 else f"{number / 1e6:,.1f} M"
