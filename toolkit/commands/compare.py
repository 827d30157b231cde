"""`toolkit compare`: two models layer by layer, and answer by answer."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.console import print_json
from toolkit.figures import COMPARE_FIGURES, compare_figures
from toolkit.gate_option import gate_option, tell_gates
from toolkit.gates import Gate, judge
from toolkit.option_types import FILE, FOLDER, MODEL, WeightsType
from toolkit.options import EngineChoice, engine_options, output_options, set_option, told_options
from toolkit.progress import make_progress

if TYPE_CHECKING:
    from toolkit.foreign.spec import Told


@click.command()
@click.argument("a", type=MODEL)
@click.argument("b", type=MODEL)
@click.option("--data", type=FOLDER, help="The images.  [default: the test images of a model, or a bundle's probe]")
@click.option(
    "--images",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    metavar="N",
    help="Take N of them, evenly spaced.",
)
@click.option(
    "--worst",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show the N layers that stray most; --json has all.",
)
@click.option("--all-tensors", is_flag=True, help="Compare what stands between the layers, too.")
@click.option("--picture", type=FILE, help="Draw it, too, into this PNG file.")
@click.option("--force", is_flag=True, help="Replace a picture that is there.")
@set_option
@click.option("--weights", type=WeightsType(), help="Weights of a zoo model or module:factory, on either side.")
@click.option("--weights-b", type=WeightsType(), help="Those of B, where it takes others than A.")
@told_options
@gate_option(COMPARE_FIGURES)
@engine_options
@output_options
def command(
    a: str,
    b: str,
    data: Path | None,
    images: int,
    worst: int,
    all_tensors: bool,
    picture: Path | None,
    force: bool,
    settings: dict[str, str],
    weights: str | None,
    weights_b: str | None,
    told: Told,
    gates: tuple[Gate, ...],
    engine: EngineChoice,
    as_json: bool,
) -> int:
    """Show where B strays from A: error by layer, the layer that adds most of it, and the answers that changed.

    A and B are each a bundle, an ONNX file (model.onnx), a model of the zoo (lenet), or a PyTorch module of yours
    (package.module:factory). A is the reference, mostly the FP32 model.

    Layers are compared on ONNX Runtime; answers come from PyTorch, the ONNX file and the bundle's engine themselves.
    --set and --weights are for models of the zoo and modules, --input-size and what follows it for ONNX files and
    modules: without them, these take images as the other side does. With --gate the exit code is 3 where a figure
    misses a limit; lowest_sqnr_db is that of the layer that strays most.
    """
    from toolkit.output_file import place_for

    if force and picture is None:
        raise click.UsageError("--force replaces a picture: give --picture too")
    with ExitStack() as stack:
        if picture is not None:
            from toolkit.plots import draw_comparison  # first: Matplotlib may be missing

            stack.enter_context(place_for(picture, force=force, option="--picture"))
        from msgspec import structs

        from toolkit.comparison.compare import CompareRequest, compare
        from toolkit.comparison.find import Options

        options = Options(settings, (weights, weights_b), told, engine)
        result, points = compare(CompareRequest((a, b), options, data, images, all_tensors), make_progress())
        if picture is not None:
            draw_comparison(result, points, picture)
            result = structs.replace(result, picture=str(picture))
        result = structs.replace(result, gates=judge(gates, compare_figures(result)))
    if as_json:
        print_json(result)
    else:
        from toolkit.comparison.show import show

        show(result, worst)
    return tell_gates(result.gates)
