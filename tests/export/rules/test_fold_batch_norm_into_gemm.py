"""The fold of a batch normalization into a dense layer: exact where it fits, hands off where it does not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from export.rules import apply_rules
from export.rules.fold_batch_norm_into_gemm import FoldBatchNormIntoGemm
from tests.export.graphs import answer, constant_names, distance, normal, op_types, parse

RULES = (FoldBatchNormIntoGemm(),)
NORM = "norm = BatchNormalization (image, scale, shift, mean, variance)"
POOL = "pool = MaxPool <kernel_shape=[2,2], strides=[2,2]> (norm)"
WIDTH = {"pool": 3 * 3 * 2, "norm": 3 * 6 * 5}  # what Flatten gives behind each
ANSWER = "float[batch,4] fc"


def constants(source: str, **changes: np.ndarray) -> dict[str, np.ndarray]:
    """All positive scales, and the weight of a Gemm with transB."""
    return {
        "scale": np.array([0.5, 2.0, 1.5], np.float32),
        "shift": normal(3, seed=1),
        "mean": normal(3, seed=2),
        "variance": np.array([0.2, 1.0, 3.0], np.float32),
        "w": normal(4, WIDTH[source], seed=3),
        "b": normal(4, seed=4),
        **changes,
    }


def graph(
    flatten: str = "Flatten (pool)", gemm: str = "<transB=1> (flat, w, b)", **changes: np.ndarray
) -> onnx.ModelProto:
    source = "pool" if "(pool" in flatten else "norm"
    body = [NORM, *([POOL] if source == "pool" else []), f"flat = {flatten}", f"fc = Gemm {gemm}"]
    used = " ".join(body)
    values = {name: value for name, value in constants(source, **changes).items() if f" {name}" in used}
    return parse("\n".join(body), ANSWER, **values)


def images(count: int = 3) -> NDArray[np.float32]:
    return normal(count, 3, 6, 5, seed=9)


def applied(model: onnx.ModelProto) -> tuple[int, str]:
    ((_, count, reason),) = apply_rules(model, RULES)
    return count, reason


@pytest.mark.parametrize(
    ("flatten", "gemm", "left"),
    [
        ("Flatten (pool)", "<transB=1> (flat, w, b)", ["MaxPool", "Flatten", "Gemm"]),
        ("Flatten (pool)", "<transB=1> (flat, w)", ["MaxPool", "Flatten", "Gemm"]),
        ("Flatten (norm)", "<transB=1> (flat, w, b)", ["Flatten", "Gemm"]),
        ("Reshape (pool, rows)", "<transB=1> (flat, w, b)", ["MaxPool", "Reshape", "Gemm"]),
    ],
)
def test_it_is_gone_and_the_answers_stay(flatten: str, gemm: str, left: list[str]) -> None:
    before = graph(flatten, gemm, rows=np.array([-1, WIDTH["pool"]], np.int64))
    wanted = answer(before, images())[0]
    assert applied(before) == (1, "")
    onnx.checker.check_model(before, full_check=True)
    assert op_types(before) == left
    assert constant_names(before) <= {"w", "b", "fc.bias", ".bias", "rows"}
    assert distance(wanted, answer(before, images())[0]) < 1e-6


def test_a_weight_that_is_not_turned() -> None:
    model = graph(gemm="(flat, w, b)", w=normal(WIDTH["pool"], 4, seed=3))
    wanted = answer(model, images())[0]
    assert applied(model) == (1, "")
    assert distance(wanted, answer(model, images())[0]) < 1e-6


def test_a_negative_scale_is_folded_where_no_pool_picks_the_largest() -> None:
    model = graph("Flatten (norm)", scale=np.array([-0.5, 2.0, 0.0], np.float32))
    wanted = answer(model, images())[0]
    assert applied(model) == (1, "")
    assert distance(wanted, answer(model, images())[0]) < 1e-6


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (graph(scale=np.array([0.5, -2.0, 0.0], np.float32)), "turns 2 channels round"),
        (graph(gemm="<transB=1, alpha=2.0> (flat, w, b)"), "scales or turns"),
        (graph("Flatten <axis=2> (pool)"), "channel after channel"),
        (graph("Reshape (pool, rows)", w=normal(4, 6), rows=np.array([-1, 6])), "channel after channel"),
        (graph("Flatten (pool)", "<transB=1> (flat, w, shift)", w=normal(3, 18)), "used elsewhere"),
    ],
)
def test_hands_off(model: onnx.ModelProto, why: str) -> None:
    before = model.SerializeToString(deterministic=True)
    count, reason = applied(model)
    assert count == 0
    assert why in reason
    assert model.SerializeToString(deterministic=True) == before


def test_another_reader_of_what_it_gives() -> None:
    body = f"{NORM}\nflat = Flatten (norm)\nfc = Gemm <transB=1> (flat, w, b)\nother = Relu (norm)"
    model = parse(body, f"{ANSWER}, float[batch,3,6,5] other", **constants("norm"))
    assert applied(model)[0] == 0


def test_before_a_padded_convolution_it_stays() -> None:
    body = f"{NORM}\nfc = Conv <pads=[1,1,1,1]> (norm, w)"
    values = {name: value for name, value in constants("norm").items() if name not in ("w", "b")}
    model = parse(body, "float[batch,4,6,5] fc", **values, w=normal(4, 3, 3, 3))
    assert applied(model) == (0, "")
    assert op_types(model) == ["BatchNormalization", "Conv"]


def test_the_new_bias_takes_no_name_that_is_there() -> None:
    body = [NORM, "flat = Flatten (norm)", "[fc] u = Gemm <transB=1> (flat, w)", 'fc = Add (u, "fc.bias")']
    values = {name: value for name, value in constants("norm").items() if name != "b"}
    model = parse("\n".join(body), ANSWER, **values, **{"fc.bias": normal(4, seed=5)})
    expected = answer(model, images())[0]
    assert applied(model) == (1, "")
    assert distance(expected, answer(model, images())[0]) < 1e-5
    assert len(constant_names(model)) == len(model.graph.initializer)
