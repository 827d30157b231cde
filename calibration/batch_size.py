"""How many images to take at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx

from calibration.placement import inferred_shapes

LARGEST_BATCH = 32
BATCH_BYTES = 32 << 20  # of the tensors that are looked at


def batch_size(model: onnx.ModelProto, tensors: Iterable[str]) -> int:
    """How many images to take at a time, so that memory is bounded whatever the model: a power of two."""
    shapes = inferred_shapes(model)
    size = 4 * sum(int(np.prod(shapes.get(name, (1,))[1:])) for name in tensors)
    return 1 << (min(max(BATCH_BYTES // max(size, 1), 1), LARGEST_BATCH).bit_length() - 1)
