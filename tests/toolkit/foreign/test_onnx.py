"""`model.onnx`: graphs as other exporters write them answer as they did; what is no classifier is refused in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantFormat, quantize_static

from calibration.placement import plan
from export.module import export_graph
from export.own_spec import with_own_spec
from export.parity import normalize
from export.reference import open_reference
from runtime import open_session
from runtime.errors import ModelError, ToolkitError
from runtime.progress import SilentProgress
from runtime.spec import BatchRange, Preprocess, classifier_spec
from tests.command import assert_clean_failure, toolkit
from tests.toolkit.foreign import graphs
from tests.toolkit.foreign.graphs import Maker
from toolkit.foreign.onnx import ForeignOnnx, open_onnx
from toolkit.foreign.spec import Told

MADE: dict[Callable[[], onnx.ModelProto], tuple[Told, tuple[int, int, int], int, str]] = {
    graphs.of_2018: (Told(), (32, 32, 3), 10, "probabilities"),
    graphs.of_parts: (Told(), (32, 32, 3), 5, "logits"),
    graphs.of_computed_shapes: (Told(output_name="logits"), (8, 8, 1), 6, "logits"),
    graphs.of_tensorflow: (Told(), (24, 16, 3), 4, "logits"),
    graphs.of_halves: (Told(), (20, 20, 3), 6, "logits"),
    graphs.of_quantized: (Told(), (16, 16, 3), 4, "logits"),
    graphs.of_tomorrow: (Told(), (16, 16, 3), 4, "logits"),
    graphs.of_vision: (Told(), (16, 16, 3), 5, "logits"),
    graphs.of_four: (Told(), (8, 8, 3), 3, "logits"),
    graphs.of_squeezed: (Told(), (8, 8, 3), 6, "logits"),
    graphs.of_upsampled: (Told(), (16, 16, 3), 4, "logits"),
    graphs.of_upsampled_10: (Told(), (16, 16, 3), 4, "logits"),
    graphs.of_response_in_pieces: (Told(), (16, 16, 3), 5, "logits"),
    graphs.of_stored: (Told(), (16, 16, 3), 4, "logits"),
    graphs.of_rows: (Told(), (12, 12, 3), 5, "logits"),
    graphs.of_one_row: (Told(), (12, 12, 3), 5, "logits"),
    graphs.of_grey: (Told((12, 10)), (12, 10, 1), 5, "logits"),
    graphs.of_pixels: (Told(output_name="scores"), (12, 10, 3), 4, "logits"),
}


def opened(model: onnx.ModelProto, folder: Path, told: Told | None = None) -> ForeignOnnx:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return open_onnx(path, False, told or Told())


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
def test_it_answers_as_it_did_with_any_batch(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    told, shape, classes, kind = MADE[make]
    model = make()
    found = opened(model, tmp_path, told)
    assert (found.spec.image_shape, found.spec.classes, found.spec.output_kind) == (shape, classes, kind)
    pixels = np.random.default_rng(1).integers(0, 256, (5, *shape), np.uint8)
    images = normalize(found.spec.preprocess, pixels)

    # The file itself, an image at a time, in its own layout and type.
    theirs = open_reference(model, [told.output_name or model.graph.output[0].name])
    entry = theirs.get_inputs()[0]
    sides = len(entry.shape)
    given = images if entry.shape[1] in (1, 3) or sides < 4 else images.transpose(0, 2, 3, 1)
    dtype = {"tensor(float16)": np.float16, "tensor(uint8)": np.uint8}.get(entry.type, np.float32)
    given = (np.rint(given) if dtype == np.uint8 else given).astype(dtype)
    given = given if sides == 4 else given[:, 0] if sides == 3 else given.reshape(len(given), -1)
    count = entry.shape[0] if isinstance(entry.shape[0], int) else 1
    answers = [np.asarray(theirs.run(None, {"data": np.repeat(one[None], count, 0)})[0]) for one in given]
    wanted = np.concatenate([answer.reshape(count, -1)[:1] for answer in answers])
    tolerance = 1e-2 if given.dtype == np.float16 else 1e-5
    np.testing.assert_allclose(found.original(images), wanted.reshape(5, classes), rtol=tolerance, atol=tolerance)
    session = open_reference(found.graph)
    ours = np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
    np.testing.assert_allclose(ours, wanted.reshape(5, classes), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "make", [graphs.of_2018, graphs.of_parts, graphs.of_tensorflow, graphs.of_halves], ids=lambda make: make.__name__
)
def test_its_graph_is_simplified_and_can_be_quantized(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    found = opened(make(), tmp_path, MADE[make][0])
    images = np.random.default_rng(2).integers(0, 256, (4, *found.spec.image_shape), np.uint8)
    result = export_graph(
        found.graph, found.original, found.spec, images, tmp_path / "out.onnx", BatchRange(), SilentProgress(),
        found.tolerance,
    )  # fmt: skip
    assert result.warnings == ()
    assert max(row.max_error for row in result.parity) < (1e-2 if make is graphs.of_halves else 1e-5)
    written = onnx.load(tmp_path / "out.onnx")
    kinds = {node.op_type for node in written.graph.node}
    assert not kinds & {"Constant", "ConstantOfShape", "Shape", "Dropout", "Identity"}
    assert ("LRN" in kinds) == (make is graphs.of_2018)
    layers = [layer.name for layer in plan(written).layers]
    convolutions = [node.name for node in make().graph.node if node.op_type == "Conv"]
    assert layers[: len(convolutions)] == convolutions


def test_a_model_with_q_dq_passes_through(tmp_path: Path) -> None:
    """As ONNX Runtime's quantizer writes it, for engines whose activations are uint8: no image is asked for."""
    onnx.save(graphs.of_tomorrow(13), tmp_path / "float.onnx")
    reader = iter([{"data": np.random.default_rng(0).random((4, 3, 16, 16), np.float32)}])
    quantize_static(
        tmp_path / "float.onnx", tmp_path / "qdq.onnx", SimpleNamespace(get_next=lambda: next(reader, None)),  # type: ignore[arg-type]
        quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
    )  # fmt: skip
    done = toolkit("build", "qdq.onnx", "--int8", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {row["precision"] for row in result["race"]} == {"int8"}
    assert [layer["asked"] for layer in result["layers"]] == ["int8"]
    assert (result["method"], result["reduced_range"]) == (None, True)
    assert result["coverage"]["quantized"] == (1 if result["target"] == "openvino" else 0)
    assert not (tmp_path / "qdq-int8" / "calibration.json").exists()
    written = onnx.load(tmp_path / "qdq-int8" / "model.onnx")
    found = onnx.load(tmp_path / "qdq.onnx")
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        assert sum(node.op_type == kind for node in written.graph.node) <= sum(
            node.op_type == kind for node in found.graph.node
        )
    for option in ("--fp32", "--fp16"):
        assert_clean_failure(toolkit("build", "qdq.onnx", option, cwd=tmp_path), "came with Q/DQ", "--int8")


@pytest.mark.parametrize("form", QuantFormat)
def test_a_model_whose_operators_take_integers_is_said_to_run_on_few_engines(form: QuantFormat, tmp_path: Path) -> None:
    """As ONNX Runtime's quantizer writes it in its other form, which OpenVINO and TensorRT do not read."""
    onnx.save(graphs.of_tomorrow(13), tmp_path / "float.onnx")
    reader = iter([{"data": np.random.default_rng(0).random((4, 3, 16, 16), np.float32)}])
    quantize_static(
        tmp_path / "float.onnx", tmp_path / "net.onnx", SimpleNamespace(get_next=lambda: next(reader, None)),  # type: ignore[arg-type]
        quant_format=form,
    )  # fmt: skip
    done = toolkit("build", "net.onnx", "--int8", "--target", "onnxruntime", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [warning for warning in json.loads(done.stdout)["warnings"] if "QLinearConv" in warning]
    assert len(said) == (form == QuantFormat.QOperator) and all("QuantFormat.QDQ" in warning for warning in said)


def test_nodes_that_are_called_as_those_of_the_front_are_renamed(tmp_path: Path) -> None:
    make = Maker()
    make.conv("data", "front/float", 4, 3, strides=[8, 8])
    make.nodes[-1].name = "front/cast"
    make.node("Flatten", ["front/float"], "answers")
    onnx.save(make.model([1, 3, 8, 8], {"answers": [1, 4]}), tmp_path / "net.onnx")
    found = open_onnx(tmp_path / "net.onnx", False, Told())
    samples = np.random.default_rng(0).integers(0, 256, (4, *found.spec.image_shape), np.uint8)
    export_graph(
        found.graph, found.original, found.spec, samples, tmp_path / "x.onnx", BatchRange(1, 1, 4), SilentProgress()
    )
    (layer,) = plan(onnx.load(tmp_path / "x.onnx")).layers
    assert layer.name == "model/front/cast"


def test_names_that_were_renamed_before_are_no_trouble(tmp_path: Path) -> None:
    make = Maker()
    make.conv("data", "model/image_minus_mean", 4, 3, strides=[8, 8])
    make.node("Relu", ["model/image_minus_mean"], "image_minus_mean")
    make.node("Flatten", ["image_minus_mean"], "answers")
    found = opened(make.model([1, 3, 8, 8], {"answers": [1, 4]}), tmp_path)
    names = {name for node in found.graph.graph.node for name in node.output}
    assert {"model/image_minus_mean", "model/model/image_minus_mean"} < names


def test_the_size_comes_from_the_graph_or_from_the_user(tmp_path: Path) -> None:
    make = Maker()
    make.conv("data", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    model = make.model(["N", 3, "H", "W"], {"logits": ["N", 4]})
    with pytest.raises(click.UsageError, match="--input-size is missing"):
        opened(model, tmp_path)
    assert opened(model, tmp_path, Told((10, 12))).spec.image_shape == (10, 12, 3)
    with pytest.raises(ModelError, match="32x32, not of 10x12") as caught:
        opened(graphs.of_2018(), tmp_path, Told((10, 12)))
    assert "--input-size" in caught.value.hint
    with pytest.raises(ModelError, match="3 channels, and --color gray"):
        opened(graphs.of_2018(), tmp_path, Told(color="gray"))
    assert opened(graphs.of_2018(), tmp_path, Told(color="bgr")).spec.preprocess.color == "bgr"


def test_values_in_a_row_are_those_of_a_square_or_of_the_size_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert opened(graphs.of_rows(), tmp_path).spec.image_shape == (12, 12, 3)
    assert "model takes 432 values: RGB images of 12x12" in capsys.readouterr().err
    found = opened(graphs.of_rows(), tmp_path, Told((8, 18), color="bgr"))
    assert (found.spec.image_shape, found.spec.preprocess.color) == ((8, 18, 3), "bgr")
    assert "values" not in capsys.readouterr().err
    assert opened(graphs.of_rows(), tmp_path, Told(spec=found.spec)).spec == found.spec
    with pytest.raises(ModelError, match="432 values, which 10x10 does not make") as caught:
        opened(graphs.of_rows(), tmp_path, Told((10, 10)))
    assert "--input-size" in caught.value.hint
    with pytest.raises(ModelError, match="3 channels, and --color gray"):
        opened(graphs.of_rows(), tmp_path, Told(color="gray"))
    with pytest.raises(ModelError, match="450 values, which 1x1 does not make"):
        opened(graphs.of_rows(["N", 450]), tmp_path)
    with pytest.raises(ModelError, match="3x12x12, without a batch"):
        opened(graphs.of_rows([3, 12, 12]), tmp_path)


def test_one_input_too_many_can_be_held_fast(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        opened(two_inputs(), tmp_path)
    assert "holds the others as constants" in caught.value.hint


def test_one_of_several_outputs_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="2 outputs: logits, features") as caught:
        opened(graphs.of_computed_shapes(), tmp_path)
    assert "--output-name" in caught.value.hint
    with pytest.raises(ModelError, match="no output 'other', but logits, features"):
        opened(graphs.of_computed_shapes(), tmp_path, Told(output_name="other"))


@pytest.mark.parametrize("end", ["Sigmoid", "Identity"])
def test_one_number_becomes_two_classes(end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = graphs.of_one(end)
    found = opened(model, tmp_path)
    assert (found.spec.classes, found.spec.output_kind) == (2, "probabilities" if end == "Sigmoid" else "logits")
    assert "one number an image" in capsys.readouterr().err
    images = np.random.default_rng(3).standard_normal((4, 3, 8, 8)).astype(np.float32)
    (number,) = open_reference(model).run(None, {"data": images})
    wanted = np.concatenate([1 - number if end == "Sigmoid" else 0 * number, number], 1)
    session = open_reference(found.graph)
    for answers in (found.original(images), session.run(None, {session.get_inputs()[0].name: images})[0]):
        np.testing.assert_allclose(answers, wanted, rtol=1e-5, atol=1e-6)


def test_what_takes_pixels_has_mean_and_std_inside(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="takes uint8"):
        opened(graphs.of_pixels(), tmp_path, Told(mean=(0.5,), output_name="scores"))


def test_a_graph_that_was_changed_since_its_export_is_a_file_like_any_other(tmp_path: Path) -> None:
    spec = classifier_spec(
        "net", height=9, width=9, classes=4, preprocess=Preprocess("rgb", (), (0.0,) * 3, (1.0,) * 3)
    )
    onnx.save(graphs.of_pixels(), tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_bytes(with_own_spec(tmp_path / "net.onnx", spec))
    found = open_onnx(tmp_path / "net.onnx", False, Told(output_name="scores"))
    assert found.spec.image_shape == (12, 10, 3) and not found.described


def test_answers_in_0_to_1_that_do_not_add_up_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make = Maker()
    make.conv("data", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "flat")
    make.node("Sigmoid", ["flat"], "many")
    assert opened(make.model(["N", 3, 8, 8], {"many": ["N", 4]}), tmp_path).spec.output_kind == "logits"
    assert "do not add up to 1" in capsys.readouterr().err


def split(model: onnx.ModelProto, folder: Path) -> Path:
    """Written with its weights in another file."""
    path = folder / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    whole = opened(graphs.of_parts(), tmp_path)
    images = np.random.default_rng(3).random((2, 3, 32, 32), np.float32)
    beside = open_onnx(split(graphs.of_parts(), tmp_path), False, Told())
    assert np.array_equal(beside.original(images), whole.original(images))
    (tmp_path / "weights.bin").write_bytes((tmp_path / "weights.bin").read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"weights\.bin is too short"):
        open_onnx(tmp_path / "model.onnx", False, Told())
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"'weights\.bin', which is no file beside it"):
        open_onnx(tmp_path / "model.onnx", False, Told())


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "link.bin", "", "."])
def test_weights_elsewhere_are_not_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    path = split(graphs.of_2018(), folder)
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="no file beside it"):
        open_onnx(path, False, Told())


def with_loop() -> onnx.ModelProto:
    make = Maker()
    values = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("c", 9), ("c2", 9))]
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["c2"])], "body", values[:2], values[2:])
    make.nodes.append(helper.make_node("Loop", [make.constant("many", 3), ""], ["unused"], "around", body=body))
    make.node("Flatten", ["data"], "out")
    return make.model(["N", 3, 4, 4], {"out": ["N", 48]})


def two_inputs() -> onnx.ModelProto:
    model = graphs.of_tomorrow()
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    return model


def integers() -> onnx.ModelProto:
    make = Maker()
    make.node("Cast", ["data"], "float", to=TensorProto.FLOAT)
    return make.model(["N", 3, 4, 4], {"float": ["N", 3, 4, 4]}, kind=TensorProto.INT64)


def custom() -> onnx.ModelProto:
    make = Maker()
    make.node("Magic", ["data"], "magic", domain="example.org")
    make.node("Flatten", ["magic"], "out")
    return make.model(["N", 3, 4, 4], {"out": ["N", 48]}, domains=["example.org"])


def random() -> onnx.ModelProto:
    make = Maker()
    make.node("RandomNormalLike", ["data"], "noise")
    make.node("Add", ["data", "noise"], "sum")
    make.node("Flatten", ["sum"], "out")
    return make.model(["N", 3, 4, 4], {"out": ["N", 48]})


def of_its_batch() -> onnx.ModelProto:
    """Dynamic quantization: the scale is that of all images together."""
    make = Maker()
    make.node("DynamicQuantizeLinear", ["data"], ["steps", "scale", "zero"])
    make.node("DequantizeLinear", ["steps", "scale", "zero"], "floats")
    make.node("Flatten", ["floats"], "out")
    return make.model(["N", 3, 4, 4], {"out": ["N", 48]})


def shapeless() -> onnx.ModelProto:
    model = graphs.of_tomorrow()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def seven_channels() -> onnx.ModelProto:
    make = Maker()
    make.conv("data", "conv", 4, 7)
    make.node("Flatten", ["conv"], "out")
    return make.model(["N", 7, 4, 4], {"out": ["N", 64]})


def first_image() -> onnx.ModelProto:
    """A batch of 1 that is looked into: of more images it would see the first."""
    make = Maker()
    make.node("Gather", ["data", make.constant("zero", [0])], "first", axis=0)
    make.node("Flatten", ["first"], "out")
    return make.model([1, 3, 4, 4], {"out": [1, 48]})


def of_places() -> onnx.ModelProto:
    """A segmentation: a class for each pixel."""
    make = Maker()
    make.conv("data", "conv", 5, 3)
    return make.model(["N", 3, 4, 4], {"conv": ["N", 5, 4, 4]})


def number_in_disguise() -> onnx.ModelProto:
    make = Maker()
    make.node("Flatten", ["data"], "scores")
    make.node("ArgMax", ["scores"], "class", axis=1, keepdims=0)
    make.node("Cast", ["class"], "out", to=TensorProto.FLOAT)
    return make.model(["N", 3, 4, 4], {"out": ["N"]})


def ancient() -> onnx.ModelProto:
    model = graphs.of_2018()
    model.opset_import[0].version = 5
    return model


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (with_loop, "'around' (Loop) has a graph inside"),
        (graphs.of_pixels, "'class' is the number of a class, from 'ArgMax_class' (ArgMax)"),
        (number_in_disguise, "'out' is the number of a class, from 'ArgMax_class' (ArgMax)"),
        (of_places, "gives (2, 5, 4, 4) for a batch of 2"),
        (two_inputs, "2 inputs (data, other)"),
        (integers, "'data' is int64"),
        (custom, "Magic"),
        (seven_channels, "7 channels"),
        (random, "'RandomNormalLike_noise' (RandomNormalLike) is random"),
        (of_its_batch, "'DynamicQuantizeLinear_steps' (DynamicQuantizeLinear) takes its scale from all images"),
        (shapeless, "'data' has no shape"),
        (first_image, "does not run with any batch: it gives (1, 48) for 2 images"),
        (ancient, "its opset is 5"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_no_classifier_is_refused_in_a_line(
    make: Callable[[], onnx.ModelProto], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ToolkitError) as caught:
        opened(make(), tmp_path)
    assert words in caught.value.message and "model.onnx" in caught.value.message
    assert len(caught.value.message.splitlines()) == 1 and caught.value.hint


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x07" * 9], ids=["empty", "text", "numbers"])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.onnx"):
        open_onnx(tmp_path / "model.onnx", False, Told())


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = graphs.of_parts().SerializeToString()
    for end in range(0, len(whole), len(whole) // 23):
        (tmp_path / "model.onnx").write_bytes(whole[:end])
        with pytest.raises(ToolkitError, match=r"model\.onnx"):
            open_onnx(tmp_path / "model.onnx", False, Told())


def test_an_int8_bundle_of_it(tmp_path: Path) -> None:
    onnx.save(graphs.of_2018(), tmp_path / "old.onnx")
    line = ("build", "old.onnx", "--int8", "--random-weights", "--mean", "0.5", "--std", "0.25", "--json")
    done = toolkit(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["model"], result["bundle"], result["coverage"]["quantized"]) == ("old", "old-int8", 3)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    with open_session(tmp_path / "old-int8") as session:
        np.testing.assert_allclose(session.run(images).sum(1), 1, atol=1e-5)


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    onnx.save(graphs.of_2018(), tmp_path / "old.onnx")
    done = toolkit("build", "old.onnx", "--int8", cwd=tmp_path)
    assert done.returncode == 2 and "--calib-data FOLDER" in done.stderr
    for option in (("--set", "a=1"), ("--weights", "x.pth")):
        done = toolkit("build", "old.onnx", "--int8", *option, cwd=tmp_path)
        assert done.returncode == 2 and f"{option[0]} does not go with an ONNX file" in done.stderr
    assert_clean_failure(toolkit("export", "nowhere.onnx", cwd=tmp_path), "nowhere.onnx", "No such file")
