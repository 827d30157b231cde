"""Where the time of AlexNet in INT8 goes at batch 1 on one thread, beside reading its weights once from memory.

`python tests/benchmarks/classify_layers.py [MODEL...]`, with the bundles that classify.py makes.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from runtime.backend import EngineOptions
from runtime.backends import openvino
from runtime.backends.openvino_layers import BY_TILES, without_additions
from runtime.bundle import Bundle
from runtime.spec import BatchRange
from tests.benchmarks.bulk import pictures
from tests.benchmarks.classify import make
from tests.benchmarks.common import publish

CALLS = 40
MOVES = ("Transpose", "Pad", "Gather", "MatMul", "Reshape")  # the work on tiles beside the product


def reading_ms(size: int) -> float:
    """The least time in which one thread reads so many bytes."""
    memory = np.ones(size // 8, np.int64)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        memory.sum()
        times.append(1000 * (time.perf_counter() - start))
    return min(times)


def profile(bundle: Path) -> tuple[float, list[tuple[str, str, float]]]:
    """The median call in ms, and each node's kind, name and median ms, in the order of execution."""
    opened = Bundle.open(bundle)
    options = EngineOptions(opened.manifest.precision, BatchRange(1, 1, 1), threads=1, reduced_range=True)
    compiled = openvino.compile_model(opened.model_path, opened.spec, options, 1)
    request = compiled.create_infer_request()
    image = np.random.default_rng(0).integers(0, 256, (1, *opened.spec.image_shape), np.uint8)
    calls, nodes = [], defaultdict(list)
    for _ in range(CALLS):
        start = time.perf_counter()
        request.infer([image], share_inputs=True)
        calls.append(1000 * (time.perf_counter() - start))
        for number, node in enumerate(request.get_profiling_info()):
            spent = node.real_time.total_seconds()
            nodes[number, node.node_type, node.node_name].append(1000 * spent)
    return float(np.median(calls)), [(kind, name, float(np.median(times))) for (_, kind, name), times in nodes.items()]


def by_layer(nodes: list[tuple[str, str, float]], layers: list[str]) -> dict[str, dict[str, float]]:
    """The product of each layer, the work on its tiles, and what is between the layers."""
    found: dict[str, dict[str, float]] = {name: {"product": 0.0, "tiles": 0.0} for name in layers}
    found["between"] = {"product": 0.0, "tiles": 0.0}
    products = {index: without_additions(name) for index, (_, name, _) in enumerate(nodes) if is_product(name, layers)}
    for index, (kind, _, spent) in enumerate(nodes):
        if index in products:
            found[products[index]]["product"] += spent
            continue
        ahead = next((place for place in products if place > index), None)
        behind = next((place for place in reversed(list(products)) if place < index), None)
        reader = None if ahead is None else next(
            (place for place in range(ahead, -1, -1) if nodes[place][1].endswith("/tiles")), None
        )  # fmt: skip
        if ahead is not None and reader is not None and reader <= index and nodes[ahead][1].endswith(BY_TILES):
            found[products[ahead]]["tiles"] += spent
        elif behind is not None and nodes[behind][1].endswith(BY_TILES) and kind in MOVES:
            found[products[behind]]["tiles"] += spent
        else:
            found["between"]["product"] += spent
    return found


def is_product(name: str, layers: list[str]) -> bool:
    """Whether a node does a layer's multiplications."""
    return name.endswith((BY_TILES, "/WithoutBiases")) and without_additions(name) in layers


def main(models: list[str]) -> None:
    """Print a table for each model."""
    settings = openvino.properties
    openvino.properties = lambda options: {**settings(options), "PERF_COUNT": True}  # type: ignore[assignment]
    figures: dict[str, Any] = {}
    rows = []
    for model in models:
        bundle = make(model, pictures()) / "int8"
        opened = Bundle.open(bundle)
        call, nodes = profile(bundle)
        found = by_layer(nodes, [layer.name for layer in opened.manifest.layers])
        limit = reading_ms(opened.model_path.stat().st_size)
        figures[model] = {"call_ms": call, "reading_ms": limit, "layers": found}
        rows += [
            [model, name, f"{spent['product']:.2f}", f"{spent['tiles']:.2f}", f"{100 * sum(spent.values()) / call:.0f}"]
            for name, spent in found.items()
        ]
        rows.append([model, "the call", f"{call:.2f}", "", "100"])
        rows.append([model, "reading the weights once", f"{limit:.2f}", "", f"{100 * limit / call:.0f}"])
    publish("classify_layers", ["model", "layer", ">ms", ">tiles, ms", ">%"], rows, figures)


if __name__ == "__main__":
    main(sys.argv[1:] or ["alexnet", "alexnet-bn"])
