"""Which of several graphs is nearest to FP32 on images that chose nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import image_sqnr
from calibration.options import Method
from export.front import IMAGE
from export.graph import initializers
from export.head import LOGITS
from export.reference import open_reference
from runtime.progress import Stage, advance_or_stop
from runtime.streaming import stream

T = TypeVar("T")


def chosen(found: Mapping[Method, NDArray[np.float64]]) -> Method:
    """The method with the best mean, but `minmax`, which clips nothing, unless it is worse by two standard errors.

    Args:
        found: the SQNR of each image's logits, float64 (N,), by method; of the same images in each.
    """
    best = max(found, key=lambda name: found[name].mean())
    gains = found[best] - found["minmax"]
    surely = len(gains) > 1 and gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains))
    return best if surely else "minmax"


def compare_methods(
    reference: onnx.ModelProto,
    quantized: onnx.ModelProto,
    scales: Mapping[Method, Mapping[str, float]],
    images: Iterable[NDArray[np.uint8]],
    stage: Stage,
) -> dict[Method, NDArray[np.float64]]:
    """The SQNR of each image's logits in decibels for the scales of each method, float64 (N,).

    Args:
        reference: the FP32 graph.
        quantized: the same with Q/DQ, of any scales.
        scales: by method and tensor.
        images: batches, uint8 (n, H, W, C).
        stage: advanced by the number of images.
    """
    opened = with_scales_as_inputs(quantized)
    called = {node.input[0]: node.input[1] for node in quantized.graph.node if node.op_type == "QuantizeLinear"}
    given = {
        method: {scale: np.array(by_tensor[name], np.float32) for name, scale in called.items()}
        for method, by_tensor in scales.items()
    }
    return judge(reference, dict.fromkeys(scales, opened), images, stage, given)


def judge(
    reference: onnx.ModelProto,
    graphs: Mapping[T, onnx.ModelProto],
    images: Iterable[NDArray[np.uint8]],
    stage: Stage,
    given: Mapping[T, Mapping[str, NDArray[np.float32]]] | None = None,
) -> dict[T, NDArray[np.float64]]:
    """The SQNR of each image's logits in decibels for each of some graphs, float64 (N,).

    Args:
        reference: the FP32 graph.
        graphs: others of the same source; one that comes twice is opened once.
        images: batches, uint8 (n, H, W, C).
        stage: advanced by the number of images.
        given: what a graph is given besides images.
    """
    logits = logits_of(reference)
    expected = open_reference(reference, [logits])
    sessions = {id(graph): open_reference(graph, [logits]) for graph in graphs.values()}

    def run(batch: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        x = expected.run(None, {IMAGE: batch})[0]
        feeds = [{IMAGE: batch, **(given or {}).get(name, {})} for name in graphs]
        answers = (sessions[id(graph)].run(None, feed)[0] for graph, feed in zip(graphs.values(), feeds, strict=True))
        return [image_sqnr(x, y) for y in answers]

    found: list[list[NDArray[np.float64]]] = []
    for ratios in stream(run, images):
        found.append(ratios)
        advance_or_stop(stage, len(ratios[0]))
    return {name: np.concatenate(parts) for name, *parts in zip(graphs, *found, strict=True)}


def with_scales_as_inputs(quantized: onnx.ModelProto) -> onnx.ModelProto:
    """A graph with Q/DQ whose activations' scales are given with each call, so that one serves every method."""
    opened = onnx.ModelProto()
    opened.CopyFrom(quantized)
    scales = {node.input[1] for node in opened.graph.node if node.op_type == "QuantizeLinear"}
    kept = [entry for name, entry in initializers(opened.graph).items() if name not in scales]
    del opened.graph.initializer[:]
    opened.graph.initializer.extend(kept)
    opened.graph.input.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, []) for name in sorted(scales)
    )
    return opened


def logits_of(model: onnx.ModelProto) -> str:
    """The tensor to measure errors on: logits where the graph has them, since a softmax hides errors."""
    made = {name for node in model.graph.node for name in node.output}
    return LOGITS if LOGITS in made else model.graph.output[0].name
