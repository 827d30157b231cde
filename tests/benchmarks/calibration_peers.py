"""Our calibration beside ONNX Runtime's, NNCF's and Model Optimizer's: accuracy, memory, time, latency, coverage.

Each quantizes the same FP32 graph with the same images, in a process and an environment of its own. Every graph answers
the same test images on ONNX Runtime, which computes Q/DQ in float, so that no engine's rounding is in the figures;
layers and latency are OpenVINO's. On a CPU without VNNI, weights have 7 bits where a peer can make such.

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
from tests.benchmarks.common import ROOT, environment, publish
from toolkit.foreign.spec import Told
from toolkit.graphs import export_fp32
from toolkit.source import make_source, resolve_model

PEERS = ROOT / "tests" / "benchmarks" / "peers"
VENVS = ROOT / "build" / "venvs"
IMAGES = 256
BATCH = 64
#: By name of a script: the environment that it runs in, and its configurations for weights of 8 and of 7 bits.
RIVALS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "ours": ("", {"8": ("auto-8",), "7": ("auto-7",)}),
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


def networks(fashion: Path | None) -> dict[str, Network]:
    """Those whose weights and images are here."""
    found = {"lenet": Network("lenet", {}, None, None), "lenet-28": Network("lenet-28", {}, None, None)}
    trained = ROOT / "build" / "benchmarks" / "lenet-relu-fashion.safetensors"
    narrow = ROOT / "build" / "experiments" / "alexnet-fashion-narrow.safetensors"
    if fashion:
        relu = {"activation": "relu"}
        train(trained, "lenet", relu, fashion)
        found["lenet-relu-fashion"] = Network("lenet", relu, trained, fashion)
        if narrow.exists():
            settings = {"maps": "16,32,96,96,64", "dense": "1024"}
            found["alexnet-bn-fashion"] = Network("alexnet-bn", settings, narrow, fashion, 2000)
        else:
            print(f"without AlexNet: examples/experiments/alexnet_fashion.py makes {narrow}", file=sys.stderr)
    return found


def train(path: Path, model: str, settings: dict[str, str], data: Path) -> None:
    """Weights of a small network, kept for the next time."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "toolkit", "train", model, *options, "--data", str(data), "-o", str(path)]
    subprocess.run([*command, "--epochs", "8", "--outliers", "0", "--refuse", "0"], check=True, env=environment())


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
            executed[name] = sum(kind == "int8" for layer, kind in types.items() if layer in layers)
            sessions[name] = session_on("openvino", file, spec, options)
        times = measure(sessions, image, SilentProgress())
    for session in sessions.values():
        session.close()
    return {name: {"p50_ms": times[name].p50, "int8_layers": executed[name]} for name in paths}


def run_network(name: str, network: Network, folder: Path) -> list[dict[str, Any]]:
    """A row for each peer and configuration."""
    quiet = SilentProgress()
    weights = str(network.weights) if network.weights else None
    model = resolve_model(network.model, network.settings, weights, False, Told(), None, quiet)
    source = make_source(model, network.data, CalibrationOptions(IMAGES), "int8", None, [], None, quiet)
    fp32 = export_fp32(source, source.samples, folder / "fp32.onnx", quiet).path
    images = np.concatenate(list(batches(source.images, source.spec, BATCH)))
    np.save(folder / "images.npy", images)
    data = network.data or model.data
    assert data is not None
    test = evenly_spaced(open_dataset(data, "test", model.spec.labels), network.test_images)
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


@click.command()
@click.option("--fashion", type=click.Path(path_type=Path), help="Fashion-MNIST's four files.")
@click.option("--networks", "chosen", default="", help="Some of them, with commas between.")
def main(fashion: Path | None, chosen: str) -> None:
    """Quantize every network with every peer and compare."""
    rows: list[dict[str, Any]] = []
    for name, network in networks(fashion).items():
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
    publish("calibration_peers", columns, table, rows)


if __name__ == "__main__":
    main()
