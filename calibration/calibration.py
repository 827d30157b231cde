"""calibration.json: the thresholds, what they were taken from, and how to take them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
import onnx
from msgspec import Meta, Struct
from numpy.typing import NDArray

from calibration.observers import METHODS, Observer
from calibration.placement import Plan
from export.front import FRONT_OFFSET_OUTPUT, IMAGE
from export.reference import open_reference
from runtime import canonical
from runtime.errors import DataError
from runtime.folder import write_atomically
from runtime.manifest import Sha256
from runtime.progress import Stage, advance_or_stop

Method: TypeAlias = Literal["minmax"]
LARGEST = 127


class TensorScale(Struct, frozen=True, forbid_unknown_fields=True):
    """One activation.

    Attributes:
        minimum, maximum: seen on the images.
        threshold: the largest magnitude that INT8 represents.
        scale: of one step: threshold / 127, or 1 where the tensor holds whole numbers.
        source: how the threshold was found; `exact` needs no images.
    """

    minimum: float
    maximum: float
    threshold: Annotated[float, Meta(gt=0)]
    scale: Annotated[float, Meta(gt=0)]
    source: Literal["minmax", "exact"]

    def __post_init__(self) -> None:
        if self.minimum > self.maximum:
            raise ValueError(f"the minimum {self.minimum} is larger than the maximum {self.maximum}")


class Calibration(Struct, frozen=True, forbid_unknown_fields=True):
    """calibration.json.

    Attributes:
        schema_version: of this form.
        method: how thresholds were found.
        images: how many were used.
        images_digest: sha256 over them and their labels.
        model_digest: sha256 of the FP32 graph.
        tensors: by name.
    """

    schema_version: Literal[1]
    method: Method
    images: Annotated[int, Meta(ge=1)]
    images_digest: Sha256
    model_digest: Sha256
    tensors: dict[str, TensorScale]


def observe(
    model: onnx.ModelProto, plan: Plan, images: Iterable[NDArray[np.uint8]], method: Method, stage: Stage
) -> dict[str, TensorScale]:
    """Stream images through the graph and find a scale for every tensor of the plan.

    Args:
        model: the FP32 graph.
        plan: says which tensors.
        images: batches, uint8 (n, H, W, C), n may differ.
        method: one of `METHODS`.
        stage: advanced by the number of images.

    Raises:
        DataError: there are no images, or a tensor holds NaN or infinity.
    """
    seen = 0
    observers: dict[str, Observer] = {name: METHODS[method](name) for name in plan.tensors}
    session = open_reference(model, list(observers))
    for batch in images:
        for observer, values in zip(observers.values(), session.run(None, {IMAGE: batch}), strict=True):
            observer.update(values)
        seen += len(batch)
        advance_or_stop(stage, len(batch))
    if not seen:
        raise DataError("there are no images to calibrate with", "give a set with at least one image")
    return {name: scale_of(name, observer, method) for name, observer in observers.items()}


def scale_of(name: str, observer: Observer, method: Method) -> TensorScale:
    """The scale of one tensor. The front's pixels less 128 are whole numbers in -128..127: scale 1 is exact."""
    if name == FRONT_OFFSET_OUTPUT:
        return TensorScale(observer.minimum, observer.maximum, float(LARGEST + 1), 1.0, "exact")
    threshold = observer.threshold()
    # Rounded to float32 as the graph holds it, so that file and graph agree to the last bit; a denormal is no 0.
    scale = float(max(np.float32(threshold / LARGEST), np.finfo(np.float32).tiny))
    return TensorScale(observer.minimum, observer.maximum, threshold, scale, method)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write calibration.json in canonical form."""
    write_atomically(path, canonical.to_bytes(calibration))


def read_calibration(path: Path) -> Calibration:
    """Read calibration.json.

    Raises:
        DataError: it cannot be read, or is not what `write_calibration` writes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", "give a calibration.json") from error
    return canonical.from_bytes(data, Calibration, path, DataError, "calibrate again")
