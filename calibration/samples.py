"""What a layer multiplies its weights with: the values that one output is the weighted sum of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from export.graph import attribute

MOST_SAMPLES, MOST_VALUES = 8192, 1 << 25  # of a layer: places that it is looked at, and what is read there
# Beyond so many inputs few samples are taken: what inputs have in common would be too large a matrix.
MOST_INPUTS, FEW_SAMPLES = 4608, 512


def layer_samples(
    node: onnx.NodeProto, weight_shape: Sequence[int], values: Sequence[NDArray[np.float32]], *, central: bool
) -> NDArray[np.float32]:
    """What a layer multiplies its weights with, float32 (groups, samples, inputs).

    Args:
        node: a Conv, Gemm or MatMul.
        weight_shape: of its weight.
        values: batches of what it is given; a sample of the places of large ones is taken.
        central: take the means off, as a bias that fits does.
    """
    groups = attribute(node, "group", 1) if node.op_type == "Conv" else 1
    inputs = int(np.prod(weight_shape[1:])) if node.op_type == "Conv" else values[0].shape[-1]
    most = min(MOST_SAMPLES, MOST_VALUES // (groups * inputs)) if inputs <= MOST_INPUTS else FEW_SAMPLES
    samples = np.concatenate(
        [columns(node, weight_shape, batch, max(most // len(values), 1)) for batch in values], axis=1
    )
    return samples - samples.mean(axis=1, keepdims=True) if central else samples


def columns(
    node: onnx.NodeProto, weight_shape: Sequence[int], batch: NDArray[np.float32], most: int
) -> NDArray[np.float32]:
    """What each output is the weighted sum of, float32 (groups, outputs, inputs), for `most` outputs.

    Args:
        node: a Conv, Gemm or MatMul.
        weight_shape: of its weight.
        batch: what it is given: (n, channels, ...) for a Conv, else (..., inputs).
        most: take so many places at most, at random but the same ones for the same shapes.
    """
    rng = np.random.default_rng(0)
    if node.op_type != "Conv":
        rows = batch.reshape(-1, batch.shape[-1])
        return (rows if len(rows) <= most else rows[np.sort(rng.choice(len(rows), most, replace=False))])[None]
    groups, kernel = attribute(node, "group", 1), tuple(weight_shape[2:])
    rank = len(kernel)
    pads = attribute(node, "pads", [0] * 2 * rank)
    steps = attribute(node, "strides", [1] * rank)
    gaps = attribute(node, "dilations", [1] * rank)
    padded = np.pad(batch, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    spans = tuple((side - 1) * gap + 1 for side, gap in zip(kernel, gaps, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(2, 2 + rank)))
    every = [slice(None)] * 2 + [slice(None, None, step) for step in (*steps, *gaps)]
    windows = windows[tuple(every)]
    windows = np.moveaxis(windows, 1, 1 + rank)  # (n, places..., channels, kernel...)
    places = windows.shape[: 1 + rank]
    total = int(np.prod(places))
    chosen = np.arange(total) if total <= most else np.sort(rng.choice(total, most, replace=False))
    found = windows[np.unravel_index(chosen, places)].reshape(len(chosen), groups, -1)
    return np.ascontiguousarray(found.transpose(1, 0, 2))
