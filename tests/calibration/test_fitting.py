"""Layers fitted one by one: means of outputs are those of FP32 again, and outputs nearer to it, in branches too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import runtime
from calibration.calibration import CalibrationRequest, calibrate, images_in_memory
from calibration.errors import measure_sqnr
from calibration.fitting import Fitted, channel_means, correctable, fit_layers, with_fitted
from calibration.options import CalibrationOptions
from calibration.parts import parts
from calibration.placement import plan
from calibration.qdq import insert_qdq
from calibration.quantize import to_int8
from export.front import IMAGE
from export.graph import initializers
from export.reference import open_reference
from runtime.datasets import batches, evenly_spaced, open_dataset
from runtime.errors import Cancelled
from tests.export.graphs import normal, parse
from tests.fakes import RecordingProgress, RecordingStage
from toolkit.zoo import ZOO

DATA = Path(runtime.__file__).parent / "data" / "mnist"
DIGITS = open_dataset(DATA, "train")
SPEC = ZOO["lenet"].spec
IMAGES = list(batches(evenly_spaced(DIGITS, 40), SPEC, 16))  # the last batch is smaller
#: Two branches that meet, one layer without a bias, one whose bias is computed, and a MatMul.
BRANCHES = """<ir_version: 10, opset_import: ["" : 20]>
g (uint8[batch,8,8,1] image) => (float[batch,3] y) <int64[2] flat = {0, -1}> {
    float = Cast<to=1>(image)
    pixels = Transpose<perm=[0,3,1,2]>(float)
    one = Conv<pads=[1,1,1,1]>(pixels, w1, b1)
    rectified = Relu(one)
    two = Conv<pads=[1,1,1,1]>(rectified, w2)
    sum = Add(two, rectified)
    doubled = Add(b1, b1)
    three = Conv(sum, w3, doubled)
    row = Reshape(three, flat)
    product = MatMul(row, w4)
    y = Gemm(product, w5, b5)
}"""
SHAPES = {
    "w1": (4, 1, 3, 3),
    "b1": (4,),
    "w2": (4, 4, 3, 3),
    "w3": (4, 4, 5, 5),
    "w4": (64, 6),
    "w5": (6, 3),
    "b5": (3,),
}


@pytest.fixture(scope="module")
def branches() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(BRANCHES)
    for node in model.graph.node:
        node.name = node.output[0]
    model.graph.initializer.extend(
        numpy_helper.from_array(rng.normal(0.1, 0.3, shape).astype(np.float32), name) for name, shape in SHAPES.items()
    )
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="module")
def noise() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (count, 8, 8, 1), np.uint8) for count in (5, 5, 2)]


def coarse(model: onnx.ModelProto, noise: list[np.ndarray]) -> onnx.ModelProto:
    """Quantized with steps so large that means shift."""
    planned = plan(model)
    session = open_reference(model, planned.tensors)
    found = session.run(None, {IMAGE: np.concatenate(noise)})
    scales = {name: float(np.abs(value).max()) / 5 for name, value in zip(planned.tensors, found, strict=True)}
    return insert_qdq(model, planned, scales)


@pytest.mark.parametrize("feedback", [False, True])
def test_the_means_of_every_corrected_layer_are_those_of_fp32(
    branches: onnx.ModelProto, noise: list[np.ndarray], feedback: bool
) -> None:
    quantized = coarse(branches, noise)
    stage = RecordingStage(60 if feedback else 36, None)
    fitted = fit_layers(branches, quantized, plan(branches), noise, stage, limit=127, feedback=feedback)
    assert fitted.biases.keys() == {"one", "two", "y"}
    assert fitted.roundings.keys() == ({"one", "two", "three", "product", "y"} if feedback else set())
    corrected = with_fitted(quantized, fitted)
    onnx.checker.check_model(corrected, full_check=True)
    layers = list(fitted.biases)
    wanted, before, after = (channel_means(graph, layers, noise) for graph in (branches, quantized, corrected))
    for name in layers:
        shift = np.abs(before[name] - wanted[name]).max()
        assert np.abs(after[name] - wanted[name]).max() < 0.01 * shift, name
    assert "b5" not in initializers(corrected.graph) and "b1" in initializers(corrected.graph)  # another node reads it


def test_parts_answer_as_the_whole(branches: onnx.ModelProto, noise: list[np.ndarray]) -> None:
    ends = ["one", "two", "three", "y"]
    values = {IMAGE: noise[0]}
    expected = dict(zip(ends, open_reference(branches, ends).run(None, values), strict=True))
    for part, end in zip(parts(branches, ends), ends, strict=True):
        values = part.runner()(values)
        np.testing.assert_allclose(values[end], expected[end], rtol=1e-5, atol=1e-4)
    assert values.keys() == {"y"}


def test_biases_that_cannot_be_corrected(branches: onnx.ModelProto) -> None:
    constants = initializers(branches.graph)
    found = {
        node.name: correctable(node, constants) for node in branches.graph.node if node.op_type in ("Conv", "Gemm")
    }
    assert found == {"one": True, "two": True, "three": False, "y": True}


def test_what_branches_read_is_there(noise: list[np.ndarray]) -> None:
    body = """[c] c = Cast <to=1> (image) [f] f = Flatten (c) [one] t = Gemm (f, w, b) [r] r = Relu (t)
        [m] m = ReduceMax <keepdims=0> (t) [g] g = Greater (m, zero) [if] s = If (g) <
        then_branch = one_way () => (float[batch,6] p) { p = Add (t, b) },
        else_branch = other_way () => (float[batch,6] q) { u = MatMul (f, w) q = Sub (u, b) }>
        [two] v = Gemm (r, x) [a] y = Add (v, s)"""
    shapes = {"w": (64, 6), "b": (6,), "x": (6, 6)}
    values = {name: normal(*shape) for name, shape in shapes.items()}
    zero = np.array(0, np.float32)
    model = parse(body, "float[batch,6] y", takes="uint8[batch,8,8,1] image", zero=zero, **values)
    quantized, planned = coarse(model, noise), plan(model)
    fitted = fit_layers(model, quantized, planned, noise, RecordingStage(24, None), limit=127)
    assert fitted.biases.keys() == fitted.roundings.keys() == {"one", "two"}
    graphs = (model, quantized, with_fitted(quantized, fitted))
    wanted, before, after = (channel_means(graph, ["t", "v"], noise) for graph in graphs)
    for name in ("t", "v"):
        shift = np.abs(before[name] - wanted[name]).max()
        assert np.abs(after[name] - wanted[name]).max() < 0.01 * shift, name


def test_a_bias_may_be_called_as_the_new_one(branches: onnx.ModelProto, noise: list[np.ndarray]) -> None:
    renamed = onnx.ModelProto.FromString(branches.SerializeToString())
    initializers(renamed.graph)["b5"].name = renamed.graph.node[-1].input[2] = "y/bias"
    wanted = np.arange(3, dtype=np.float32)
    changed = with_fitted(coarse(renamed, noise), Fitted(biases={"y": wanted})).graph
    names = [constant.name for constant in changed.initializer]
    assert len(names) == len(set(names)) and "y/bias" not in names
    np.testing.assert_array_equal(numpy_helper.to_array(initializers(changed)[changed.node[-1].input[2]]), wanted)


def test_a_gemm_that_would_scale_a_bias_gets_none() -> None:
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"], beta=0.5)
    assert not correctable(node, {})
    assert correctable(onnx.helper.make_node("Gemm", ["x", "w"], ["y"]), {})


def test_a_weight_that_moves_by_more_than_int8_holds_comes_back(
    branches: onnx.ModelProto, noise: list[np.ndarray]
) -> None:
    quantized = coarse(branches, noise)
    nearest = numpy_helper.to_array(initializers(quantized.graph)["w5/int8"])
    wanted = np.where(nearest > 0, np.int8(-127), np.int8(127))
    changed = with_fitted(quantized, Fitted(roundings={"y": wanted - nearest}))
    np.testing.assert_array_equal(numpy_helper.to_array(initializers(changed.graph)["w5/int8"]), wanted)
    lowest = with_fitted(quantized, Fitted(roundings={"y": np.int8(-128) - nearest}))
    assert numpy_helper.to_array(initializers(lowest.graph)["w5/int8"]).max() == -127


def test_with_nothing_to_fit_nothing_is_done(branches: onnx.ModelProto, noise: list[np.ndarray]) -> None:
    quantized, stage = coarse(branches, noise), RecordingStage(0, None)
    found = fit_layers(branches, quantized, plan(branches), noise, stage, limit=127, feedback=False, biases=False)
    assert found == Fitted()
    assert with_fitted(quantized, found) == quantized


def test_a_weight_that_two_layers_share_stays_as_it_is(branches: onnx.ModelProto, noise: list[np.ndarray]) -> None:
    shared = onnx.ModelProto()
    shared.CopyFrom(branches)
    twice = shared.graph.node.add()
    twice.CopyFrom(next(node for node in shared.graph.node if node.name == "two"))
    twice.name = twice.output[0] = "again"
    shared.graph.output.append(onnx.helper.make_tensor_value_info("again", onnx.TensorProto.FLOAT, ["batch", 4, 8, 8]))
    planned = plan(shared)
    assert [layer.name for layer in planned.layers if layer.weight == "w2"] == ["two", "again"]
    found = fit_layers(shared, coarse(shared, noise), planned, noise, RecordingStage(72, None), limit=127)
    assert found.roundings.keys() == {"one", "three", "product", "y"} and found.biases.keys() >= {"two", "again"}


def test_a_layer_that_leaves_padding_to_the_engine_is_rounded_to_the_nearest(noise: list[np.ndarray]) -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
g (uint8[batch,8,8,1] image) => (float[batch,2,8,8] y) {
    float = Cast<to=1>(image)
    pixels = Transpose<perm=[0,3,1,2]>(float)
    y = Conv<auto_pad="SAME_UPPER">(pixels, w)
}"""
    model = onnx.parser.parse_model(text)
    for node in model.graph.node:
        node.name = node.output[0]
    weight = np.random.default_rng(0).normal(0, 1, (2, 1, 3, 3)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    found = fit_layers(model, coarse(model, noise), plan(model), noise, RecordingStage(12, None), limit=127)
    assert found.biases.keys() == {"y"} and not found.roundings


def test_a_request_to_stop_ends_it(branches: onnx.ModelProto, noise: list[np.ndarray]) -> None:
    with pytest.raises(Cancelled):
        stage = RecordingStage(60, stop_after=1)
        fit_layers(branches, coarse(branches, noise), plan(branches), noise, stage, limit=127)


@pytest.mark.parametrize(("feedback", "gain"), [(False, 3), (True, 9)])
def test_lenet_comes_nearer_to_fp32_and_the_file_gives_the_same_graph(
    lenet_fp32: Path, feedback: bool, gain: float
) -> None:
    model = onnx.load(lenet_fp32)
    said = RecordingProgress()
    options = CalibrationOptions(method="minmax", rounding="feedback" if feedback else "nearest")
    request = CalibrationRequest(lenet_fp32, plan(model), DIGITS, SPEC, True, options)
    calibration = calibrate(request, said)
    assert calibration.biases.keys() == {"conv1", "conv2", "fc1", "fc2", "fc3"}
    (note,) = said.stages["judge fitted layers"].notes
    before, after = (float(word) for word in note.split() if word.replace(".", "").isdecimal())
    assert after > before + gain
    assert calibration.roundings.keys() == (calibration.biases.keys() if feedback else set())
    quantized = to_int8(model, plan(model), calibration)
    constants = initializers(quantized.graph)
    for name, bias in calibration.biases.items():
        assert numpy_helper.to_array(constants[f"{name}/bias"]).tolist() == list(bias)
        assert np.abs(numpy_helper.to_array(constants[f"{name}.weight/int8"]).astype(int)).max() <= 64
    digits = batches(evenly_spaced(open_dataset(DATA, "test"), 200), SPEC, 50)
    (sqnr,) = measure_sqnr(model, quantized, ["logits"], digits, RecordingStage(200, None)).values()
    assert sqnr > (40 if feedback else 36)


def test_few_images_are_kept_of_large_activations(branches: onnx.ModelProto) -> None:
    assert images_in_memory(branches) == 48
    large = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]>\n'
        "g (float[batch,64,512,512] image) => (float[batch,64,512,512] y) { y = Relu(image) }"
    )
    assert images_in_memory(large) == 4
