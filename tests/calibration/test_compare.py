"""Two graphs side by side: a fault is found in the layer that it was put into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.compare import Compared, GraphComparison
from calibration.errors import MOST_DB, measure_sqnr
from calibration.quantize import at_precision
from export.float16 import scale_front
from export.graph import initializers, replace_initializer
from runtime.datasets import evenly_spaced, open_dataset
from runtime.preprocess import image_for
from tests.export.graphs import color_images, normal, parse
from tests.fakes import RecordingStage
from toolkit.zoo import ZOO

LAYERS = ["conv1", "conv2", "fc1", "fc2", "fc3"]


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    """24 test digits, uint8 (24, 32, 32, 1)."""
    lenet = ZOO["lenet"]
    assert lenet.data
    found = evenly_spaced(open_dataset(lenet.data, "test"), 24)
    return np.stack([image_for(lenet.spec, found.image(index)) for index in range(24)])


def compared(
    a: onnx.ModelProto, b: onnx.ModelProto, images: np.ndarray, *, all_tensors: bool = False
) -> dict[str, Compared]:
    comparison = GraphComparison((a, b), (images[:1], images[:1]), all_tensors=all_tensors)
    for start in range(0, len(images), 7):
        comparison.update((images[start : start + 7], images[start : start + 7]))
    return {row.name: row for row in comparison.rows}


def by_own_error(rows: dict[str, Compared]) -> list[str]:
    own = {name: row.own_sqnr_db for name, row in rows.items() if row.own_sqnr_db is not None}
    return sorted(own, key=lambda name: own[name])


def changed(model: onnx.ModelProto, name: str, change: object) -> onnx.ModelProto:
    """A copy with another constant."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    value = numpy_helper.to_array(initializers(model.graph)[name])
    replace_initializer(copy.graph, name, np.asarray(change(value), value.dtype))  # type: ignore[operator]
    return copy


def test_an_int8_graph_against_its_fp32_one(lenet_fp32: Path, lenet_bundle: Path, digits: np.ndarray) -> None:
    a, b = onnx.load(lenet_fp32), onnx.load(lenet_bundle / "model.onnx")
    rows = compared(a, b, digits)
    assert list(rows) == [*LAYERS, "probabilities"]
    outputs = {row.name: row.a for row in rows.values()}
    sqnr = measure_sqnr(a, b, list(outputs.values()), [digits], RecordingStage(24, None))
    assert {name: row.output.sqnr_db for name, row in rows.items()} == pytest.approx(
        {name: sqnr[tensor] for name, tensor in outputs.items()}, abs=0.02
    )
    assert rows["conv1"].input_sqnr_db == MOST_DB
    assert rows["conv1"].own_sqnr_db == pytest.approx(rows["conv1"].output.sqnr_db, abs=0.02)
    for name in LAYERS:
        assert 30 < (rows[name].own_sqnr_db or 0) < 60
        assert rows[name].output.images == 24


@pytest.mark.parametrize("layer", LAYERS)
def test_damaged_weights_are_found_in_their_layer(lenet_fp32: Path, digits: np.ndarray, layer: str) -> None:
    a = onnx.load(lenet_fp32)
    rows = compared(a, changed(a, f"{layer}.weight", lambda weight: np.roll(weight, 1, axis=0)), digits)
    assert by_own_error(rows)[0] == layer
    assert (rows[layer].own_sqnr_db or 0) < 15
    assert {rows[other].own_sqnr_db for other in LAYERS if other != layer} == {MOST_DB}


@pytest.mark.parametrize(("tensor", "layer"), [("tanh", "conv2"), ("tanh_1", "fc1"), ("tanh_3", "fc3")])
def test_a_scale_that_is_far_too_small_is_found_in_the_layer_that_reads_it(
    lenet_fp32: Path, lenet_bundle: Path, digits: np.ndarray, tensor: str, layer: str
) -> None:
    broken = changed(onnx.load(lenet_bundle / "model.onnx"), f"{tensor}/scale", lambda scale: scale / 20)
    rows = compared(onnx.load(lenet_fp32), broken, digits)
    assert by_own_error(rows)[0] == layer
    assert (rows[layer].own_sqnr_db or 0) < 15 < (rows[layer].input_sqnr_db or 0)


def test_equal_graphs_are_equal_everywhere(lenet_fp32: Path, digits: np.ndarray) -> None:
    a = onnx.load(lenet_fp32)
    for row in compared(a, a, digits, all_tensors=True).values():
        assert row.output.sqnr_db == MOST_DB and row.output.largest_error == 0 and row.output.image is None


def test_a_float16_graph_with_a_scaled_front(lenet_fp32: Path, digits: np.ndarray) -> None:
    a = onnx.load(lenet_fp32)
    half, _ = at_precision(scale_front(a), "fp16", None, {})
    rows = compared(a, half, digits)
    assert list(rows) == [*LAYERS, "probabilities"]
    for name in LAYERS:
        assert 50 < (rows[name].own_sqnr_db or 0) < 100
        assert 50 < rows[name].output.sqnr_db < 100


def test_every_tensor_between_the_layers(lenet_fp32: Path, lenet_bundle: Path, digits: np.ndarray) -> None:
    a, b = onnx.load(lenet_fp32), onnx.load(lenet_bundle / "model.onnx")
    comparison = GraphComparison((a, b), (digits[:1], digits[:1]), all_tensors=True)
    names = [row.a for row in comparison.rows]
    assert {"tanh", "max_pool2d", "tanh_3", "logits", "probabilities"} <= set(names)
    assert len(names) == len(set(names))
    order = [name for node in a.graph.node for name in node.output]
    assert names == sorted(names, key=order.index)
    assert comparison.unmatched == []


FRONT = "[cast] f = Cast <to = 1> (image) [turn] x = Transpose <perm = [0, 3, 1, 2]> (f)"
TAKES = "uint8[batch,6,5,3] image"


def conv(body: str, channels: int = 4) -> onnx.ModelProto:
    return parse(
        f"{FRONT} {body}",
        "float[batch,m,4,3] y",
        takes=TAKES,
        w=normal(channels, 3, 3, 3),
    )


def test_what_cannot_be_compared_is_named() -> None:
    images = color_images(1)
    a, b = conv("[c] y = Conv (x, w)"), conv("[c] y = Conv (x, w)", 5)
    comparison = GraphComparison((a, b), (images, images))
    assert comparison.rows == []
    assert {(entry.side, entry.name) for entry in comparison.unmatched} == {("a", "c"), ("b", "c")}
    assert comparison.unmatched[0].reason == "it gives 4x4x3 in A and 5x4x3 in B"
    comparison.update((images, images))


def test_an_operation_between_layers_is_no_layers_fault() -> None:
    images = color_images(5)
    bodies = ("[c] c = Conv (x, w) [r] r = Relu (c)", "[c] c = Conv (x, w) [r] s = LeakyRelu (c)")
    ends = ("[d] y = Conv (r, v)", "[d] y = Conv (s, v)")
    a, b = (
        parse(
            f"{FRONT} {body} {end}",
            "float[batch,2,2,1] y",
            takes=TAKES,
            w=normal(4, 3, 3, 3),
            v=normal(2, 4, 3, 3, seed=1),
        )
        for body, end in zip(bodies, ends, strict=True)
    )
    rows = compared(a, b, images, all_tensors=True)
    assert rows["d"].own_sqnr_db == MOST_DB and (rows["d"].input_sqnr_db or 0) < 60
    assert (rows["r"].operation, rows["r"].name_b) == ("Relu / LeakyRelu", "s")


def test_nan_is_reported_and_stops_nothing(lenet_fp32: Path, digits: np.ndarray) -> None:
    a = onnx.load(lenet_fp32)
    rows = compared(a, changed(a, "fc1.bias", lambda bias: bias * np.nan), digits)
    assert rows["fc1"].output.sqnr_db == rows["fc1"].own_sqnr_db == -MOST_DB
    assert rows["fc2"].own_sqnr_db == MOST_DB
    assert rows["conv2"].output.sqnr_db == MOST_DB
