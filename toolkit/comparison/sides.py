"""The two sides of a comparison: each a graph with all its tensors, and the real thing that answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.options import CalibrationOptions
from runtime.bundle import Bundle
from runtime.progress import Progress
from runtime.spec import BatchRange
from toolkit.comparison.find import Found, Options

if TYPE_CHECKING:
    from toolkit.graphs import Model

CHECKED_IMAGES = 4

Pixels: TypeAlias = NDArray[np.uint8]
Answer: TypeAlias = Callable[[Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class Side:
    """A side that is ready.

    Attributes:
        found: what it is.
        graph: takes uint8 images (N, H, W, C).
        precision: of the graph.
        answer: the real thing: from images, uint8 (N, H, W, C), to probabilities, float32 (N, classes).
        answered_with: what that is.
    """

    found: Found
    graph: onnx.ModelProto
    precision: str
    answer: Answer
    answered_with: str


def open_side(found: Found, samples: Pixels, options: Options, progress: Progress, stack: ExitStack) -> Side:
    """Load a side.

    Args:
        found: what it is.
        samples: a few images, uint8 (n, H, W, C), to hold an export to its original.
        options: how to run a bundle's engine.
        progress: told of every step.
        stack: closes what was opened.

    Raises:
        ToolkitError: it cannot be exported, or its engine does not load.
    """
    if isinstance(found.source, Bundle):
        bundle = found.source
        session = stack.enter_context(options.engine.open(bundle))
        graph, manifest = onnx.load(bundle.model_path), bundle.manifest
        return Side(found, graph, manifest.precision, session.run, options.engine.backend or manifest.target)
    return open_model(found, found.source, samples, options.engine.threads, progress)


def open_model(found: Found, model: Model, samples: Pixels, threads: int | None, progress: Progress) -> Side:
    """Export a model, and keep what it was exported from to answer."""
    with progress.stage("load PyTorch"):
        import torch

        from export.parity import Original, answer, normalize
        from runtime.datasets import ArrayDataset
        from toolkit.foreign.onnx import ForeignOnnx
        from toolkit.graphs import Source, export_fp32, module_of

    if threads:
        torch.set_num_threads(threads)
    few = BatchRange(1, 1, 2)
    source = Source(model, ArrayDataset("", samples, None), CalibrationOptions(images=1), few, False, None)
    with tempfile.TemporaryDirectory() as folder:
        exported = export_fp32(source, samples, Path(folder) / "fp32.onnx", progress)
        graph = onnx.load(exported.path)
    spec = model.spec
    original: Original
    if isinstance(model, ForeignOnnx):
        original, spec, engine = model.original, model.front, "onnxruntime"
    else:
        original, engine = partial(answer, module_of(model), spec), "pytorch"

    def answers(images: Pixels) -> NDArray[np.float32]:
        given = original(normalize(spec.preprocess, images))
        return softmax(given) if spec.output_kind == "logits" else given

    precision = "int8" if any(node.op_type == "QuantizeLinear" for node in graph.graph.node) else "fp32"
    return Side(found, graph, precision, answers, engine)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Float32 (N, classes) to probabilities of the same shape."""
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
