"""What a layer multiplies its weights with, beside what ONNX Runtime makes of the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from calibration import samples
from calibration.samples import columns, layer_samples
from export.reference import open_reference


def answer(node: onnx.NodeProto, given: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What ONNX Runtime gives."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, given.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return np.asarray(open_reference(model).run(None, {"x": given})[0])


@pytest.mark.parametrize(
    ("given", "weight", "attributes"),
    [
        ((2, 3, 7, 6), (4, 3, 3, 3), {}),
        ((2, 3, 7, 6), (4, 3, 3, 2), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
        ((2, 3, 9, 8), (4, 3, 3, 2), {"dilations": [2, 3], "pads": [0, 1, 0, 1]}),
        ((2, 6, 5, 5), (4, 3, 3, 3), {"group": 2}),
        ((2, 6, 5, 5), (6, 1, 3, 3), {"group": 6, "strides": [2, 2]}),
        ((2, 3, 11), (4, 3, 5), {"strides": [3], "pads": [1, 2]}),
        ((2, 2, 4, 5, 6), (3, 2, 2, 2, 2), {}),
    ],
)
def test_a_convolution_is_a_product_with_its_columns(
    given: tuple[int, ...], weight: tuple[int, ...], attributes: dict[str, Any]
) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=shape).astype(np.float32) for shape in (given, weight))
    node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    expected = np.moveaxis(answer(node, x, w), 1, -1).reshape(-1, weight[0])
    groups = attributes.get("group", 1)
    found = columns(node, weight, x, 10_000)
    assert found.shape == (groups, len(expected), int(np.prod(weight[1:])))
    products = found @ w.reshape(groups, weight[0] // groups, -1).transpose(0, 2, 1)
    np.testing.assert_allclose(np.concatenate(list(products), axis=1), expected, rtol=1e-4, atol=1e-4)


def test_some_places_are_taken_of_many() -> None:
    x = np.arange(2 * 10 * 10, dtype=np.float32).reshape(2, 1, 10, 10)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    (found,) = columns(node, (1, 1, 1, 1), x, 50)
    assert len(set(found.ravel().tolist())) == 50
    np.testing.assert_array_equal(columns(node, (1, 1, 1, 1), x, 50)[0], found)
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert columns(product, (10, 3), x, 7).shape == (1, 7, 10)


def test_each_batch_gives_a_sample_however_large_the_layer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_VALUES", 1)
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"])
    values = [np.ones((4, 10), np.float32), np.zeros((2, 10), np.float32)]
    assert layer_samples(node, (10, 3), values, central=False).tolist() == [[[1] * 10, [0] * 10]]


@pytest.mark.parametrize("central", [False, True])
def test_samples_are_those_of_all_batches(central: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(1, 1, (count, 10)).astype(np.float32) for count in (9, 3)]
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"])
    whole = np.concatenate(values)
    found = layer_samples(node, (10, 3), values, central=central)
    np.testing.assert_array_equal(found[0], whole - whole.mean(axis=0) if central else whole)
    monkeypatch.setattr(samples, "MOST_INPUTS", 9)
    monkeypatch.setattr(samples, "FEW_SAMPLES", 8)
    assert layer_samples(node, (10, 3), values, central=central).shape == (1, 4 + 3, 10)
