"""What can be asked of TensorRT beside the precision, which is in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Compatibility: TypeAlias = Literal["ampere+", "same-cc"]


@dataclass(frozen=True)
class TensorRtOptions:
    """How a plan is built; None and False leave it to TensorRT.

    Attributes:
        workspace_mib: device memory that a tactic may use, in MiB; None takes what is free.
        optimization_level: 0 (fastest to build) to 5 (fastest to run).
        version_compatible: newer versions of TensorRT can run the plan.
        hardware_compatible: other GPUs can: `ampere+`, all from compute capability 8.0 on; `same-cc`, all of this one.
        strip_weights: leave out weights; they come from the bundle's ONNX model when the plan is loaded.
        compute_capabilities: the GPUs to build for, such as `8.6`; empty for the one that is here.
        verbose: show every warning.
    """

    workspace_mib: int | None = None
    optimization_level: int | None = None
    version_compatible: bool = False
    hardware_compatible: Compatibility | None = None
    strip_weights: bool = False
    compute_capabilities: tuple[str, ...] = ()
    verbose: bool = False
