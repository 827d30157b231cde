"""How far a graph strays from the FP32 one: the signal-to-quantization-noise ratio of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from export.front import IMAGE
from export.reference import open_reference
from runtime.progress import Stage, advance_or_stop

MOST_DB = 150.0  # what float32 can tell apart; equal tensors get this


def measure_sqnr(
    reference: onnx.ModelProto,
    model: onnx.ModelProto,
    tensors: Sequence[str],
    images: Iterable[NDArray[np.uint8]],
    stage: Stage,
) -> dict[str, float]:
    """Stream images through both graphs and compare the tensors of the same name.

    Args:
        reference: the FP32 graph.
        model: another of the same source.
        tensors: float ones, in both.
        images: batches, uint8 (n, H, W, C).
        stage: advanced by the number of images.

    Returns:
        10 log10(sum x^2 / sum (x - y)^2) over all images, in decibels, within `MOST_DB` of 0.
    """
    signal, noise = np.zeros(len(tensors)), np.zeros(len(tensors))
    sessions = [open_reference(graph, tensors) for graph in (reference, model)]
    for batch in images:
        pairs = zip(*(session.run(None, {IMAGE: batch}) for session in sessions), strict=True)
        for index, (x, y) in enumerate(pairs):
            wide = x.astype(np.float64)
            signal[index] += np.sum(wide**2)
            noise[index] += np.sum((wide - y) ** 2)
        advance_or_stop(stage, len(batch))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(noise == 0, MOST_DB, 10 * np.log10(signal / noise))
    # A graph that answers NaN or infinity has nothing left of the signal.
    clipped = np.nan_to_num(np.clip(ratios, -MOST_DB, MOST_DB), nan=-MOST_DB).round(2)
    return {name: float(value) for name, value in zip(tensors, clipped, strict=True)}
