"""How far a graph strays from another one: the error of its tensors, summed up over all images.

The signal-to-quantization-noise ratio is 10 log10(sum x^2 / sum (x - y)^2), the cosine similarity
sum x y / sqrt(sum x^2 sum y^2), of a tensor x of the reference and y of the other graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.front import IMAGE
from export.reference import open_reference
from runtime.progress import Stage, advance_or_stop
from runtime.streaming import stream

MOST_DB = 150.0  # what float32 can tell apart; equal tensors get this
LEAST_STEP = 0.01  # in decibels, as they are rounded


class TensorError:
    """The error of one tensor, in float64, over as many batches as there are.

    Attributes:
        images: that were seen.
        largest_error: the largest |x - y|; NaN or infinite where the tensors hold such.
        largest_value: the largest |x|.
        image: in which image the largest error is, counted from 0; None where the first axis is not that of images.
    """

    def __init__(self) -> None:
        self.images = 0
        self.signal = self.noise = self.other = self.product = 0.0
        self.largest_error = self.largest_value = 0.0
        self.image: int | None = None

    def update(self, x: NDArray[Any], y: NDArray[Any], count: int | None = None) -> None:
        """Add a batch.

        Args:
            x: the reference's tensor.
            y: the other one's, of the same shape.
            count: the images in it; None is the length of the first axis.
        """
        count = len(x) if count is None else count
        wide, other = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
        with np.errstate(invalid="ignore", over="ignore"):
            difference = wide - other
            self.signal += float(np.einsum("i,i", wide, wide))
            self.noise += float(np.einsum("i,i", difference, difference))
            self.other += float(np.einsum("i,i", other, other))
            self.product += float(np.einsum("i,i", wide, other))
        if wide.size:
            self.largest_value = largest(self.largest_value, float(np.abs(wide).max()))
            self.note_largest(np.abs(difference).reshape(len(x) if x.ndim else 1, -1).max(axis=1), count)
        self.images += count

    def note_largest(self, errors: NDArray[np.float64], count: int) -> None:
        """Keep the largest of the errors along the first axis, and where it was."""
        place = int(errors.argmax())  # NaN is the largest of all
        before, found = self.largest_error, float(errors[place])
        self.largest_error = largest(before, found)
        if found and not (self.largest_error == before or math.isnan(before)):
            self.image = self.images + place if len(errors) == count else None

    @property
    def sqnr_db(self) -> float:
        """In decibels, within `MOST_DB` of 0: the most for equal tensors alone, the least where no signal is left."""
        if self.noise == 0:
            return MOST_DB
        # A graph that answers NaN or infinity has nothing left of the signal.
        if not math.isfinite(self.noise) or not math.isfinite(self.signal) or self.signal == 0:
            return -MOST_DB
        return round(min(max(10 * math.log10(self.signal / self.noise), -MOST_DB), MOST_DB - LEAST_STEP), 2)

    @property
    def cosine(self) -> float | None:
        """In -1..1; two tensors of zeros are alike, one is like nothing. None where a tensor holds NaN or infinity."""
        if not math.isfinite(self.signal) or not math.isfinite(self.other):
            return None
        lengths = math.sqrt(self.signal) * math.sqrt(self.other)
        if lengths == 0:
            return 1.0 if self.signal == self.other else 0.0
        return min(max(self.product / lengths, -1.0), 1.0)

    @property
    def relative_error(self) -> float | None:
        """The largest error over the largest value; None where that is 0, or there is NaN or infinity."""
        if self.largest_error == 0:
            return 0.0
        share = self.largest_error / self.largest_value if self.largest_value else math.inf
        return share if math.isfinite(share) else None


def largest(one: float, other: float) -> float:
    """The larger one; NaN where one of them is."""
    return one if math.isnan(one) or one >= other else other


def image_sqnr(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """The signal-to-quantization-noise ratio of each image, (n, ...) -> float64 (n,), within `MOST_DB` of 0.

    Its mean is what a typical image has; that of all images together is made by the few that err most.
    """
    wide, other = (values.reshape(len(values), -1).astype(np.float64) for values in (x, y))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        found = 10 * np.log10(np.square(wide).sum(axis=1) / np.square(wide - other).sum(axis=1))
    same = (wide == other).all(axis=1)
    return np.where(same, MOST_DB, np.clip(np.nan_to_num(found, nan=-MOST_DB), -MOST_DB, MOST_DB))


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
        The signal-to-quantization-noise ratio over all images, in decibels, within `MOST_DB` of 0.
    """
    errors = [TensorError() for _ in tensors]
    sessions = [open_reference(graph, tensors) for graph in (reference, model)]

    def run(batch: NDArray[np.uint8]) -> tuple[list[list[NDArray[Any]]], int]:
        return [session.run(None, {IMAGE: batch}) for session in sessions], len(batch)

    for answers, count in stream(run, images):
        for error, x, y in zip(errors, *answers, strict=True):
            error.update(x, y, count)
        advance_or_stop(stage, count)
    return {name: error.sqnr_db for name, error in zip(tensors, errors, strict=True)}
