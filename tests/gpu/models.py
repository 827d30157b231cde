"""What is built for the GPU: models of the zoo at every precision, with ONNX Runtime's answers, and two tiny graphs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from calibration.options import CalibrationOptions
from runtime.candidate import Graph
from runtime.datasets import batches, evenly_spaced
from runtime.probe import Probe
from runtime.progress import SilentProgress
from runtime.spec import BatchRange, ModelSpec, Precision, Preprocess, classifier_spec

BATCH = BatchRange(1, 4, 8)
COUNT = 24  # images of a model: three of the largest batch
#: By name: the model of the zoo, and its options. All but lenet have random weights.
MODELS = {
    "lenet": ("lenet", {}),
    "alexnet": ("alexnet", {"maps": "8,16,16,16,16", "dense": "64"}),
    "heavy": ("alexnet", {"maps": "8,16,16,16,16", "dense": "1024"}),  # 10 MB, most of it weights
}
SIDE = 16
PIXELS = SIDE * SIDE


@dataclass(frozen=True)
class Model:
    """A model's graphs.

    Attributes:
        spec: what they take and give.
        graphs: by precision.
        probes: images, uint8 (24, height, width, channels), with ONNX Runtime's answers and how far others may stray.
    """

    spec: ModelSpec
    graphs: dict[Precision, Graph]
    probes: dict[Precision, tuple[Probe, float]]


class Models:
    """Makes each model once, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, Model] = {}

    def __getitem__(self, name: str) -> Model:
        if name not in self.made:
            precisions: tuple[Precision, ...] = ("fp32",) if name == "heavy" else get_args(Precision)
            (self.folder / name).mkdir()
            self.made[name] = make_model(name, precisions, self.folder / name)
        return self.made[name]


def make_model(name: str, precisions: tuple[Precision, ...], folder: Path) -> Model:
    """Export, calibrate, convert, as a build does."""
    from toolkit.graphs import export_fp32, make_graphs
    from toolkit.options import ModelChoice
    from toolkit.pipeline import make_probes
    from toolkit.source import SourceRequest, make_source, resolve_model

    zoo_name, settings = MODELS[name]
    progress = SilentProgress()
    model = resolve_model(zoo_name, ModelChoice(settings, random_weights=bool(settings)), folder, progress)
    options = CalibrationOptions(64, "minmax", False)
    source = make_source(SourceRequest(model, options, batch=BATCH, cache_dir=folder), progress)
    images = next(batches(evenly_spaced(source.pool, COUNT), source.spec, COUNT))
    exported = export_fp32(source, source.samples, folder / "fp32.onnx", progress)
    graphs = make_graphs(source, exported.path, precisions, progress)
    return Model(source.spec, graphs.by_precision, make_probes(graphs, images))


def tiny_spec(name: str) -> ModelSpec:
    """16x16 grey pixels to as many numbers."""
    return classifier_spec(
        name, height=SIDE, width=SIDE, classes=PIXELS, preprocess=Preprocess("gray", (), (0.0,), (1.0,))
    )


def all_greys(count: int) -> NDArray[np.uint8]:
    """Images that hold every grey value once, each in an order of its own: uint8 (count, 16, 16, 1)."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(PIXELS) for _ in range(count)]
    return np.stack(rows).astype(np.uint8).reshape(count, SIDE, SIDE, 1)


def write_front(path: Path, precision: Precision) -> None:
    """A graph that answers what its front makes of the pixels: pixel - 128; in INT8 by Q and DQ with scale 1."""
    from onnx import helper

    constants = {"middle": np.array(128, np.float32)}
    answer = "centred"
    quantizers = []
    if precision == "int8":
        constants |= {"scale": np.array(1, np.float32), "zero": np.array(0, np.int8)}
        answer = "dequantized"
        quantizers = [
            helper.make_node("QuantizeLinear", ["centred", "scale", "zero"], ["quantized"], "quantize"),
            helper.make_node("DequantizeLinear", ["quantized", "scale", "zero"], [answer], "dequantize"),
        ]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], "cast", to=1),
        helper.make_node("Transpose", ["float"], ["nchw"], "transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["nchw", "middle"], ["centred"], "offset"),
        *quantizers,
        helper.make_node("Flatten", [answer], ["probabilities"], "flatten", axis=1),
    ]
    write_graph(path, nodes, constants)


def write_lrn(path: Path) -> None:
    """A graph that takes the pixels for 16 channels of 4x4, and normalizes across them with AlexNet's constants."""
    from onnx import helper

    nodes = [
        helper.make_node("Cast", ["image"], ["float"], "cast", to=1),
        helper.make_node("Reshape", ["float", "shape"], ["maps"], "reshape"),
        helper.make_node("LRN", ["maps"], ["normalized"], "lrn", size=5, alpha=5e-4, beta=0.75, bias=2.0),
        helper.make_node("Flatten", ["normalized"], ["probabilities"], "flatten", axis=1),
    ]
    write_graph(path, nodes, {"shape": np.array([-1, SIDE, 4, 4], np.int64)})


def write_graph(path: Path, nodes: list, constants: dict[str, NDArray]) -> None:
    """A graph of `tiny_spec`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", PIXELS])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
