"""What `export` and `calibrate` print with --json. Values only, some of modules that need PyTorch and ONNX."""

from __future__ import annotations

from msgspec import Struct

from calibration.options import Method
from calibration.record import Calibration
from export.parity import ParityRow
from runtime.manifest import Decibels, GraphError
from runtime.spec import Precision


class ExportedLayer(Struct, frozen=True):
    """One layer that could be quantized.

    Attributes:
        name: the module path of its weight.
        asked: the type that the graph holds for it.
        reason: why it was left in float; empty otherwise.
        sqnr_db: of its output against the FP32 graph's; null where it was not measured.
    """

    name: str
    asked: str
    reason: str
    sqnr_db: Decibels | None


class Exported(Struct, frozen=True):
    """`export --json`.

    Attributes:
        model: its name.
        precision: of the graph.
        file: that was written.
        size_bytes: of the file.
        parity: how the FP32 graph compares with the original, at several batch sizes.
        method: by which INT8 thresholds were found; null without INT8.
        reduced_range: INT8 weights use 7 of their 8 bits.
        error: of the graph against the FP32 one.
        layers: with what became of each.
        warnings: for people.
    """

    model: str
    precision: Precision
    file: str
    size_bytes: int
    parity: tuple[ParityRow, ...]
    method: Method | None
    reduced_range: bool
    error: GraphError
    layers: tuple[ExportedLayer, ...]
    warnings: tuple[str, ...]


class Calibrated(Struct, frozen=True):
    """`calibrate --json`.

    Attributes:
        model: its name.
        file: that was written.
        calibration: what is in it.
    """

    model: str
    file: str
    calibration: Calibration
