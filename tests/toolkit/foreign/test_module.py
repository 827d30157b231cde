"""`module:factory`: anyone's nn.Module is made, asked what it gives, and built; its faults are said in a line."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
import torch
from msgspec import structs

from runtime import open_session
from runtime.errors import ExportError, ModelError, ToolkitError, WeightsError
from runtime.spec import CenterCrop, Resize
from tests.command import assert_clean_failure, toolkit
from tests.toolkit.training.bars import write_bars
from toolkit.foreign.module import ForeignModule, open_module
from toolkit.foreign.onnx import open_onnx
from toolkit.foreign.spec import Told, read_spec
from toolkit.zoo import ZOO

NET = """
import torch
from torch import nn

def net(classes=10, channels=1, softmax=False):
    print("this must not get into the JSON")
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4)]
    layers += [nn.Flatten(), nn.Linear(128, classes)]
    return nn.Sequential(*layers, *([nn.Softmax(1)] if softmax else []))

class Several(nn.Module):
    def __init__(self, kind="dict"):
        super().__init__()
        self.body, self.kind = net(), kind

    def forward(self, images):
        logits, features = self.body(images), images.mean((1, 2, 3))
        return {"dict": {"logits": logits, "features": features}, "tuple": (features, logits)}[self.kind]

class Column(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(1, 5, 28)

    def forward(self, images):
        return self.head(images)

class Squeezed(nn.Module):
    def __init__(self, dim=None):
        super().__init__()
        self.body, self.dim = net(1), dim

    def forward(self, images):
        return self.body(images).squeeze() if self.dim is None else self.body(images).squeeze(self.dim)

class Number(nn.Module):
    def forward(self, images):
        return images.flatten(1).argmax(1)

class Drawn(nn.Linear):
    def __init__(self):
        super().__init__(784, 3)

    def forward(self, images):
        return super().forward(images.flatten(1))

class BatchOfOne(nn.Module):
    def forward(self, images):
        return images.reshape(1, 784)[:, :10]

class Logarithm(nn.Module):
    def forward(self, images):
        return -images.flatten(1).log()

class Leaves(nn.Module):
    def forward(self, images):
        raise SystemExit(3)

made = net()
half = net().half()
number = 7

def nothing(): pass
def leaves(): raise SystemExit(3)
def fails(): raise ValueError("no such file\\nand more")
def bare(): raise ValueError
def a_list(): return [net()]
"""
GREY = Told(input_size=(28, 28), color="gray")
NUMBERS = count()


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with models in the current folder, another one for each test."""
    name = f"mine_{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def opened(name: str, told: Told = GREY, **settings: str) -> ForeignModule:
    return open_module(name, settings, None, False, told)


def test_a_module_is_found_beside_the_user_and_asked_what_it_gives(
    mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = opened(f"{mine}:net", classes="12")
    assert (model.name, model.origin, model.spec.name) == ("net", f"{mine}:net", "net")
    assert (model.spec.classes, model.spec.output_kind, model.spec.image_shape) == (12, "logits", (28, 28, 1))
    assert not model.module.training and model.data is None
    said = capsys.readouterr()
    assert said.out == "" and "must not get into the JSON" in said.err and "net gives 12 logits" in said.err


@pytest.mark.parametrize(
    ("settings", "kind", "expected"),
    [
        ({"softmax": "true"}, None, "probabilities"),
        ({"softmax": "True"}, None, "probabilities"),
        ({"softmax": "true"}, "logits", "logits"),
        ({}, None, "logits"),
    ],
)
def test_the_kind_of_the_answers_is_found_out_unless_it_is_told(
    mine: str, settings: dict[str, str], kind: str | None, expected: str
) -> None:
    told = Told(input_size=(28, 28), color="gray", output_kind=kind)  # type: ignore[arg-type]
    assert opened(f"{mine}:net", told, **settings).spec.output_kind == expected


def test_weights_that_are_drawn_are_always_the_same(mine: str) -> None:
    """Else a bundle could not be compared with the module that it was built from."""
    torch.manual_seed(7)
    first, state = opened(f"{mine}:Drawn"), torch.get_rng_state()
    torch.rand(1)
    again = opened(f"{mine}:Drawn")
    assert torch.equal(first.module.weight, again.module.weight)  # type: ignore[arg-type]
    torch.manual_seed(7)
    assert torch.equal(torch.get_rng_state(), state)  # that of whoever imports this is left alone


@pytest.mark.parametrize("name", ["made", "half"])
def test_a_module_that_is_made_already_is_taken_in_float32(mine: str, name: str) -> None:
    model = opened(f"{mine}:{name}")
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.float32}
    with pytest.raises(click.UsageError, match="made already"):
        opened(f"{mine}:{name}", classes="3")


@pytest.mark.parametrize(
    ("kind", "answer", "said"), [("dict", "logits", "dict of logits, features"), ("tuple", "1", "tuple of 2")]
)
def test_one_of_several_answers_is_picked(mine: str, kind: str, answer: str, said: str) -> None:
    told = Told(input_size=(28, 28), color="gray", output_name=answer)
    model = opened(f"{mine}:Several", told, kind=kind)
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(model.module(images), model.module.body(images))  # type: ignore[operator]
    with pytest.raises(ExportError, match=f"gives a {said}, and not one tensor") as caught:
        opened(f"{mine}:Several", kind=kind)
    assert "--output-name" in caught.value.hint
    for wrong in ("other", "7"):
        with pytest.raises(ExportError, match=f"no answer '{wrong}' in its {said}"):
            opened(f"{mine}:Several", Told(input_size=(28, 28), color="gray", output_name=wrong), kind=kind)


def test_trailing_sides_of_one_are_dropped(mine: str) -> None:
    model = opened(f"{mine}:Column")
    assert model.module(torch.rand(3, 1, 28, 28)).shape == (3, 5) and model.spec.classes == 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{}:nothing", "gives nothing, and not an nn.Module"),
        ("{}:number", "gives a int, and not an nn.Module"),
        ("{}:a_list", "gives a list, and not an nn.Module"),
        ("{}:leaves", "ended the process, with 3"),
        ("{}:fails", "cannot be made: ValueError: no such file"),
        ("{}:bare", "cannot be made: ValueError"),
        ("{}:absent", "has no attribute 'absent'"),
        ("{}.py:net", "is a file, and what is wanted is a module"),
        ("./{}:net", "is a file, and what is wanted is a module"),
        ("{}:Number", "gives whole numbers (int64), as argmax does"),
        ("{}:", "has no attribute"),
        (":net", "cannot be made"),
        ("no_such_module_{}:net", "needs the module no_such_module"),
        ("{}:BatchOfOne", "fails on two images"),
        ("{}:Leaves", "fails on two images"),
        ("{}:Logarithm", "gives NaN or infinity for two images of noise"),
    ],
)
def test_what_is_wrong_with_it_is_said_in_a_line(mine: str, name: str, words: str) -> None:
    with pytest.raises(ToolkitError) as caught:
        opened(name.format(mine))
    assert words in caught.value.message
    assert len(caught.value.message.splitlines()) == 1 and caught.value.hint


def test_its_folder_is_searched_last_once_it_is_made(mine: str) -> None:
    Path("calibration.py").write_text("raise ImportError('not ours')")
    opened(f"{mine}:net")
    assert sys.path.index(str(Path.cwd())) == len(sys.path) - 1


def test_code_that_is_no_python_is_said_in_a_line(mine: str) -> None:
    Path("broken.py").write_text("def net(:\n")
    with pytest.raises(ModelError, match="SyntaxError"):
        opened("broken:net")


def test_channels_that_do_not_fit_name_both(mine: str) -> None:
    with pytest.raises(ExportError, match=r"\(28, 28\) with 3 channels") as caught:
        opened(f"{mine}:net", Told(input_size=(28, 28)))
    assert "--color" in caught.value.hint


def test_one_number_becomes_two_classes(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = opened(f"{mine}:net", classes="1")
    assert (found.spec.classes, found.spec.output_kind) == (2, "logits")
    assert "one number an image" in capsys.readouterr().err
    with torch.no_grad():
        answers = found.module(torch.ones(3, 1, 28, 28))
    assert answers.shape == (3, 2) and (answers[:, 0] == 0).all() and answers[:, 1].any()


def test_one_number_need_not_have_a_side_of_its_own(mine: str, tmp_path: Path) -> None:
    """The export holds it to PyTorch's answers to 1, 2 and 32 images; `squeeze()` leaves one no side at all."""
    for dim in ("1", "null"):
        found = opened(f"{mine}:Squeezed", dim=dim)
        assert found.spec.classes == 2 and found.module(torch.ones(1, 1, 28, 28)).shape == (1, 2)
    done = toolkit(
        "export", f"{mine}:Squeezed", "--input-size", "28", "--color", "gray", "-o", "net.onnx", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "hint"), [("{}:nets", "did you mean net?"), ("../some/{}.py:net", "in its folder as {}:net")]
)
def test_what_comes_near_is_named(mine: str, name: str, hint: str) -> None:
    with pytest.raises(ModelError) as caught:
        opened(name.format(mine))
    assert hint.format(mine) in caught.value.hint


def test_weights_fill_it_or_do_not_fit(mine: str) -> None:
    other = opened(f"{mine}:net").module
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)
    torch.save(other.state_dict(), "weights.pth")
    filled = open_module(f"{mine}:net", {}, Path("weights.pth"), False, GREY).module
    assert all(torch.equal(a, b) for a, b in zip(filled.parameters(), other.parameters(), strict=True))
    with pytest.raises(WeightsError, match=r"5\.weight"):
        open_module(f"{mine}:net", {"classes": "4"}, Path("weights.pth"), False, GREY)


def test_preprocessing_is_what_was_told(mine: str) -> None:
    told = Told((32, 48), "rgb", (0.5,), (0.2, 0.3, 0.4), crop_pct=0.875)
    image = opened(f"{mine}:net", told, channels="3").spec.preprocess
    assert image.steps == (Resize(36, 54, "shorter", "bilinear"), CenterCrop(32, 48))
    assert (image.mean, image.std) == ((0.5, 0.5, 0.5), (0.2, 0.3, 0.4))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told(), "--input-size is missing"),
        (Told((28, 28), mean=(0.1, 0.2)), "--mean has 2 values for 3 channels"),
        (Told((28, 28), std=(0.0,)), "--std divides"),
        (Told((28, 28), mean=(123.7, 116.8, 103.9)), "divide yours by 255"),
        (Told((28, 28), spec=ZOO["lenet"].spec), "--spec stands alone"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(mine: str, told: Told, words: str) -> None:
    with pytest.raises(click.UsageError, match=words):
        opened(f"{mine}:net", told)


def test_a_spec_is_read_from_a_file(mine: str) -> None:
    Path("spec.toml").write_text(
        """
        name = "fancy"
        output_kind = "logits"
        labels = ["a", "b", "c"]
        inputs = [{ name = "image", dtype = "uint8", shape = ["batch", 28, 28, 1] }]
        output = { name = "probabilities", dtype = "float32", shape = ["batch", 3] }
        [preprocess]
        color = "gray"
        mean = [0.1]
        std = [0.3]
        steps = [{ op = "resize", height = 28, width = 28, interpolation = "area" }]
        """
    )
    model = opened(f"{mine}:net", Told(spec=read_spec(Path("spec.toml"))), classes="3")
    assert model.name == "fancy" and model.spec.labels == ("a", "b", "c")
    assert model.spec.preprocess.steps == (Resize(28, 28, "exact", "area"),)
    with pytest.raises(ExportError, match="4 classes, and the spec 3"):
        opened(f"{mine}:net", Told(spec=read_spec(Path("spec.toml"))), classes="4")


def test_the_spec_in_the_docs_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "models.md").read_text().partition("```toml\n")[2]
    (tmp_path / "spec.toml").write_text(text.partition("```")[0])
    spec = read_spec(tmp_path / "spec.toml")
    assert (spec.name, spec.image_shape, spec.labels) == ("net", (224, 224, 3), ("cat", "dog"))
    assert spec.preprocess.steps == (Resize(256, 256, "shorter", "bilinear"), CenterCrop(224, 224))


@pytest.mark.parametrize(
    ("text", "words"),
    [("name = 3", "name"), ("name = ", "spec.toml"), ('surprise = "x"', "surprise"), (None, "No such")],
)
def test_a_file_that_is_no_spec_is_named(mine: str, text: str | None, words: str) -> None:
    if text is not None:
        Path("spec.toml").write_text(text)
    with pytest.raises(ModelError, match=words):
        opened(f"{mine}:net", Told(spec=read_spec(Path("spec.toml"))))


def test_labels_are_as_many_as_the_answers(mine: str) -> None:
    Path("labels.txt").write_text("a\nb\nc\n")
    told = Told((28, 28), "gray", labels=Path("labels.txt"))
    assert opened(f"{mine}:net", told, classes="3").spec.labels == ("a", "b", "c")
    with pytest.raises(ToolkitError, match="names 3 classes, and net answers for 10"):
        opened(f"{mine}:net", told)


def test_an_int8_bundle_of_it(mine: str, tmp_path: Path) -> None:
    bars = write_bars(tmp_path / "bars")
    told = ("--input-size", "28", "--color", "gray", "--mean", "0.1", "--std", "0.3")
    line = ("build", f"{mine}:Several", "--int8", *told, "--output-name", "logits", "--data", str(bars), "--json")
    done = toolkit(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["model"], result["bundle"]) == ("several", "several-int8")
    assert result["accuracy"]["agreement"] > 95 and result["coverage"]["quantized"] == 2
    assert [layer["name"] for layer in result["layers"]] == ["body.0", "body.5"]
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    with open_session(tmp_path / "several-int8") as session:
        assert session.run(images).shape == (3, 10)
        assert session.spec.label(3) == "3"


def test_what_was_exported_knows_how_it_takes_images(
    mine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("".join(f"class {i}\n" for i in range(10)))
    told = ("--input-size", "28", "--color", "bgr", "--mean", "0.4,0.5,0.6", "--std", "0.25", "--crop-pct", "0.5")
    line = ("export", f"{mine}:net", "--set", "channels=3", *told, "--labels", "labels.txt", "-o", "one.onnx")
    done = toolkit(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = toolkit("export", "one.onnx", "-o", "two.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("one", "two"):
        found = open_onnx(tmp_path / f"{name}.onnx", False, Told())
        image = found.spec.preprocess
        assert (found.spec.name, found.spec.labels[3], image.color) == (name, "class 3", "bgr")
        assert image.steps == (Resize(56, 56, "shorter"), CenterCrop(28, 28))
        assert (image.mean, image.std, found.front.preprocess.as_pixels) == ((0.4, 0.5, 0.6), (0.25,) * 3, True)
        assert f"{name} takes images as it was exported" in capsys.readouterr().err
    other = open_onnx(tmp_path / "one.onnx", False, Told(color="rgb")).spec
    assert (other.preprocess.color, other.labels) == ("rgb", ()) and "exported" not in capsys.readouterr().err
    spec = structs.replace(other, preprocess=structs.replace(other.preprocess, mean=(0.5,) * 3, std=(0.1,) * 3))
    assert open_onnx(tmp_path / "one.onnx", False, Told(spec=spec)).front.preprocess.as_pixels  # they are inside

    model = onnx.load(tmp_path / "one.onnx")
    (entry,) = model.metadata_props
    entry.value = entry.value.replace('"bgr"', '"cmyk"')
    onnx.save(model, tmp_path / "one.onnx")
    with pytest.raises(ModelError, match=r"one\.onnx: its metadata .* are not a model's spec: .*cmyk"):
        open_onnx(tmp_path / "one.onnx", False, Told())


def test_int8_of_it_needs_images_and_float32_none(mine: str, tmp_path: Path) -> None:
    told = ("--input-size", "28", "--color", "gray")
    done = toolkit("export", f"{mine}:net", "--int8", *told, cwd=tmp_path)
    assert done.returncode == 2 and "--calib-data FOLDER" in done.stderr
    done = toolkit("export", f"{mine}:net", *told, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == "net-fp32.onnx"


def test_its_summary(mine: str, tmp_path: Path) -> None:
    done = toolkit("summary", f"{mine}:net", "--input-size", "28", "--color", "gray", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["model"], result["parameters"]) == ("net", 8 * 9 + 8 + 16 + 1290)
    assert "--input-size is missing" in toolkit("summary", f"{mine}:net", cwd=tmp_path).stderr


def test_what_a_model_knows_is_not_told(tmp_path: Path, tiny_bundle: Path) -> None:
    for model, what in (("lenet", "lenet of the zoo"), (str(tiny_bundle), "a bundle")):
        done = toolkit("build", model, "--int8", "--input-size", "28", cwd=tmp_path)
        assert done.returncode == 2
        assert f"--input-size does not go with {what}" in done.stderr
    assert_clean_failure(toolkit("export", "nowhere:net", "--input-size", "28", cwd=tmp_path), "the module nowhere")


@pytest.mark.parametrize(
    "option",
    [("--mean", "a,b"), ("--std", "nan"), ("--input-size", "0"), ("--input-size", "1x2x3"), ("--input-size", "65537")],
)
def test_values_that_are_none_are_wrong_usage(tmp_path: Path, option: tuple[str, str]) -> None:
    done = toolkit("export", "lenet", *option, cwd=tmp_path)
    assert done.returncode == 2 and "such as" in done.stderr
    assert option[0] != "--input-size" or "sides of 1 to 65536" in done.stderr


def test_what_is_wrapped_is_taken_out(mine: str) -> None:
    inner = opened(f"{mine}:net").module
    Path("wrapped.py").write_text(
        f"from torch import compile, jit, nn\nfrom {mine} import net\n"
        "def parallel(): return nn.DataParallel(net())\n"
        "def compiled(): return compile(net())\n"
        "def scripted(): return jit.script(nn.Linear(2, 2))\n"
    )
    for name in ("parallel", "compiled"):
        assert type(opened(f"wrapped:{name}").module) is type(inner)
    with pytest.raises(ModelError, match="is TorchScript"):
        opened("wrapped:scripted")
