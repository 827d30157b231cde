"""What leaves float16's range on the calibration images, and so stays in float32."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.observers import Range
from export.float16 import LARGEST, SMALLEST_NORMAL, float_tensors
from export.front import IMAGE
from export.graph import initializers
from export.reference import open_reference
from runtime.progress import Stage, advance_or_stop
from runtime.streaming import stream

HEADROOM = 2.0  # other images reach further than those that were seen


def wide_nodes(model: onnx.ModelProto, images: Iterable[NDArray[np.uint8]], stage: Stage) -> dict[str, str]:
    """Stream images through the FP32 graph and name the nodes that a float16 one must keep in float32.

    Args:
        model: the FP32 graph.
        images: batches, uint8 (n, H, W, C).
        stage: advanced by the number of images.

    Returns:
        Each node that reads or gives a tensor beyond half of float16's range, or below its normal numbers, with the
        reason.

    Raises:
        DataError: a tensor holds NaN or infinity.
    """
    constants = initializers(model.graph)
    floats = float_tensors(model)
    made = [name for node in model.graph.node for name in node.output if name in floats and name not in constants]
    ranges = [Range(name) for name in made]
    session = open_reference(model, made)
    for answers, count in stream(lambda batch: (session.run(None, {IMAGE: batch}), len(batch)), images):
        for entry, values in zip(ranges, answers, strict=True):
            kept = values[values != -np.inf]  # what masks before a softmax is infinite in float16 too
            if kept.size:
                entry.update(kept)
        advance_or_stop(stage, count)
    largest = {entry.name: entry.largest for entry in ranges}
    reasons = {}
    for node in model.graph.node:
        reached = [largest[name] for name in (*node.input, *node.output) if 0 < largest.get(name, 0) < np.inf]
        if reached and max(reached) * HEADROOM > LARGEST:
            reasons[node.name] = f"its activations reach {max(reached):.3g}, and float16 ends at {LARGEST:.0f}"
        elif reached and min(reached) < SMALLEST_NORMAL:
            reasons[node.name] = f"its activations reach {min(reached):.3g} at most, too small for float16"
    return reasons
