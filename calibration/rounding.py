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

DAMPING = 0.1  # of the mean square of an input, added to each: few samples say little about what inputs have in common
BLOCK = 64  # inputs after which those that follow are brought up to date


def round_with_feedback(
    weights: NDArray[np.float32], scales: NDArray[np.float32], samples: NDArray[np.float32], limit: int
) -> NDArray[np.int8]:
    """Whole numbers q that make the squares of (weights - q * scales) @ samples small, as far as one pass finds them.

    Each weight is rounded after the errors of those before it are added, as far as it can make up for them and the ones
    after it cannot do it better.

    Args:
        weights: (groups, outputs, inputs).
        scales: of one step, (groups, outputs).
        samples: of the inputs, (groups, samples, inputs).
        limit: the largest whole number to use.

    Returns:
        int8 (groups, outputs, inputs) in -limit..limit.
    """
    # Their size does not matter, and its square might be no float32; a power of two changes nothing else.
    samples = np.ldexp(samples, -np.frexp(np.abs(samples).max(initial=0))[1])
    few = 2 * samples.shape[1] < samples.shape[2]  # what inputs have in common is kept as the samples themselves
    if few:
        squares = np.einsum("gsi,gsi->gi", samples, samples)
    else:
        products = samples.transpose(0, 2, 1) @ samples
        squares = np.diagonal(products, axis1=1, axis2=2)
    order = np.argsort(-squares, axis=1, kind="stable")  # what counts most is rounded first, and so made up for
    damping = DAMPING * squares.mean(axis=1, dtype=np.float64)
    damping = np.where(damping > 0, damping, 1)
    if few:
        samples = np.take_along_axis(samples, order[:, None], 2)
        shares = ridge_shares(samples, damping)
    else:
        products = np.stack([values[np.ix_(places, places)] for values, places in zip(products, order, strict=True)])
        shares = triangular_shares(products, damping)
    rows = np.stack([values.T[places] for values, places in zip(weights, order, strict=True)]) / scales[:, None]
    groups, inputs, outputs = rows.shape
    errors = np.empty(rows.shape, np.float32)  # in steps, as all that follows
    collected = np.zeros((groups, samples.shape[1], outputs), np.float32)  # the error of each sample, of few
    for start in range(0, inputs, BLOCK):
        block = slice(start, min(start + BLOCK, inputs))
        if few:
            before = shares[:, block] @ collected
            within = shares[:, block] @ samples[:, :, block]
        else:
            before = shares[:, block, :start] @ errors[:, :start]
            within = shares[:, block, block]
        wanted, done = rows[:, block] + before, errors[:, block]
        for place in range(wanted.shape[1]):
            column = wanted[:, place] + (within[:, None, place, :place] @ done[:, :place])[:, 0]
            np.rint(column, out=column)
            np.maximum(np.minimum(column, limit, out=column), -limit, out=column)
            np.subtract(rows[:, start + place], column, out=done[:, place])
        if few:
            collected += samples[:, :, block] @ done
    steps = np.rint(rows - errors).astype(np.int8)
    return np.stack([found[places].T for found, places in zip(steps, np.argsort(order, axis=1), strict=True)])


def triangular_shares(products: NDArray[np.float32], damping: NDArray[np.float64]) -> NDArray[np.float32]:
    """What share an input takes on of each earlier one's error, float32 (groups, inputs, inputs), below the diagonal.

    The products of the inputs are L' L with L lower triangular; l[j, k] / l[j, j] is the share that j takes on of k's.
    """
    damped = products + damping[:, None, None] * np.eye(products.shape[1])
    lower = np.linalg.cholesky(damped[:, ::-1, ::-1]).transpose(0, 2, 1)[:, ::-1, ::-1]
    return np.asarray(lower / np.diagonal(lower, axis1=1, axis2=2)[:, :, None], np.float32)


def ridge_shares(samples: NDArray[np.float32], damping: NDArray[np.float64]) -> NDArray[np.float32]:
    """What share an input takes on of the error of each sample, float32 (groups, inputs, samples).

    It is inverse(damping + sum of x x' over this and all later inputs) x, from the last one to the first. With the
    samples as factors it gives the same shares as `triangular_shares`, for little where there are few of them. Inputs
    are taken in blocks: with p = inverse(damping + sum over all inputs after the block) X, where X are the block's
    samples, and 1 + X' p = L D L' with L lower triangular, the shares are p inverse(D L').
    """
    _, count, inputs = samples.shape
    inverse = np.eye(count) / damping[:, None, None]
    shares = np.empty((len(samples), inputs, count), np.float32)
    for stop in range(inputs, 0, -BLOCK):
        block = slice(max(stop - BLOCK, 0), stop)
        given = samples[:, :, block][:, :, ::-1].astype(np.float64)
        products = inverse @ given
        lower = np.linalg.cholesky(np.eye(given.shape[2]) + given.transpose(0, 2, 1) @ products)
        scaled = np.linalg.solve(lower, products.transpose(0, 2, 1))
        shares[:, block] = (scaled / np.diagonal(lower, axis1=1, axis2=2)[:, :, None])[:, ::-1]
        inverse -= scaled.transpose(0, 2, 1) @ scaled
    return shares


def pack(steps: NDArray[np.int8]) -> str:
    """Small whole numbers as text: int8 in C order, compressed by zlib, in base64."""
    packer = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)  # there is nothing that repeats, and it is fast
    data = packer.compress(np.ascontiguousarray(steps).tobytes()) + packer.flush()
    return base64.b64encode(data).decode()


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
