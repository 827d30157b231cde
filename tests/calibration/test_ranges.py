"""What leaves float16's range is found on images, and stays float32 in the graph."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.quantize import at_precision
from calibration.ranges import wide_nodes
from export.float16 import LARGEST
from runtime.errors import DataError
from runtime.progress import SilentStage
from tests.export.graphs import answer, distance, normal, parse

FLOATS = "float[batch,4] image"
OUTPUT = "float[batch,4] y"
BODY = "[a] t = Gemm (image, w) [b] u = Gemm (t, v) [c] y = Tanh (u)"


@pytest.mark.parametrize(("factor", "wide"), [(1.0, set()), (40_000.0, {"a", "b"})])
def test_layers_beyond_half_the_range_stay_float32_and_the_rest_does_not(factor: float, wide: set[str]) -> None:
    w, v = np.eye(4, dtype=np.float32) * np.float32(factor), np.eye(4, dtype=np.float32) / np.float32(factor)
    model = parse(BODY, OUTPUT, takes=FLOATS, w=w, v=v)
    images = np.clip(normal(64, 4), -1.2, 1.2)
    found = wide_nodes(model, [images[:30], images[30:]], SilentStage())
    assert set(found) == wide
    assert all("float16 ends at 65504" in reason for reason in found.values())
    graph, kept = at_precision(model, "fp16", None, found)
    assert set(kept) == wide
    assert distance(answer(model, images)[0], answer(graph, images)[0]) < 5e-3


def test_a_weight_beyond_float16_keeps_its_layer_in_float32() -> None:
    model = parse(BODY, OUTPUT, takes=FLOATS, w=normal(4, 4), v=np.full((4, 4), 2 * LARGEST, np.float32))
    _, kept = at_precision(model, "fp16", None, {})
    assert set(kept) == {"b"} and "float16 ends at" in kept["b"]


def test_nan_names_its_tensor() -> None:
    model = parse(BODY, OUTPUT, takes=FLOATS, w=np.full((4, 4), np.nan, np.float32), v=normal(4, 4))
    with pytest.raises(DataError, match="tensor t "):
        wide_nodes(model, [normal(2, 4)], SilentStage())


def test_activations_below_float16s_normal_numbers_stay_float32() -> None:
    model = parse("[a] t = Mul (image, w) [b] y = Div (t, w)", OUTPUT, takes=FLOATS, w=np.array(1e-6, np.float32))
    found = wide_nodes(model, [normal(8, 4)], SilentStage())
    assert set(found) == {"a", "b"} and "too small for float16" in found["a"]


def test_a_mask_of_infinities_is_no_error() -> None:
    body = "[c] c = Less (image, zero) [w] t = Where (c, mask, image) [s] y = Softmax (t)"
    numbers = {"zero": np.array(0, np.float32), "mask": np.array(-np.inf, np.float32)}
    assert wide_nodes(parse(body, OUTPUT, takes=FLOATS, **numbers), [np.abs(normal(8, 4))], SilentStage()) == {}
