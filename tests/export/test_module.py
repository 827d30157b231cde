"""From an nn.Module to a checked file: real PyTorch, real weights, real digits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from export.module import ExportResult, export_module, innermost
from export.parity import normalize
from runtime.errors import ExportError
from runtime.spec import BatchRange, ModelSpec
from tests.command import ROOT, environment
from tests.export.graphs import answer, color_images, color_spec, distance, op_types
from tests.export.lenet import LENET, dataset, digits, export_lenet, trained_lenet
from tests.fakes import RecordingProgress


@dataclass(frozen=True)
class Exported:
    """A real export, and what was there before and after."""

    module: nn.Module
    result: ExportResult
    progress: RecordingProgress
    content: bytes
    model: onnx.ModelProto


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    path = tmp_path_factory.mktemp("lenet") / "lenet.onnx"
    module, progress = trained_lenet(), RecordingProgress()
    result = export_lenet(module, path, progress)
    return Exported(module, result, progress, path.read_bytes(), onnx.load(path))


def test_lenet_answers_as_pytorch_does_at_every_batch_size(lenet: Exported) -> None:
    assert [row.batch for row in lenet.result.parity] == [1, 2, 32]
    assert max(row.max_error for row in lenet.result.parity) < 1e-5
    images = digits()
    with torch.no_grad():
        expected = lenet.module(torch.from_numpy(normalize(LENET.preprocess, images))).softmax(1).numpy()
    (probabilities,) = answer(lenet.model, images)
    assert distance(expected, probabilities) < 1e-5


def test_it_reads_the_digits(lenet: Exported) -> None:
    (probabilities,) = answer(lenet.model, digits())
    assert np.mean(probabilities.argmax(axis=1) == dataset().labels) > 0.9


def test_the_file_takes_uint8_images_and_gives_probabilities(lenet: Exported) -> None:
    onnx.checker.check_model(lenet.model, full_check=True)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 32, 32, 1])
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])
    assert list(lenet.model.graph.input) == [image]
    assert list(lenet.model.graph.output) == [output]


def test_the_file_has_one_opset_and_one_format_version(lenet: Exported) -> None:
    assert [(entry.domain, entry.version) for entry in lenet.model.opset_import] == [("", 20)]
    assert lenet.model.ir_version == 10
    assert lenet.model.graph.name == "lenet"
    assert lenet.model.producer_name == "edge-deployment-toolkit"


def test_layers_are_called_as_in_pytorch(lenet: Exported) -> None:
    named = [node.name for node in lenet.model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert named == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    names = [node.name for node in lenet.model.graph.node]
    assert len(set(names)) == len(names)


def test_the_front_is_folded_and_the_export_has_nothing_to_warn_of(lenet: Exported) -> None:
    assert lenet.result.rules[:1] == (("fold_front_into_conv", 1, ""),)
    assert op_types(lenet.model)[:4] == ["Cast", "Transpose", "Sub", "Conv"]
    assert lenet.result.warnings == ()


def test_nothing_of_this_machine_is_in_the_file(lenet: Exported) -> None:
    for path in (ROOT, sys.prefix, lenet.result.path.parent, "/site-packages"):
        assert str(path).encode() not in lenet.content
    graph = lenet.model.graph
    for holder in (lenet.model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        assert holder.doc_string == "" and not holder.metadata_props


def test_the_progress_names_the_steps_and_says_how_far_the_answers_differ(lenet: Exported) -> None:
    assert list(lenet.progress.stages) == ["export", "simplify", "compare with PyTorch"]
    (note,) = lenet.progress.stages["compare with PyTorch"].notes
    assert note.startswith("logits differ by ") and note.endswith(" at batch 32")


def test_the_module_is_in_training_mode_again(lenet: Exported) -> None:
    assert all(part.training for part in lenet.module.modules())


def test_another_process_writes_the_same_bytes_says_nothing_and_leaves_nothing(lenet: Exported, tmp_path: Path) -> None:
    temporary, here, target = (tmp_path / name for name in ("temporary", "here", "target"))
    for folder in (temporary, here, target):
        folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.export.lenet", "lenet", str(target / "other.onnx")],
        cwd=here,
        env=environment(TMPDIR=str(temporary), PYTHONHASHSEED="7"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (target / "other.onnx").read_bytes() == lenet.content
    assert [path.name for path in target.iterdir()] == ["other.onnx"]
    assert list(temporary.iterdir()) == []
    assert list(here.iterdir()) == []


class Small(nn.Module):
    """A padded convolution and a matrix; what comes at the end is the subclass's."""

    def __init__(self, padding: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 2, 3, padding=padding), nn.ReLU())
        self.fc = nn.Linear(2 * (4 + 2 * padding) * (3 + 2 * padding), 4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.features(images).flatten(1))
        return logits


class Probable(Small):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).softmax(1)


class Undecided(Small):
    """Does what the values of the images say, which no graph holds."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.sum() > 0 else -images)


class Broken(Small):
    def forward(self, images: Tensor) -> Tensor:
        raise ValueError("the third gear is missing\nand more")


class Random(Small):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + torch.rand(4)


class Tied(Small):
    """One convolution twice, first on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 2)
        self.fc = nn.Linear(3 * 4 * 3, 4)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.conv(self.conv(images)).flatten(1))
        return logits


@pytest.fixture
def unsimplified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the two seconds that onnxsim takes."""

    def keep(model: onnx.ModelProto, *_: object) -> tuple[onnx.ModelProto, str]:
        return model, "it was too slow"

    monkeypatch.setattr("export.module.simplify", keep)
    monkeypatch.setattr("export.simplify.find_spec", lambda name: None)  # nor start it


def export(module: nn.Module, path: Path, spec: ModelSpec | None = None) -> ExportResult:
    return export_module(module, spec or color_spec(), color_images(3), path, BatchRange(1, 1, 5), RecordingProgress())


def test_a_padded_convolution_keeps_the_front_before_it(tmp_path: Path) -> None:
    """With onnxsim and with mean and standard deviation."""
    result = export(Small(), tmp_path / "small.onnx")
    reason = "features.0 pads with zeros, which are not 0 before normalization"
    assert result.rules[:1] == (("fold_front_into_conv", 0, reason),)
    assert op_types(onnx.load(result.path))[:5] == ["Cast", "Transpose", "Sub", "Mul", "Conv"]
    assert [row.batch for row in result.parity] == [1, 2, 5]
    assert max(row.max_error for row in result.parity) < 1e-5


@pytest.mark.usefixtures("unsimplified")
def test_an_unpadded_convolution_of_colours_takes_mean_and_deviation_in(tmp_path: Path) -> None:
    result = export(Small(padding=0), tmp_path / "small.onnx")
    assert result.rules[:1] == (("fold_front_into_conv", 1, ""),)
    assert "Mul" not in op_types(onnx.load(result.path))
    assert max(row.max_error for row in result.parity) < 1e-5


@pytest.mark.usefixtures("unsimplified")
def test_a_convolution_that_is_used_twice_gets_a_folded_weight_of_its_own(tmp_path: Path) -> None:
    result = export(Tied(), tmp_path / "tied.onnx")
    assert result.rules[:1] == (("fold_front_into_conv", 1, ""),)
    assert max(row.max_error for row in result.parity) < 1e-5
    layers = [node.name for node in onnx.load(result.path).graph.node if node.op_type == "Conv"]
    assert layers == ["conv", "conv_2"]


@pytest.mark.usefixtures("unsimplified")
def test_a_model_of_probabilities_gets_no_second_softmax(tmp_path: Path) -> None:
    module = Probable().eval()
    result = export(module, tmp_path / "probable.onnx", color_spec(output_kind="probabilities"))
    model = onnx.load(result.path)
    assert op_types(model).count("Softmax") == 1
    with torch.no_grad():
        expected = module(torch.from_numpy(normalize(color_spec().preprocess, color_images(4)))).numpy()
    assert distance(expected, answer(model, color_images(4))[0]) < 1e-5


@pytest.mark.usefixtures("unsimplified")
def test_a_graph_that_was_not_simplified_is_exported_with_a_warning_and_no_path_in_it(tmp_path: Path) -> None:
    progress = RecordingProgress()
    result = export_module(Small(), color_spec(), color_images(2), tmp_path / "a.onnx", BatchRange(1, 1, 1), progress)
    assert result.warnings == ("it was too slow",)
    assert progress.stages["simplify"].notes == ["warning: it was too slow"]
    assert [row.batch for row in result.parity] == [1, 2]
    assert Path(__file__).name.encode() not in result.path.read_bytes()


@pytest.mark.usefixtures("unsimplified")
@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Broken(), "PyTorch cannot export net: ValueError: the third gear is missing"),
        (Random(), "does not answer as the original does: at batch 1"),
    ],
)
def test_a_failed_export_has_a_hint_and_leaves_what_was_there(tmp_path: Path, module: nn.Module, words: str) -> None:
    old = tmp_path / "old.onnx"
    old.write_bytes(b"old")
    for path in (old, tmp_path / "new.onnx"):
        with pytest.raises(ExportError) as caught:
            export(module, path)
        assert words in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["old.onnx"]
    assert old.read_bytes() == b"old"
    assert module.training


def test_a_model_that_cannot_be_exported_brings_no_dump_of_its_graph(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportError, match=r"PyTorch cannot export net: .*data-dependent"):
        export(Undecided(), tmp_path / "a.onnx")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "images", [color_images(0), color_images(2).transpose(0, 2, 1, 3), color_images(2).astype(np.float32)]
)
def test_images_that_prove_nothing_are_refused_before_the_work(tmp_path: Path, images: np.ndarray) -> None:
    progress = RecordingProgress()
    with pytest.raises(ExportError, match="net is checked with uint8 images") as caught:
        export_module(Small(), color_spec(), images, tmp_path / "a.onnx", BatchRange(1, 1, 1), progress)
    assert caught.value.hint
    assert not progress.stages and not list(tmp_path.iterdir())


@pytest.mark.usefixtures("unsimplified")
@pytest.mark.parametrize(("classes", "dtype"), [(4, torch.float64), (5, torch.float32)])
def test_a_graph_that_is_not_valid_is_refused(tmp_path: Path, classes: int, dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(90, classes, dtype=dtype))
    with pytest.raises(ExportError, match="graph of net is not valid") as caught:
        export(module, tmp_path / "a.onnx")
    assert "float32 and gives 4 classes" in caught.value.hint
    assert not list(tmp_path.iterdir())


@contextmanager
def remembered(module: nn.Module) -> Iterator[None]:
    """Assert that every part is afterwards in the mode that it was in."""
    before = {name: part.training for name, part in module.named_modules()}
    yield
    assert {name: part.training for name, part in module.named_modules()} == before


@pytest.mark.usefixtures("unsimplified")
def test_each_part_of_a_module_is_left_in_its_own_mode(tmp_path: Path) -> None:
    module = Small()
    module.features.eval()
    with remembered(module):
        export(module, tmp_path / "small.onnx")


def test_the_error_that_started_it_is_told_by_its_first_line() -> None:
    try:
        try:
            raise ValueError("\nfirst\nsecond")
        except ValueError as error:
            raise RuntimeError("outer") from error
    except RuntimeError as outer:
        assert innermost(outer) == "ValueError: first"
    assert innermost(KeyError()) == "KeyError"
