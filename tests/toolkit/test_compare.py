"""`toolkit compare`: small bundles, lenet and its INT8 bundle, ONNX files, and what does not go together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from runtime.errors import ModelError
from runtime.spec import Preprocess, Resize
from tests.command import ROOT, assert_clean_failure, toolkit, without_packages
from tests.tiny import LABELS, make_spec, reseal_file, write_tiny_bundle
from tests.toolkit.foreign import graphs
from toolkit.cli import run
from toolkit.comparison.find import require_alike

DIGITS = ROOT / "examples" / "digits"


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command in this process: its JSON, or where it fails its exit code and what it said."""

    def call(*arguments: object, as_json: bool = True) -> Any:
        code = run(["compare", *map(str, arguments), *(["--json"] if as_json else [])])
        out, err = capsys.readouterr()
        if code:
            assert out == ""
            return code, err
        return json.loads(out) if as_json else out

    return call


def test_an_fp32_and_an_int8_bundle(tiny_bundle: Path, tiny_int8_bundle: Path, compare: Any) -> None:
    result = compare(tiny_bundle, tiny_int8_bundle, "--data", DIGITS, "--threads", 1)
    assert [(result[side]["model"], result[side]["precision"]) for side in "ab"] == [("tiny", "fp32"), ("tiny", "int8")]
    assert [result[side]["answered_with"] for side in "ab"] == ["onnxruntime", "openvino"]
    assert result["a"]["engine_difference"] < 1e-6
    layer, probabilities = result["layers"]
    assert (layer["name"], layer["operation"], layer["shape"]) == ("fc", "Gemm", [4])
    assert 15 < layer["sqnr_db"] < 60 and layer["sqnr_db"] == pytest.approx(layer["own_sqnr_db"], abs=0.02)
    assert layer["input_sqnr_db"] == 150 and 0.9 < layer["cosine"] <= 1
    assert layer["largest_error"] > 0 and 0 < layer["relative_error"] < 1 and 0 <= layer["image"] < 10
    assert (probabilities["name"], probabilities["own_sqnr_db"]) == ("probabilities", None)
    assert result["adds_most_error"] == "fc" and not result["equal"] and result["unmatched"] == []
    assert result["images"] == len(list(DIGITS.glob("*.png"))) and result["top1_a"] is None
    assert result["largest_difference_file"] == str(sorted(DIGITS.glob("*.png"))[result["largest_difference_image"]])
    assert len(result["disagreements"]) == round((100 - result["agreement"]) / 100 * result["images"])
    assert result["warnings"] == [] and result["picture"] is None


def test_a_table_and_a_picture(tiny_bundle: Path, tiny_int8_bundle: Path, tmp_path: Path, compare: Any) -> None:
    picture = tmp_path / "made" / "picture.png"
    out = compare(tiny_bundle, tiny_int8_bundle, "--data", DIGITS, "--picture", picture, as_json=False)
    for word in (
        " fc ",
        "Gemm",
        "own dB",
        "no layer strays far by itself: fc most",
        "they agree on",
        "openvino",
        f"wrote {picture}",
    ):
        assert word in " ".join(out.split())
    assert cv2.imread(str(picture)).shape == (660, 1430, 3)
    code, err = compare(tiny_bundle, tiny_bundle, "--picture", picture)
    assert code == 1 and "is there already" in err and "another file with --picture" in err
    assert compare(tiny_bundle, tiny_bundle, "--picture", picture, "--force")["picture"] == str(picture)
    assert [path.name for path in picture.parent.iterdir()] == ["picture.png"]


def test_without_data_the_probe_is_taken_and_said(tiny_bundle: Path, compare: Any) -> None:
    result = compare(tiny_bundle, tiny_bundle, "--images", 3)
    assert result["equal"] and result["adds_most_error"] is None and result["largest_probability_difference"] == 0
    assert {layer["sqnr_db"] for layer in result["layers"]} == {150}
    assert result["images"] == 3 and "3 probe images" in result["warnings"][0]
    assert "they are equal" in compare(tiny_bundle, tiny_bundle, as_json=False)


def test_other_weights_break_the_layer_that_has_them(tiny_bundle: Path, tmp_path: Path, compare: Any) -> None:
    other = write_tiny_bundle(tmp_path / "other", seed=7)
    assert "it breaks at fc: given exactly what A's layer reads" in compare(tiny_bundle, other, as_json=False)


def test_labelled_images_give_the_accuracy_of_both(tiny_bundle: Path, tmp_path: Path, compare: Any) -> None:
    for index, path in enumerate(sorted(DIGITS.glob("*.png"))[:8]):
        folder = tmp_path / "set" / "val" / LABELS[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    (tmp_path / "set" / "train").mkdir()
    other = write_tiny_bundle(tmp_path / "other", seed=7)
    result = compare(tiny_bundle, other, "--data", tmp_path / "set")
    assert 0 <= result["top1_a"] <= 100 and 0 <= result["top1_b"] <= 100 and result["images"] == 8
    for entry in result["disagreements"]:
        assert LABELS[entry["label"]] == Path(entry["file"]).parent.name and entry["a"] != entry["b"]
    code, err = compare(tiny_bundle, other, "--data", tmp_path / "gone")
    assert code == 1 and "no folder" in err


def test_what_both_say_otherwise_of_images_and_classes_is_a_warning(
    tiny_bundle: Path, tmp_path: Path, compare: Any
) -> None:
    preprocess = Preprocess("gray", (Resize(8, 8, interpolation="area"),), (0.5,), (1.0,))
    spec = make_spec(labels=("ant", "cow", "bee", "dög"), preprocess=preprocess)
    other = write_tiny_bundle(tmp_path / "other", spec=spec)
    told = " ".join(compare(tiny_bundle, other, "--data", DIGITS)["warnings"])
    for words in ("the mean is 0 in A and 0.5 in B", "resizing and cropping", "1 is 'bee' in A and 'cow' in B"):
        assert words in told


def test_lenet_and_its_int8_bundle(lenet_bundle: Path, compare: Any) -> None:
    result = compare("lenet", lenet_bundle, "--images", 200, "--all-tensors")
    own = {layer["name"]: layer["own_sqnr_db"] for layer in result["layers"] if layer["own_sqnr_db"] is not None}
    assert list(own) == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert min(own.values()) > 30 and result["adds_most_error"] == min(own, key=lambda name: own[name])
    assert {"tanh", "max_pool2d_1"} <= {layer["name"] for layer in result["layers"]}
    assert [result[side]["answered_with"] for side in "ab"] == ["pytorch", "openvino"]
    assert max(result[side]["engine_difference"] for side in "ab") < 0.05
    assert result["agreement"] > 98 and result["top1_a"] > 97 and result["top1_b"] > 97 and result["images"] == 200
    assert result["unmatched"] == [] and result["warnings"] == []


def test_an_onnx_file_with_other_names_and_a_damaged_layer(tmp_path: Path, compare: Any) -> None:
    onnx.save(graphs.of_parts(), tmp_path / "one.onnx")
    other = graphs.of_parts()
    for node in other.graph.node:
        node.name = f"x{node.name}"
    for weight in other.graph.initializer:
        if weight.name == "grouped_w":
            weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))
    onnx.save(other, tmp_path / "other.onnx")
    result = compare(tmp_path / "one.onnx", tmp_path / "other.onnx", "--data", DIGITS, "--images", 4)
    worst = next(layer for layer in result["layers"] if layer["name"] == result["adds_most_error"])
    assert (worst["name"], worst["name_b"]) == ("Conv_grouped", "xConv_grouped")
    assert worst["own_sqnr_db"] < 0
    assert {layer["own_sqnr_db"] for layer in result["layers"] if layer is not worst} == {150, None}
    assert result["unmatched"] == [] and result["images"] == 4


def test_a_model_from_elsewhere_takes_images_as_the_other_side_does(
    tmp_path: Path, lenet_bundle: Path, compare: Any
) -> None:
    onnx.save(graphs.of_parts(), tmp_path / "colour.onnx")
    code, err = compare(tmp_path / "colour.onnx", lenet_bundle)
    assert code == 1
    for word in ("colour.onnx", str(lenet_bundle), "32x32x1, gray", "3 channels", "--input-size"):
        assert word in err
    code, err = compare(tmp_path / "colour.onnx", lenet_bundle, "--color", "rgb")
    assert code == 1 and "takes images of 32x32x3, and" in err and "of 32x32x1" in err


def test_what_was_exported_is_compared_as_it_was(tmp_path: Path, lenet_bundle: Path, compare: Any) -> None:
    line = ("export", "module:net", "--input-size", "12", "--color", "bgr", "--mean", "0.4,0.5,0.6", "--std", "0.2")
    (tmp_path / "module.py").write_text(
        "from torch import nn\ndef net(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 3))\n"
    )
    done = toolkit(*line, "-o", "net.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("net.onnx", "module:net"):
        done = toolkit("compare", name, "net.onnx", "--data", str(DIGITS), "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["warnings"] == [] and result["largest_probability_difference"] < 1e-5
    model = onnx.load(lenet_bundle / "model.onnx")  # says nothing, and takes pixels
    onnx.save(model, tmp_path / "lenet.onnx")
    assert compare(lenet_bundle, tmp_path / "lenet.onnx", "--images", 8, "--data", DIGITS)["warnings"] == []


def test_models_of_different_sizes_or_classes(tiny_bundle: Path, lenet_bundle: Path, compare: Any) -> None:
    code, err = compare(tiny_bundle, lenet_bundle)
    assert code == 1 and f"{tiny_bundle} takes images of 8x8x1, and {lenet_bundle} of 32x32x1" in err
    ten, four = (SimpleNamespace(name=name, spec=make_spec(classes=n, labels=())) for name, n in (("x", 10), ("y", 4)))
    with pytest.raises(ModelError, match="x has 10 classes, and y 4"):
        require_alike(ten, four)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--set", "classes=3"], "--set"),
        (["--weights", "w.pth"], "--weights does not go"),
        (["--weights-b", "w.pth"], "--weights-b does not go"),
        (["--mean", "0.5"], "--mean is for"),
        (["--force"], "--picture"),
        (["--images", "0"], "--images"),
        (["--worst", "0"], "--worst"),
        (["--backend", "nothing"], "--backend"),
    ],
)
def test_options_that_are_for_neither_side(tiny_bundle: Path, compare: Any, options: list[str], word: str) -> None:
    code, err = compare(tiny_bundle, tiny_bundle, *options)
    assert code == 2 and word in err


def test_a_backend_is_for_a_bundle(compare: Any) -> None:
    code, err = compare("lenet", "lenet", "--backend", "openvino")
    assert code == 2 and "--backend is for a bundle" in err


def test_names_that_are_nothing(tiny_bundle: Path, compare: Any) -> None:
    code, err = compare(tiny_bundle, "nowhere")
    assert code == 1 and "nowhere" in err
    code, err = compare("gone.onnx", tiny_bundle)
    assert code == 1 and "cannot read gone.onnx" in err and "give an ONNX file" in err
    code, err = compare("gone:factory", tiny_bundle)
    assert code == 1 and "needs the module gone" in err
    code, err = compare("torch.nn:Flatten", tiny_bundle)
    assert code == 1 and f"torch.nn:Flatten has 64 classes, and {tiny_bundle} 4" in err
    code, err = compare("torch.nn:Linear", tiny_bundle, "--set", "in_features=3", "--set", "out_features=4")
    assert code == 1 and f"torch.nn:Linear cannot be compared with {tiny_bundle}" in err and "--input-size" in err
    code, err = compare("torch.nn:Flatten", tiny_bundle, "--weights", "gone.pth")
    assert code == 1 and "cannot read the weights gone.pth" in err


def test_bundles_are_compared_without_pytorch_and_a_picture_says_what_it_needs(
    tiny_bundle: Path, tiny_int8_bundle: Path, tmp_path: Path
) -> None:
    path = without_packages(tmp_path, "torch", "onnxscript", "safetensors", "matplotlib")
    done = toolkit("compare", tiny_bundle, tiny_int8_bundle, "--json", cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["adds_most_error"] == "fc"
    failed = toolkit("compare", tiny_bundle, tiny_bundle, "--picture", "x.png", cwd=tmp_path, PYTHONPATH=path)
    assert_clean_failure(failed, "matplotlib", "pip install '.[report]'")


def test_a_graph_that_answers_nan_is_compared_all_the_same(
    lenet_bundle: Path, lenet_bundle_copy: Path, compare: Any
) -> None:
    model = onnx.load(lenet_bundle_copy / "model.onnx")
    for weight in model.graph.initializer:
        if weight.name == "fc3/bias":
            weight.CopyFrom(numpy_helper.from_array(np.full(10, np.nan, np.float32), weight.name))
    reseal_file(lenet_bundle_copy, "model.onnx", model.SerializeToString())
    result = compare(lenet_bundle, lenet_bundle_copy, "--backend", "onnxruntime")
    assert (result["agreement"], result["largest_probability_difference"]) == (0, 1)
    assert result["adds_most_error"] == "fc3" and result["disagreements"][0]["b"] == -1
    assert "B answers NaN or infinity to 8 of the images" in result["warnings"]
