"""A calibration in which INT8 is bad for one layer."""

from __future__ import annotations

from msgspec import structs

from calibration.record import Calibration, step

CLIPPED_AT = 0.15  # of the largest magnitude


def spoiled(calibration: Calibration, tensor: str) -> Calibration:
    """The same, but entropy clips nearly all of a tensor, and its threshold is taken."""
    entry = calibration.tensors[tensor]
    threshold = CLIPPED_AT * entry.thresholds["minmax"]
    thresholds = {**entry.thresholds, "entropy": threshold}
    bad = structs.replace(entry, threshold=threshold, scale=step(threshold), thresholds=thresholds)
    return structs.replace(calibration, tensors={**calibration.tensors, tensor: bad})
