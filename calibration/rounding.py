"""Rounding weights so that the layer's output, and not each weight, errs least.

A weight that was rounded up is made up for by those that are rounded after it, as far as they are multiplied with
similar values. Source: E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", ICLR 2023, after B. Hassibi and D. Stork, "Optimal Brain Surgeon", 1993.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError

DAMPING = 0.1  # of the mean second moment, added to each: few images say little about what inputs have in common
BLOCK = 128  # inputs after which those that follow are brought up to date


def round_with_feedback(
    weights: NDArray[np.float64], scales: NDArray[np.float64], moments: NDArray[np.float64], limit: int
) -> NDArray[np.int8]:
    """Whole numbers q with the smallest sum of e M e, e being weights - q * scales, as far as one pass finds them.

    Args:
        weights: (groups, outputs, inputs).
        scales: of one step, (groups, outputs).
        moments: the second moments M of the inputs, (groups, inputs, inputs).
        limit: the largest whole number to use.

    Returns:
        int8 (groups, outputs, inputs) in -limit..limit.
    """
    diagonal = np.diagonal(moments, axis1=1, axis2=2)
    added = DAMPING * diagonal.mean(axis=1)
    damped = moments + np.where(added > 0, added, 1)[:, None, None] * np.eye(moments.shape[1])
    order = np.argsort(-diagonal, axis=1, kind="stable")  # what counts most is rounded first, and so made up for
    damped = np.take_along_axis(np.take_along_axis(damped, order[:, :, None], 1), order[:, None, :], 2)
    feedback = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    left = np.take_along_axis(weights, order[:, None, :], 2)
    rounded = np.empty_like(left)
    inputs = left.shape[2]
    for start in range(0, inputs, BLOCK):
        stop = min(start + BLOCK, inputs)
        errors = np.empty((*left.shape[:2], stop - start))
        for place in range(start, stop):
            column = left[:, :, place]
            rounded[:, :, place] = np.clip(np.rint(column / scales), -limit, limit)
            error = (column - rounded[:, :, place] * scales) / feedback[:, place, place, None]
            left[:, :, place + 1 : stop] -= error[:, :, None] * feedback[:, None, place, place + 1 : stop]
            errors[:, :, place - start] = error
        left[:, :, stop:] -= errors @ feedback[:, start:stop, stop:]
    back = np.argsort(order, axis=1)
    return np.take_along_axis(rounded, back[:, None, :], 2).astype(np.int8)


def pack(steps: NDArray[np.int8]) -> str:
    """Small whole numbers as text: int8 in C order, compressed by zlib, in base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(steps).tobytes(), 9)).decode()


def unpack(text: str, shape: Sequence[int], layer: str) -> NDArray[np.int8]:
    """What was packed.

    Args:
        text: from `pack`.
        shape: of the numbers.
        layer: whose they are, for an error.

    Raises:
        DataError: the text holds something else.
    """
    size = int(np.prod(shape))
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (ValueError, zlib.error) as error:
        raise DataError(f"the rounded weights of {layer} are damaged: {error}", "calibrate again") from error
    if len(data) != size:
        raise DataError(f"the rounded weights of {layer} are damaged: they are not {size:,}", "calibrate again")
    return np.frombuffer(data, np.int8).reshape(shape)
