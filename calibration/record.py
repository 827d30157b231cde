"""calibration.json: the thresholds, what they were taken from, and what that was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
from msgspec import Meta, Struct, structs

from calibration.options import Method, RequestedMethod
from runtime import canonical
from runtime.errors import DataError
from runtime.folder import read_at_most, write_atomically
from runtime.manifest import Count, Decibels, Sha256

SCHEMA_VERSION: Literal[4] = 4
MOST_BINS = 256
LARGEST = 127  # steps
MOST_BYTES = 256 << 20

Positive: TypeAlias = Annotated[float, Meta(gt=0)]


class Bins(Struct, frozen=True, forbid_unknown_fields=True):
    """A histogram of magnitudes, from 0 on.

    Attributes:
        width: of a bin, a power of two.
        zeros: values that were 0, in no bin.
        counts: values in each bin, up to the last one that is not empty.
    """

    width: Positive
    zeros: Count
    counts: Annotated[tuple[Count, ...], Meta(max_length=MOST_BINS)]


class TensorScale(Struct, frozen=True, forbid_unknown_fields=True):
    """One activation.

    Attributes:
        minimum, maximum: seen on the images.
        thresholds: of every method; empty where the scale is exact.
        threshold: the largest magnitude that INT8 represents.
        scale: of one step: threshold / 127, or 1 where the tensor holds whole numbers.
        source: how the threshold was found; `exact` needs no images.
        histogram: of the magnitudes; None where there was nothing to see.
    """

    minimum: float
    maximum: float
    thresholds: dict[Method, Positive]
    threshold: Positive
    scale: Positive
    source: Literal["minmax", "percentile", "entropy", "mse", "exact"]
    histogram: Bins | None

    def __post_init__(self) -> None:
        if self.minimum > self.maximum:
            raise ValueError(f"the minimum {self.minimum} is larger than the maximum {self.maximum}")
        if self.source != "exact" and self.thresholds.keys() != set(get_args(Method)):
            raise ValueError("there is not a threshold of every method")


class GivenBack(Struct, frozen=True, forbid_unknown_fields=True):
    """A layer that stays in float.

    Attributes:
        layer: its name.
        sqnr_db: of the logits where it alone is quantized.
    """

    layer: str
    sqnr_db: Decibels


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """What INT8 was allowed to lose, and what had to stay in float for that.

    Attributes:
        max_drop: points of top-1, or percent of the images that may change their class.
        judged_by: which of the two: there were labels, or there were none.
        images: that judged it: they gave no thresholds, and are not those that accuracy is reported on.
        lost_at_first: with every layer in INT8.
        lost: with these layers in float.
        met: that is no more than it may be.
        given_back: the layers, the most sensitive one first.
    """

    max_drop: Annotated[float, Meta(ge=0)]
    judged_by: Literal["top1", "agreement"]
    images: Annotated[int, Meta(ge=1)]
    lost_at_first: float
    lost: float
    met: bool
    given_back: tuple[GivenBack, ...]


class Calibration(Struct, frozen=True, forbid_unknown_fields=True):
    """calibration.json.

    Attributes:
        schema_version: of this form.
        requested: the method that was asked for.
        method: the one that found the thresholds.
        compared: for `auto`, the mean SQNR of a held-out image's logits by method, in decibels; empty otherwise.
        images: how many the thresholds were taken from.
        held_out: how many others methods were compared on.
        reduced_range: INT8 weights use 7 of their 8 bits.
        images_digest: sha256 of all images that were given, in any order.
        graph_digest: sha256 of the FP32 graph without its constants.
        weights_digest: sha256 of its constants.
        preprocessing_digest: sha256 of how an image becomes the model's input.
        tensors: by name.
        biases: corrected ones, by layer; empty where none are.
        roundings: by how many steps INT8 weights differ from the nearest ones, by layer: see `rounding.pack`.
        clipped_weights: INT8 weights are clipped where that makes their squared error smallest.
        budget: None where none was asked for.
    """

    schema_version: Literal[4]
    requested: RequestedMethod
    method: Method
    compared: dict[Method, float]
    images: Annotated[int, Meta(ge=1)]
    held_out: Count
    reduced_range: bool
    images_digest: Sha256
    graph_digest: Sha256
    weights_digest: Sha256
    preprocessing_digest: Sha256
    tensors: dict[str, TensorScale]
    biases: dict[str, tuple[float, ...]]
    roundings: dict[str, str]
    clipped_weights: bool
    budget: Budget | None

    @property
    def in_float(self) -> tuple[str, ...]:
        """Layers that stay in float for the budget."""
        return tuple(entry.layer for entry in self.budget.given_back) if self.budget else ()

    @property
    def fitted(self) -> bool:
        """Whether weights or biases make up for rounding."""
        return bool(self.biases or self.roundings)

    @property
    def scales(self) -> dict[str, float]:
        """Of one step, by tensor."""
        return {name: tensor.scale for name, tensor in self.tensors.items()}

    @property
    def made_from(self) -> dict[str, str]:
        """What a calibration hangs on, by name for people."""
        return {
            "the graph": self.graph_digest,
            "the weights": self.weights_digest,
            "the preprocessing": self.preprocessing_digest,
            "the images": self.images_digest,
            "the method": self.requested,
            "the range of weights": "reduced" if self.reduced_range else "full",
        }


def step(threshold: float) -> float:
    """The scale that spreads 127 steps up to a threshold.

    Rounded to float32 as the graph holds it, so that file and graph agree to the last bit; a denormal is no 0.
    """
    return float(max(np.float32(threshold / LARGEST), np.finfo(np.float32).tiny))


def of_method(tensors: Mapping[str, TensorScale], method: Method) -> dict[str, TensorScale]:
    """The same tensors with the thresholds of one method."""
    return {
        name: tensor
        if tensor.source == "exact"
        else structs.replace(
            tensor, threshold=tensor.thresholds[method], scale=step(tensor.thresholds[method]), source=method
        )
        for name, tensor in tensors.items()
    }


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write calibration.json in canonical form."""
    write_atomically(path, canonical.to_bytes(calibration))


def read_calibration(path: Path) -> Calibration:
    """Read calibration.json.

    Raises:
        DataError: it cannot be read, or is not what `write_calibration` writes.
    """
    try:
        data = read_at_most(path, MOST_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "give a calibration.json") from error
    return parse_calibration(data, path)


def parse_calibration(data: bytes, name: Path) -> Calibration:
    """The content of a calibration.json.

    Raises:
        DataError: it is not what `write_calibration` writes; the message begins with `name`.
    """
    return canonical.from_bytes(data, Calibration, name, DataError, "calibrate again")
