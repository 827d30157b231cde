"""Graphs of every precision of two models, lenet as it ships and AlexNet with random weights. Run as a program.

AlexNet's convolutions are as large as they are; its dense layers, which hold 58 of its 61 million weights, are narrow.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from calibration.options import CalibrationOptions

PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16")
MODELS: dict[str, dict[str, str]] = {"lenet": {}, "alexnet": {"dense": "256"}}  # and their options


def write(name: str, folder: Path) -> None:
    """An ONNX file for each precision, and the layers with what each of them is asked to be."""
    from runtime.progress import SilentProgress
    from toolkit.graphs import export_fp32, make_graphs
    from toolkit.options import ModelChoice
    from toolkit.source import SourceRequest, make_source, resolve_model

    quiet = SilentProgress()
    chosen = ModelChoice(MODELS[name], random_weights=bool(MODELS[name]))
    model, options = resolve_model(name, chosen, None, quiet), CalibrationOptions(8, "minmax", False)
    source = make_source(SourceRequest(model, options, targets=["tensorrt-rtx"]), quiet)
    exported = export_fp32(source, source.samples, folder / "fp32.onnx", quiet)
    made = make_graphs(source, exported.path, PRECISIONS, quiet).by_precision
    asked = {name: {layer.name: layer.asked for layer in graph.layers} for name, graph in made.items()}
    (folder / "asked.json").write_text(json.dumps(asked))


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
