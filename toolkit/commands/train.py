"""`toolkit train`: a model of the zoo, from scratch."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.console import make_progress, points, print_json, say
from toolkit.options import FILE, FOLDER, MODEL, output_options


@click.command()
@click.argument("model", type=MODEL)
@click.option("--data", type=FOLDER, required=True, help="A folder with MNIST's IDX files, or others like them.")
@click.option("-o", "--output", type=FILE, help="The weights to write.  [default: MODEL.safetensors]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=15, show_default=True, help="How often to see each image."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of weights, order and shifts.")
@output_options
def command(model: str, data: Path, output: Path | None, force: bool, epochs: int, seed: int, as_json: bool) -> None:
    """Train MODEL, a model of the zoo such as lenet, and write its weights as safetensors.

    The last 5,000 training images choose the best epoch; test images, where DATA has them, are read once at the end.
    """
    from export.torch_cache import own_torch_cache
    from toolkit.output_file import place_for
    from toolkit.zoo import get_zoo_model

    entry = get_zoo_model(model)
    output = output or Path(f"{entry.name}.safetensors")

    from toolkit.training import train
    from toolkit.zoo.weights import save_weights

    with place_for(output, force=force), own_torch_cache():
        result = train(entry, data, epochs=epochs, seed=seed, progress=make_progress())
        save_weights(result.module, output)
    if as_json:
        print_json(
            {
                "model": entry.name,
                "weights": str(output),
                "parameters": result.parameters,
                "epoch": result.epoch,
                "held_out_top1": result.held_out_top1,
                "test_top1": result.test_top1,
            }
        )
        return
    test = "no test images there" if result.test_top1 is None else f"test top-1 {points(result.test_top1)} %"
    say(f"{entry.name}: {result.parameters:,} parameters, best epoch {result.epoch}, {test}")
    say(f"held-out top-1 {points(result.held_out_top1)} %")
    say(f"wrote {output}")
    say(f"next:  toolkit build {entry.name} --int8 --weights {output}")
