"""AlexNet on a CPU beside other engines: the engine alone, from pixels of 500x375, and from JPEG files.

Weights are random: speed does not hang on them. Every measurement is a process of its own; peers take turns and the
better median counts. It takes the environment that `make build/venvs/peers/.made` makes:
`python tests/benchmarks/classify.py [--models alexnet-bn] [--batches 1,8,32] [--threads 1,2] [--picture FILE.png]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np

from runtime.backend import available_cores
from runtime.images import read_image
from runtime.spec import BatchRange
from tests.benchmarks.bulk import pictures
from tests.benchmarks.common import OUTPUT, ROOT, TOOLKIT, environment, publish
from tests.benchmarks.peers.classify_with import PEERS, SIDE, median_ms

PYTHON = ROOT / "build" / "venvs" / "peers" / "bin" / "python"
SCRIPT = ROOT / "tests" / "benchmarks" / "peers" / "classify_with.py"
CALIBRATION_IMAGES = 64
OURS = ("this toolkit INT8", "this toolkit FP32")
WAYS = ("engine_ms", "decoded_ms", "file_ms")
CELL = ("model", "threads", "batch", "peer")
COLORS = ("#12436d", "#28a197", "#f46a25")


def make(model: str, images: list[Path]) -> Path:
    """The bundles of a model and what its peers take, kept for the next time."""
    folder = OUTPUT / "classify" / model
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    export(model, folder)
    calibration = folder / "calibration"
    calibration.mkdir(exist_ok=True)
    for path in images[:CALIBRATION_IMAGES]:
        (calibration / path.name).write_bytes(path.read_bytes())
    for flag in ("int8", "fp32"):
        told = ["--random-weights", "--target", "openvino", "--calib-data", str(calibration), "--force"]
        command = [*TOOLKIT, "build", model, f"--{flag}", *told, "-o", str(folder / flag)]
        subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
    chosen = [str(path) for path in images[:CALIBRATION_IMAGES]]
    subprocess.run([PYTHON, SCRIPT, "convert", folder, *chosen], check=True, stdout=subprocess.DEVNULL)
    (folder / "done").touch()
    return folder


def export(model: str, folder: Path) -> None:
    """The network as PyTorch would be used: float32, NCHW, normalized outside."""
    import torch

    from toolkit.zoo import ZOO

    torch.manual_seed(0)
    module = ZOO[model].make().eval()
    example = (torch.zeros(2, 3, SIDE, SIDE),)
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    torch.export.save(torch.export.export(module, example, dynamic_shapes=shapes), folder / "program.pt2")
    torch.onnx.export(module, example, folder / "float.onnx", dynamic_shapes=shapes, external_data=False, verbose=False)


def ours(bundle: Path, batch: int, threads: int, path: Path) -> dict[str, float]:
    """What a peer's script measures, of a bundle."""
    from runtime.backend import EngineFile, EngineOptions
    from runtime.bundle import Bundle
    from runtime.session import session_on

    opened = Bundle.open(bundle)
    options = EngineOptions(
        opened.manifest.precision, BatchRange(1, batch, max(batch, 1)), threads=threads, reduced_range=True
    )
    with session_on("openvino", EngineFile(opened.model_path, {}, None), opened.spec, options) as session:
        pixels = read_image(path)
        ready = np.stack([session.preprocess(pixels)] * batch)
        out = np.empty((batch, opened.spec.classes), np.float32)
        return {
            "engine_ms": median_ms(lambda: session.run(ready, out)),
            "decoded_ms": median_ms(
                lambda: session.run(np.stack([session.preprocess(pixels) for _ in range(batch)]), out)
            ),
            "file_ms": median_ms(
                lambda: session.run(np.stack([session.preprocess(read_image(path)) for _ in range(batch)]), out)
            ),
        }


def measure(name: str, folder: Path, batch: int, threads: int, path: Path) -> dict[str, Any]:
    """One of them, in a process of its own."""
    if name in OURS:
        command = [sys.executable, __file__, "--only", str(folder / name[-4:].lower())]
        command += ["--batches", str(batch), "--threads", str(threads)]
    else:
        command = [str(PYTHON), str(SCRIPT), name, str(folder), str(batch), str(threads), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:200]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Milliseconds an image of every engine, by model, threads and batch."""
    import matplotlib

    matplotlib.use("Agg")  # writes files, needs no display
    from matplotlib import pyplot

    models, threads, batches, peers = (list(dict.fromkeys(row[key] for row in rows)) for key in CELL)
    figure, grid = pyplot.subplots(
        len(models), len(threads), figsize=(13, 4.6 * len(models)), layout="constrained", squeeze=False
    )
    for line, model in zip(grid, models, strict=True):
        for axes, count in zip(line, threads, strict=True):
            for number, batch in enumerate(batches):
                found = {
                    row["peer"]: row
                    for row in rows
                    if (row["model"], row["threads"], row["batch"]) == (model, count, batch)
                }
                times = [found[peer].get("engine_ms", 0) / batch for peer in peers]
                places = [place + (number - 1) * 0.26 for place in range(len(peers))]
                axes.barh(places, times, 0.24, color=COLORS[number], label=f"batch {batch}")
            axes.set(yticks=range(len(peers)), title=f"{model}, {count} thread{'s' * (count > 1)}, ms an image")
            axes.set_yticklabels(peers)
            axes.invert_yaxis()
            axes.grid(axis="x", color="#e4e4e4")
            axes.set_axisbelow(True)
    grid[0][0].legend(frameon=False)
    figure.savefig(path, dpi=80)


def tabulate(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A line for each model, way and engine, a column for each batch and number of threads."""
    cells = list(dict.fromkeys((row["batch"], row["threads"]) for row in rows))
    lines: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for way in WAYS:
            text = f"{row[way]:.1f}" if way in row else "failed"
            lines.setdefault((row["model"], way.removesuffix("_ms"), row["peer"]), []).append(text)
    columns = ["model", "from", "peer", *(f">{batch} on {count}" for batch, count in cells)]
    return columns, [[*key, *texts] for key, texts in sorted(lines.items(), key=lambda line: line[0][:2])]


@click.command()
@click.option("--models", default="alexnet,alexnet-bn")
@click.option("--batches", default="1,8,32")
@click.option("--threads", default=f"1,{available_cores()}")
@click.option("--turns", type=click.IntRange(min=1), default=2)
@click.option("--picture", type=click.Path(path_type=Path), help="A PNG file to draw the engines' times into.")
@click.option("--only", type=click.Path(path_type=Path), hidden=True, help="Measure this bundle and print it.")
def main(models: str, batches: str, threads: str, turns: int, picture: Path | None, only: Path | None) -> None:
    """Measure every peer in every cell."""
    images = pictures()
    if only:
        print(json.dumps(ours(only, int(batches), int(threads), images[0])))
        return
    if not PYTHON.exists():
        raise click.ClickException("build/venvs/peers is not here: make build/venvs/peers/.made makes it")
    rows: list[dict[str, Any]] = []
    for model in models.split(","):
        folder = make(model, images)
        for batch, count in product(map(int, batches.split(",")), map(int, threads.split(","))):
            found: dict[str, list[dict[str, Any]]] = {}
            for _ in range(turns):
                for name in (*OURS, *PEERS):
                    found.setdefault(name, []).append(measure(name, folder, batch, count, images[0]))
            for name, measured in found.items():
                row: dict[str, Any] = {"model": model, "batch": batch, "threads": count, "peer": name}
                whole = [turn for turn in measured if "error" not in turn]
                row |= {way: min(turn[way] for turn in whole) for way in WAYS} if whole else measured[0]
                rows.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
    publish("classify", *tabulate(rows), rows)
    if picture:
        draw(rows, picture)


if __name__ == "__main__":
    main()
