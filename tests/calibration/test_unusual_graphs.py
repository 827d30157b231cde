"""Graphs and images that are not what lenet's are: each is quantized right, or refused with a reason."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.calibration import observe, scale_of
from calibration.judging import compare_methods
from calibration.observers import Histogram
from calibration.placement import plan
from calibration.qdq import ENDINGS, insert_qdq
from calibration.quantize import require_quantizable
from calibration.record import TensorScale
from export.float16 import to_float16
from runtime.errors import DataError, ModelError, WeightsError
from runtime.progress import SilentStage
from tests.export.graphs import answer, distance, normal, parse

FLOATS = "float[batch,4] image"
OUTPUT = "float[batch,4] y"


def quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """With scales from random numbers."""
    planned = plan(model)
    histograms = observe(model, planned.tensors, [normal(64, 4)], SilentStage()).histograms
    return insert_qdq(model, planned, {name: scale_of(entry, "minmax").scale for name, entry in histograms.items()})


def test_a_weight_that_layers_read_along_both_axes_has_scales_for_each() -> None:
    weight = normal(4, 4) * np.array([1, 10, 100, 1000], np.float32)  # one set of scales would not do for both
    body = "[a] t = Gemm <transB=1> (image, w) [b] y = Gemm (t, w)"
    model = parse(body, OUTPUT, takes=FLOATS, w=weight)
    result = quantized(model)
    axes = {
        node.name: node.attribute[0].i for node in result.graph.node if node.attribute and "dequantize" in node.name
    }
    assert axes == {"w/dequantize": 0, "w/axis1/dequantize": 1}
    images = normal(64, 4, seed=1)
    assert distance(answer(model, images)[0], answer(result, images)[0]) < 0.03


def test_a_weight_that_callers_may_replace_is_no_constant() -> None:
    model = parse("[fc] y = Gemm (image, w)", OUTPUT, takes=f"{FLOATS}, float[4,4] w", w=normal(4, 4))
    (layer,) = plan(model).skipped
    assert layer.reason == "its weight is not constant"


def test_beta_counts_only_where_there_is_a_bias() -> None:
    without = parse("[fc] y = Gemm <beta=0.5> (image, w)", OUTPUT, takes=FLOATS, w=normal(4, 4))
    with_bias = parse("[fc] y = Gemm <beta=0.5> (image, w, b)", OUTPUT, takes=FLOATS, w=normal(4, 4), b=normal(4))
    assert [layer.name for layer in plan(without).layers] == ["fc"]
    assert [layer.name for layer in plan(with_bias).skipped] == ["fc"]


def test_constants_of_a_branch_stay() -> None:
    body = """[fc] t = Gemm (image, w) [c] yes = Less (one, two) [if] y = If (yes) <
        then_branch = one_way () => (float[batch,4] p) { [p] p = Add (t, two) },
        else_branch = other_way () => (float[batch,4] q) { [q] q = Add (t, three) }>"""
    numbers = {"one": np.array(1, np.float32), "two": np.array(2, np.float32), "three": np.array(3, np.float32)}
    model = parse(body, OUTPUT, takes=FLOATS, w=normal(4, 4), **numbers)
    result = quantized(model)
    assert set(numbers) <= {constant.name for constant in result.graph.initializer}
    assert distance(answer(model, normal(8, 4))[0], answer(result, normal(8, 4))[0]) < 0.03


def test_a_weight_that_is_an_output_stays() -> None:
    model = parse("[fc] y = Gemm (image, w)", f"{OUTPUT}, float[4,4] w", takes=FLOATS, w=normal(4, 4))
    assert "w" in {constant.name for constant in quantized(model).graph.initializer}


@pytest.mark.parametrize("tensor", ["t", "w"])
@pytest.mark.parametrize("ending", [*ENDINGS, "/float16", "/float32"])
def test_names_of_what_is_inserted_may_be_taken(tensor: str, ending: str) -> None:
    taken = f'"{tensor}{ending}"'
    body = f"[a] t = Relu (image) [b] u = Gemm (t, w) [c] {taken} = Tanh (u) [d] y = Gemm ({taken}, v)"
    model = parse(body, OUTPUT, takes=FLOATS, w=normal(4, 4), v=normal(4, 4))
    model.graph.node[2].name = taken.strip('"')
    images, result = normal(8, 4), quantized(model)
    assert distance(answer(model, images)[0], answer(result, images)[0]) < 0.03
    half, _ = to_float16(result, {})
    assert distance(answer(model, images)[0], answer(half, images)[0]) < 0.03


@pytest.mark.parametrize("name", ["t/int8", "w/float", "t/float16"])
def test_so_may_they_within_a_branch(name: str) -> None:
    body = f"""[a] t = Relu (image) [b] u = Gemm (t, w) [if] s = If (yes) <
        then_branch = one_way () => (float[batch,4] p) {{ "{name}" = Add (t, u) p = Tanh ("{name}") }},
        else_branch = other_way () => (float[batch,4] q) {{ q = Tanh (t) }}> [d] y = Gemm (s, v)"""
    model = parse(body, OUTPUT, takes=FLOATS, yes=np.array(True), w=normal(4, 4), v=normal(4, 4))
    images, result = normal(8, 4), quantized(model)
    half, _ = to_float16(result, {})
    for graph in (result, half):
        assert distance(answer(model, images)[0], answer(graph, images)[0]) < 0.03


def test_the_methods_are_compared_whatever_the_scales_are_called() -> None:
    body = '[b] "image/scale" = Gemm (image, w) [d] y = Gemm ("image/scale", v)'
    model = parse(body, OUTPUT, takes=FLOATS, w=normal(4, 4), v=normal(4, 4))
    planned, images = plan(model), normal(8, 4)
    fine, coarse = ({name: scale for name in planned.tensors} for scale in (0.03, 0.3))
    result = insert_qdq(model, planned, fine, weights=False)
    found = compare_methods(model, result, {"minmax": fine, "mse": coarse}, [images], SilentStage())
    assert found["minmax"].mean() > found["mse"].mean() + 10


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_weight_is_refused_by_name(bad: float) -> None:
    weight = normal(4, 4)
    weight[1, 2] = bad
    model = parse("[fc] y = Gemm (image, w)", OUTPUT, takes=FLOATS, w=weight)
    with pytest.raises(WeightsError, match="weight w ") as caught:
        insert_qdq(model, plan(model), {"image": 1.0})
    assert caught.value.hint


def test_no_images_are_refused() -> None:
    model = parse("[fc] y = Gemm (image, w)", OUTPUT, takes=FLOATS, w=normal(4, 4))
    with pytest.raises(DataError, match="no images"):
        observe(model, plan(model).tensors, [], SilentStage())


@pytest.mark.parametrize("value", [1e-45, 1e-44, 1e-38, 3e38])
def test_a_scale_is_never_0_or_infinite(value: float) -> None:
    histogram = Histogram("t")
    histogram.update(np.array([value], np.float32))
    scale = np.float32(scale_of(histogram, "minmax").scale)
    assert 0 < scale < np.inf


def test_a_range_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="minimum"):
        TensorScale(1.0, -1.0, {}, 1.0, 1.0, "minmax", None)


@pytest.mark.parametrize(
    ("body", "constants", "reason"),
    [
        ("[t] y = Tanh (image)", {}, "it has no Conv, Gemm or MatMul"),
        ("[t] t = Tanh (image) [u] u = Transpose (t) [fc] y = MatMul (t, u)", {}, "fc: its weight is not constant"),
    ],
)
def test_a_model_without_a_layer_to_quantize_is_refused(
    body: str, constants: dict[str, NDArray[np.float32]], reason: str
) -> None:
    model = parse(body, OUTPUT, takes=FLOATS, **constants)
    with pytest.raises(ModelError, match=reason) as caught:
        require_quantizable(plan(model), "net")
    assert "--fp32" in caught.value.hint
