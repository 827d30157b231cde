"""Products with INT8 weights as convolutions give the same, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.backends.openvino import core, openvino
from runtime.backends.openvino_layers import executed_types
from runtime.backends.openvino_products import products_as_convolutions

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}
GENERATOR = np.random.default_rng(0)
WEIGHTS = GENERATOR.integers(-64, 65, (24, 16)).astype(np.int8)
SCALES = (0.01 + 0.01 * GENERATOR.random((24, 1))).astype(np.float32)


def weights_node(case: str) -> Any:
    """WEIGHTS x SCALES, (outputs, inputs); (inputs, outputs) of the case "turned"."""
    ops = openvino().opset13
    stored, scales = (WEIGHTS.T, SCALES.T) if case == "turned" else (WEIGHTS, SCALES)
    if case == "a scale for each input":
        scales = np.ones((1, 16), np.float32) + np.arange(16, dtype=np.float32)
    if case == "float weights":
        return ops.constant((stored * scales).astype(np.float32))
    value = ops.convert(ops.constant(np.ascontiguousarray(stored)), "f32")
    if case.startswith("zero"):
        value = ops.subtract(value, np.float32(case == "zeros that are none"))
    return ops.multiply(value, ops.constant(np.ascontiguousarray(scales)))


@pytest.mark.parametrize("shape", [[-1, 16], [3, 16], [-1, 5, 16], [2, 5, 16], [-1, 2, 5, 16]], ids=str)
@pytest.mark.parametrize(
    "case",
    ["plain", "turned", "zeros", "moved", "zeros that are none", "a scale for each input", "float weights", "float"],
)
def test_products_of_quantized_tensors_with_int8_weights_are_replaced(shape: list[int], case: str) -> None:
    ops = openvino().opset13
    given = ops.parameter(shape, np.float32)
    value = ops.relu(given)
    if case != "float":
        value = ops.fake_quantize(value, *map(np.float32, (0, 2.55, 0, 2.55)), 256)
    if case == "moved":
        value = ops.reshape(value, [0] * (len(shape) - 1) + [16], True)
    product = ops.matmul(value, weights_node(case), False, case != "turned")
    product.set_friendly_name("layer")
    model = openvino().Model([ops.add(product, np.ones(24, np.float32))], [given], "net")
    image = GENERATOR.random([3 if end == -1 else end for end in shape], np.float32)
    if case == "a scale for each input":  # OpenVINO reads past these scales (2025.0 to 2026.4.1): nothing to compare
        assert products_as_convolutions(openvino(), model) == 0
        return
    wanted = core().compile_model(model, "CPU", SETTINGS)([image])[0]
    count = products_as_convolutions(openvino(), model)
    assert count == (case in ("plain", "turned", "zeros", "moved"))
    found = core().compile_model(model, "CPU", SETTINGS)
    if count:
        assert executed_types(found)["layer"] == "int8"
    np.testing.assert_allclose(found([image])[0], wanted, atol=1e-2)


def test_with_two_lengths_unknown_a_product_stays() -> None:
    ops = openvino().opset13
    given = ops.parameter([-1, -1, 16], np.float32)
    value = ops.fake_quantize(given, *map(np.float32, (0, 2.55, 0, 2.55)), 256)
    model = openvino().Model([ops.matmul(value, weights_node("plain"), False, True)], [given], "net")
    assert products_as_convolutions(openvino(), model) == 0
