"""How to calibrate, as far as a user may say it. Imports nothing, so that a command line can have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

CALIB_IMAGES, MOST_CALIB_IMAGES = 1024, 8192

Method: TypeAlias = Literal["minmax", "percentile", "entropy", "mse"]
RequestedMethod: TypeAlias = Literal["auto", Method]
Rounding: TypeAlias = Literal["feedback", "nearest"]


@dataclass(frozen=True)
class CalibrationOptions:
    """How thresholds are found, and layers fitted to them.

    Attributes:
        images: how many to take; `auto` as many as thresholds need to settle; None `CALIB_IMAGES`.
        method: of the thresholds; None is `auto`, which compares all.
        reduce_range: keep INT8 weights to 7 bits; None does what the targets need.
        rounding: of weights: with feedback, or each to the nearest.
        correct_biases: take what quantizing does to the mean of a layer's outputs off its bias.
        clip_weights: let the scale of a channel of weights be that of the smallest squared error.
    """

    images: int | Literal["auto"] | None = None
    method: RequestedMethod | None = None
    reduce_range: bool | None = None
    rounding: Rounding = "feedback"
    correct_biases: bool = True
    clip_weights: bool = False

    @property
    def most_images(self) -> int:
        """How many images to take at most."""
        return MOST_CALIB_IMAGES if self.images == "auto" else self.images or CALIB_IMAGES

    @property
    def requested(self) -> RequestedMethod:
        """The method, `auto` where none is named."""
        return self.method or "auto"

    def differs(self) -> tuple[str, ...]:
        """The options, as a command line has them, that are not as they are by default."""
        names = {
            "images": "--calib-images",
            "method": "--method",
            "reduce_range": "--reduce-range" if self.reduce_range else "--full-range",
            "rounding": "--rounding",
            "correct_biases": "--keep-biases",
            "clip_weights": "--clip-weights",
        }
        plain = CalibrationOptions()
        return tuple(flag for name, flag in names.items() if getattr(self, name) != getattr(plain, name))
