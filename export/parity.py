"""Parity: the ONNX graph on uint8 images against PyTorch on the same images in float, on logits."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from export.blame import explained, nodes_of
from export.front import IMAGE
from export.head import LOGITS, PROBABILITIES
from export.reference import open_reference
from runtime.errors import ExportError
from runtime.spec import ModelSpec, Preprocess

TOLERANCE = 1e-4
#: Some networks, trained ones seldom, multiply every rounding on its way through them. Then a graph is held to so many
#: times what the original differs from itself when its input is rounded otherwise, in the last bit.
ROUNDINGS = 8
LARGEST_TOLERANCE = 1e-2
#: From images, float32 (N, C, H, W), to answers, float32 (N, classes).
Original: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class ParityRow:
    """The comparison at one batch size.

    Attributes:
        batch: images a call.
        max_error: largest |difference| over largest |answer|.
        tolerance: what it was held to.
    """

    batch: int
    max_error: float
    tolerance: float


def normalize(preprocess: Preprocess, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the PyTorch model takes: uint8 (N, H, W, C) to float32 (N, C, H, W), (pixel / 255 - mean) / std."""
    mean, std = (np.array(values, np.float32) for values in (preprocess.mean, preprocess.std))
    normalized = (images.astype(np.float32) / 255 - mean) / std
    # A copy: numpy takes one channel, transposed, for contiguous; PyTorch goes by its strides, and could not view it.
    return np.array(normalized.transpose(0, 3, 1, 2), order="C")


def answer(module: nn.Module, spec: ModelSpec, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The module's output, float32 (N, classes). What it prints is dropped: standard output is for JSON."""
    try:
        with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
            output = module(torch.from_numpy(images))
    except Exception as error:  # whatever the model raises
        raise ExportError(
            f"{spec.name} fails on a batch of {len(images)}: {error}", "the model must take any batch size"
        ) from error
    if not isinstance(output, torch.Tensor) or output.shape != (len(images), spec.classes):
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ExportError(
            f"{spec.name} gives {got}, not {(len(images), spec.classes)}", "the model must return one tensor of answers"
        )
    return np.asarray(output.numpy())


def measure_parity(
    original: Original,
    model: onnx.ModelProto,
    spec: ModelSpec,
    images: NDArray[np.uint8],
    batches: Sequence[int],
    tolerance: float = TOLERANCE,
) -> tuple[ParityRow, ...]:
    """Compare at each batch size.

    Args:
        original: what the graph was made from.
        model: the exported graph.
        spec: of the model.
        images: uint8 (N, H, W, C), repeated where a batch is larger than N.
        batches: sizes.
        tolerance: above it, or at NaN, the export has failed, unless the original is as sensitive to rounding.

    Raises:
        ExportError: the answers differ, or the graph does not run.
    """
    output = LOGITS if spec.output_kind == "logits" else PROBABILITIES
    session = open_reference(model, [output])
    rows = []
    for batch in batches:
        taken = np.resize(images, (batch, *spec.image_shape))
        expected = original(normalize(spec.preprocess, taken))
        try:
            actual = session.run([output], {IMAGE: taken})[0]
        except Exception as failure:  # ONNX Runtime has many kinds
            why = explained(failure, nodes_of(model))
            raise ExportError(
                f"the exported graph of {spec.name} does not run at batch {batch}: {why}",
                "the model must take any batch size: PyTorch exports x.shape[0] as that, but len(x) as a number",
            ) from failure
        error = relative_difference(actual, expected)
        limit = tolerance
        if not error <= tolerance:
            rounded = original(np.nextafter(normalize(spec.preprocess, taken), np.float32(np.inf)))
            limit = min(max(tolerance, ROUNDINGS * relative_difference(rounded, expected)), LARGEST_TOLERANCE)
        if not error <= limit:
            raise ExportError(
                f"the exported graph of {spec.name} does not answer as the original does: at batch {batch} {output} "
                f"differ by {error:.2g} of the largest one, more than {limit:.2g}",
                "check the model for random or batch-dependent operators; it must be in evaluation mode",
            )
        rows.append(ParityRow(batch, error, limit))
    return tuple(rows)


def relative_difference(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Largest |difference| over largest |answer|."""
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-30))
