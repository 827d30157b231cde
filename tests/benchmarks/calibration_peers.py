"""Our calibration beside ONNX Runtime's, NNCF's and Model Optimizer's: accuracy, memory, time, latency, coverage.

Each quantizes the same FP32 graph with the same images, in a process and an environment of its own. Every graph answers
the same test images on ONNX Runtime, which computes Q/DQ in float, so that no engine's rounding is in the figures;
layers and latency are OpenVINO's. On a CPU without VNNI, weights have 7 bits where a peer can make such.

Memory is that of the process, at 64 and at 2,048 images of 227x227 pixels, which each reads from a file as it goes.
Networks for Fashion-MNIST are trained first and kept in build/benchmarks: AlexNet takes half an hour on two cores.

`make bench-calibration`, or `python tests/benchmarks/calibration_peers.py --fashion FOLDER [--networks lenet,...]`.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx

from calibration.options import CalibrationOptions
from calibration.placement import plan
from export.front import IMAGE
from export.reference import open_reference
from runtime.backend import EngineFile, EngineOptions, available_cores, get_backend
from runtime.datasets import batches, evenly_spaced, open_dataset
from runtime.latency import measure
from runtime.progress import SilentProgress
from runtime.session import session_on
from runtime.spec import BatchRange, ModelSpec
from tests.benchmarks.common import OUTPUT, ROOT, TOOLKIT, environment, publish
from tests.benchmarks.torchvision_fashion import MEAN, SIZE, STD
from toolkit.foreign.spec import Told
from toolkit.graphs import Source, export_fp32
from toolkit.options import ModelChoice
from toolkit.source import SourceRequest, make_source, resolve_model

FACTORY, TRAINER = "tests.benchmarks.torchvision_fashion:make", ROOT / "tests/benchmarks/torchvision_fashion.py"
PEERS = ROOT / "tests" / "benchmarks" / "peers"
VENVS = ROOT / "build" / "venvs"
IMAGES = 256
FEW_IMAGES, MANY_IMAGES = 64, 2048  # that memory is compared at
BATCH = 64
LABELS = {
    "ours": "this toolkit",
    "onnxruntime_static": "ONNX Runtime",
    "nncf_quantize": "NNCF",
    "modelopt_quantize": "Model Optimizer",
}
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # told apart by the colour-blind too
MEASURED_FOR_MEMORY = {
    "ours": "auto-7",
    "onnxruntime_static": "percentile-7",
    "nncf_quantize": "accurate-7",
    "modelopt_quantize": "entropy-8",
}
#: By name of a script: the environment that it runs in, and its configurations for weights of 8 and of 7 bits.
RIVALS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "ours": ("", {"8": ("auto-8", "percentile-8"), "7": ("auto-7", "percentile-7")}),
    "onnxruntime_static": (
        "peers",
        {"8": ("minmax-8", "percentile-8", "entropy-8"), "7": ("minmax-7", "percentile-7", "entropy-7")},
    ),
    "nncf_quantize": ("peers", {"8": ("fast-8", "accurate-8"), "7": ("fast-7", "accurate-7")}),
    "modelopt_quantize": ("modelopt", {"8": ("max-8", "entropy-8"), "7": ("max-8", "entropy-8")}),
}


@dataclass(frozen=True)
class Network:
    """What is quantized.

    Attributes:
        model: of the zoo.
        settings: its options.
        weights: a file; None takes those that ship.
        data: a folder of images; None takes the model's own.
        test_images: how many of the test images are answered.
    """

    model: str
    settings: dict[str, str]
    weights: Path | None
    data: Path | None
    test_images: int | None = None
    told: Told = Told()  # noqa: RUF009  # frozen


def networks(fashion: Path | None) -> dict[str, Network]:
    """Those whose weights and images are here."""
    found = {"lenet": Network("lenet", {}, None, None), "lenet-28": Network("lenet-28", {}, None, None)}
    if not fashion:
        return found
    relu = {"activation": "relu"}
    few = ("--epochs", "8")
    found["lenet-relu-fashion"] = Network("lenet", relu, trained("lenet", relu, few, fashion), fashion)
    narrow = {"maps": "16,32,96,96,64", "dense": "1024", "dropout": "0.2"}
    how = ("--epochs", "2", "--batch", "64", "--optimizer", "adamw", "--learning-rate", "0.001", "--crop", "0")
    found["alexnet-bn-fashion"] = Network(
        "alexnet-bn", narrow, trained("alexnet-bn", narrow, how, fashion), fashion, 5000
    )
    told = Told(input_size=(SIZE, SIZE), mean=(MEAN,), std=(STD,))
    for name in ("resnet18", "mobilenet_v2"):
        weights = OUTPUT / f"{name}-fashion.safetensors"
        if not weights.exists():
            subprocess.run([sys.executable, TRAINER, fashion, name, weights], check=True, env=environment())
        settings = {"name": json.dumps(name)}
        found[f"{name}-fashion"] = Network(FACTORY, settings, weights, fashion, 5000, told)
    return found


def trained(model: str, settings: dict[str, str], how: tuple[str, ...], data: Path) -> Path:
    """Weights of a network of the zoo, kept for the next time."""
    path = OUTPUT / f"{model}-fashion.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        command = [*TOOLKIT, "train", model, *options, "--data", str(data), "-o", str(path)]
        subprocess.run([*command, *how, "--outliers", "0", "--refuse", "0"], check=True, env=environment())
    return path


def quantize(peer: str, configuration: str, fp32: Path, images: Path, out: Path) -> dict[str, Any]:
    """Run a peer's script; what it measured, or the last line of its error."""
    venv = RIVALS[peer][0]
    python = VENVS / venv / "bin" / "python" if venv else Path(sys.executable)
    if not python.exists():
        return {"error": f"{python.parent.parent.name} is not here: make bench-calibration makes it"}
    settings = environment() if not venv else {**environment(), "PYTHONPATH": str(PEERS)}
    command = [str(python), str(PEERS / f"{peer}.py"), configuration, str(fp32), str(images), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=settings)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:200]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def answers(model: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities, float32 (N, classes), on ONNX Runtime with Q/DQ in float."""
    session = open_reference(model, threads=available_cores())
    return np.concatenate(
        [session.run(None, {IMAGE: images[start : start + BATCH]})[0] for start in range(0, len(images), BATCH)]
    )


def mcnemar(right: np.ndarray, reference: np.ndarray) -> float:
    """The exact two-sided p that both are right equally often, from the images on which one alone is, bool (N,)."""
    one, other = int((right & ~reference).sum()), int((~right & reference).sum())
    total = one + other
    tail = sum(math.comb(total, count) for count in range(min(one, other) + 1)) / 2**total
    return min(1.0, 2 * tail)


def sqnr(found: np.ndarray, expected: np.ndarray) -> float:
    """Of log-probabilities floored at 1e-6, less their mean, in decibels."""
    x, y = (np.log(np.maximum(values.astype(np.float64), 1e-6)) for values in (expected, found))
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    return round(10 * math.log10(np.square(x).sum() / max(float(np.square(x - y).sum()), 1e-30)), 2)


def measure_graph(path: Path, fp32: np.ndarray, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """How a graph's answers compare with the labels and with FP32's, (N, classes)."""
    found = answers(path, images)
    right, reference = found.argmax(axis=1) == labels, fp32.argmax(axis=1) == labels
    return {
        "top1": 100 * float(right.mean()),
        "drop_points": round(100 * float(reference.mean() - right.mean()), 4),
        "mcnemar_p": mcnemar(right, reference),
        "agreement": 100 * float((found.argmax(axis=1) == fp32.argmax(axis=1)).mean()),
        "sqnr_db": sqnr(found, fp32),
        "size_bytes": path.stat().st_size,
    }


def on_openvino(paths: dict[str, Path], spec: ModelSpec, layers: list[str], image: np.ndarray) -> dict[str, Any]:
    """Latency at batch 1, of all graphs in turn, and how many layers run in INT8."""
    backend = get_backend("openvino")
    options = EngineOptions("int8", BatchRange(1, 1, 1), reduced_range=True)
    sessions, executed = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in paths.items():
            file: EngineFile = backend.compile(path, Path(folder), spec, options, SilentProgress())
            types = file.layers or {}
            executed[name] = sum(types.get(layer) == "int8" for layer in layers)
            sessions[name] = session_on("openvino", file, spec, options)
        times = measure(sessions, image, SilentProgress())
    for session in sessions.values():
        session.close()
    return {name: {"p50_ms": times[name].p50, "int8_layers": executed[name]} for name in paths}


def source_of(network: Network, images: int) -> Source:
    """A network with so many images to calibrate with."""
    quiet = SilentProgress()
    weights = str(network.weights) if network.weights else None
    model = resolve_model(network.model, ModelChoice(network.settings, weights, told=network.told), None, quiet)
    options = CalibrationOptions(images)
    return make_source(SourceRequest(model, options, network.data, "int8"), quiet)


def run_network(name: str, network: Network, folder: Path) -> list[dict[str, Any]]:
    """A row for each peer and configuration."""
    quiet = SilentProgress()
    source = source_of(network, IMAGES)
    fp32 = export_fp32(source, source.samples, folder / "fp32.onnx", quiet).path
    images = np.concatenate(list(batches(source.images, source.spec, BATCH)))
    np.save(folder / "images.npy", images)
    data = network.data or source.model.data
    assert data is not None
    test = evenly_spaced(open_dataset(data, "test", source.spec.labels), network.test_images)
    test_images = np.concatenate(list(batches(test, source.spec, BATCH)))
    assert test.labels is not None
    reference = answers(fp32, test_images)
    bits = "7" if get_backend("openvino").overflows() else "8"
    layers = [layer.name for layer in plan(onnx.load(fp32)).layers]
    rows, graphs = [], {}
    for peer, (_, configurations) in RIVALS.items():
        for configuration in configurations[bits]:
            out = folder / f"{peer}-{configuration}.onnx"
            row = {"network": name, "peer": peer, "configuration": configuration, "layers": len(layers)}
            row |= quantize(peer, configuration, fp32, folder / "images.npy", out)
            if "error" not in row:
                row |= measure_graph(out, reference, test_images, test.labels)
                graphs[f"{peer}-{configuration}"] = out
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    timed = on_openvino(graphs, source.spec, layers, test_images[:1])
    return [row | timed.get(f"{row['peer']}-{row['configuration']}", {}) for row in rows]


def run_memory(network: Network, folder: Path) -> list[dict[str, Any]]:
    """The most memory that each peer's process has with few and with many images of 227x227 pixels."""
    quiet = SilentProgress()
    source = source_of(network, MANY_IMAGES)
    fp32 = export_fp32(source, source.samples, folder / "fp32.onnx", quiet).path
    rows = []
    for count in (FEW_IMAGES, MANY_IMAGES):
        chosen = evenly_spaced(source.images, count)
        np.save(folder / "images.npy", np.concatenate(list(batches(chosen, source.spec, BATCH))))
        for peer, configuration in MEASURED_FOR_MEMORY.items():
            row = {"peer": peer, "configuration": configuration, "images": count}
            row |= quantize(peer, configuration, fp32, folder / "images.npy", folder / "out.onnx")
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def draw(rows: list[dict[str, Any]], memory: list[dict[str, Any]], path: Path) -> None:
    """How far each peer's graphs are from FP32, by network, and the memory that it took."""
    import matplotlib

    matplotlib.use("Agg")  # writes files, needs no display
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 5), width_ratios=(2.2, 1), layout="constrained")
    names = list(dict.fromkeys(row["network"] for row in rows))
    for number, peer in enumerate(RIVALS):
        color, shift = COLORS[number], (number - 1.5) * 0.15
        own = [
            row
            for row in rows
            if row["peer"] == peer and "error" not in row and (peer, row["configuration"][:4]) != ("ours", "perc")
        ]
        for row in own:
            face = color if row["int8_layers"] == row["layers"] else "none"
            place = names.index(row["network"]) + shift
            left.plot(place, row["sqnr_db"], "o", color=color, markerfacecolor=face, markersize=8)
        known = [row for row in memory if row["peer"] == peer and "error" not in row]
        used = [row["peak_bytes"] / 1e6 for row in known]
        right.plot([row["images"] for row in known], used, "o-", color=color, label=LABELS[peer])
    left.set(xticks=range(len(names)), ylim=(0, None), ylabel="SQNR, dB")
    left.set_title("nearness to FP32, a dot for each method; hollow: some layers are not in INT8")
    left.set_xticklabels([name.replace("-fashion", "\n(Fashion)") for name in names])
    right.set(title="memory, 227x227 pixels, MB", xlabel="images", yscale="log", ylim=(100, None))
    right.legend(frameon=False)
    for axes in (left, right):
        axes.grid(color="#e4e4e4")
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=100)


@click.command()
@click.option("--fashion", type=click.Path(path_type=Path), help="Fashion-MNIST's four files.")
@click.option("--networks", "chosen", default="", help="Some of them, with commas between.")
@click.option("--picture", type=click.Path(path_type=Path), help="A PNG file to draw the figures into.")
def main(fashion: Path | None, chosen: str, picture: Path | None) -> None:
    """Quantize every network with every peer and compare."""
    rows: list[dict[str, Any]] = []
    memory: list[dict[str, Any]] = []
    found = networks(fashion)
    large = found.get("alexnet-bn-fashion")
    if large and (not chosen or "memory" in chosen.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            memory = run_memory(large, Path(folder))
    for name, network in found.items():
        if not chosen or name in chosen.split(","):
            with tempfile.TemporaryDirectory() as folder:
                rows += run_network(name, network, Path(folder))
    columns = ["network", "peer", "how", ">top-1", ">drop", ">p", ">agree", ">SQNR", ">s", ">MB", ">ms", ">INT8"]
    table = [
        [
            row["network"],
            row["peer"],
            row["configuration"],
            *(
                ["-"] * 8 + [row["error"][:40]]
                if "error" in row
                else [
                    f"{row['top1']:.2f}",
                    f"{row['drop_points']:.2f}",
                    f"{row['mcnemar_p']:.2g}",
                    f"{row['agreement']:.2f}",
                    f"{row['sqnr_db']:.1f}",
                    f"{row['seconds']:.1f}",
                    f"{row['peak_bytes'] / 1e6:.0f}",
                    f"{row['p50_ms']:.3f}",
                    f"{row['int8_layers']} of {row['layers']}",
                ]
            ),
        ]
        for row in rows
    ]
    if rows:
        publish("calibration_peers", columns, table, rows)
    if memory:
        lines = [
            [row["peer"], row["configuration"], f"{row['images']:,}"]
            + (
                [row["error"][:60], ""]
                if "error" in row
                else [f"{row['peak_bytes'] / 1e6:.0f}", f"{row['seconds']:.1f}"]
            )
            for row in memory
        ]
        publish("calibration_memory", ["peer", "how", ">images", ">MB", ">s"], lines, memory)
    if picture and rows:
        draw(rows, memory, picture)


if __name__ == "__main__":
    main()
