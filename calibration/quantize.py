"""The FP32 graph at the precision asked for, in one straight function. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from calibration.fitting import Fitted, with_fitted
from calibration.placement import Plan, plan, without_layers
from calibration.qdq import insert_qdq
from calibration.record import Calibration
from calibration.rounding import unpack
from export.float16 import FRONT_STEPS, scale_front, to_float16
from export.front import FRONT_SCALED_OUTPUT
from runtime.errors import ModelError
from runtime.spec import Precision

QUANTIZED: frozenset[Precision] = frozenset({"int8", "int8-fp16"})
HALVED: frozenset[Precision] = frozenset({"fp16", "int8-fp16"})


def at_precision(
    model: onnx.ModelProto,
    precision: Precision,
    calibration: Calibration | None,
    wide: Mapping[str, str],
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A copy of a graph that holds a precision.

    Args:
        model: the FP32 graph.
        precision: what the copy shall hold.
        calibration: of this graph, for INT8; None for one that holds Q/DQ already, which stays as it is.
        wide: nodes that leave float16's range, with the reason, for float16.

    Returns:
        The graph, and the layers that a float16 one keeps in float32, with the reason.
    """
    if precision == "int8-fp16":
        model = scale_front(model)
    if precision in QUANTIZED and calibration is not None:
        model = to_int8(model, without_layers(plan(model), calibration.in_float), calibration)
    return to_float16(model, wide) if precision in HALVED else (model, {})


def to_int8(model: onnx.ModelProto, planned: Plan, calibration: Calibration) -> onnx.ModelProto:
    """A copy of a graph with Q/DQ, and with layers fitted as the calibration has it.

    Args:
        model: the FP32 graph.
        planned: what is quantized.
        calibration: of this graph.

    Raises:
        DataError: its rounded weights are damaged.
    """
    scales = {**calibration.scales, FRONT_SCALED_OUTPUT: 1 / FRONT_STEPS}  # a whole number in -128..127 over 128
    clip, reduced = calibration.clipped_weights, calibration.reduced_range
    quantized = insert_qdq(model, planned, scales, reduced_range=reduced, clip=clip)
    shapes = {entry.name: tuple(entry.dims) for entry in model.graph.initializer}
    fitted = Fitted()
    for layer in planned.layers:
        if bias := calibration.biases.get(layer.name):
            fitted.biases[layer.name] = np.array(bias, np.float32)
        if rounding := calibration.roundings.get(layer.name):
            fitted.roundings[layer.name] = unpack(rounding, shapes[layer.weight], layer.name)
    return with_fitted(quantized, fitted)


def require_quantizable(planned: Plan, name: str) -> None:
    """Refuse a graph in which nothing can be quantized.

    Raises:
        ModelError: with the reason for each layer.
    """
    if planned.layers:
        return
    reasons = "; ".join(f"{layer.name}: {layer.reason}" for layer in planned.skipped)
    raise ModelError(
        f"no layer of {name} can be quantized ({reasons or 'it has no Conv, Gemm or MatMul'})",
        "build it with --fp32 or --fp16",
    )
