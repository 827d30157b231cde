"""`toolkit summary`, and the counting of layers, on models whose figures are known."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.errors import ExportError
from tests.command import assert_clean_failure, toolkit, without_packages
from toolkit.summary import Layer, Summary, summarize
from toolkit.zoo import ZOO


def by_name(summary: Summary) -> dict[str, Layer]:
    return {layer.name: layer for layer in summary.layers}


def operations(module: nn.Module, *shape: int) -> list[str]:
    return [layer.operation for layer in summarize(module, shape, "test").layers]


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarize(ZOO["lenet"].make(), (1, 32, 32), "lenet")


class TestLeNet:
    """Against the published table."""

    def test_neurons(self, summary: Summary) -> None:
        named = by_name(summary)
        published = ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3")
        assert [named[name].neurons for name in published] == [4704, 1176, 1600, 400, 120, 84, 10]

    def test_parameters(self, summary: Summary) -> None:
        assert {layer.name: layer.parameters for layer in summary.layers if layer.parameters} == {
            "conv1": 156, "conv2": 2416, "fc1": 48_120, "fc2": 10_164, "fc3": 850
        }  # fmt: skip
        assert summary.parameters == 61_706

    def test_shapes_and_operations(self, summary: Summary) -> None:
        assert [(layer.name, layer.operation, layer.output) for layer in summary.layers] == [
            ("conv1", "Conv2d 6 @ 5x5", (6, 28, 28)),
            ("tanh1", "Tanh", (6, 28, 28)),
            ("pool1", "MaxPool 2x2/2", (6, 14, 14)),
            ("conv2", "Conv2d 16 @ 5x5", (16, 10, 10)),
            ("tanh2", "Tanh", (16, 10, 10)),
            ("pool2", "MaxPool 2x2/2", (16, 5, 5)),
            ("flatten", "Flatten", (400,)),
            ("fc1", "Linear", (120,)),
            ("tanh3", "Tanh", (120,)),
            ("fc2", "Linear", (84,)),
            ("tanh4", "Tanh", (84,)),
            ("fc3", "Linear", (10,)),
        ]

    def test_multiply_accumulates_are_those_of_the_exported_graph(self, summary: Summary) -> None:
        assert {layer.name: layer.macs for layer in summary.layers if layer.macs} == {
            "conv1": 117_600, "conv2": 240_000, "fc1": 48_000, "fc2": 10_080, "fc3": 840
        }  # fmt: skip
        assert summary.macs == 416_520

    def test_memory(self, summary: Summary) -> None:
        assert by_name(summary)["conv1"].activation_bytes == 4 * 4704
        assert by_name(summary)["flatten"].activation_bytes == 0  # it lies in what the pool gave
        assert summary.activation_bytes == 4 * (2 * 4704 + 1176 + 2 * 1600 + 400 + 2 * 120 + 2 * 84 + 10)
        assert summary.weight_bytes == {"fp32": 246_824, "fp16": 123_412, "int8": 61_706}


def test_lenet_28() -> None:
    summary = summarize(ZOO["lenet-28"].make(), (1, 28, 28), "lenet-28")
    assert summary.parameters == 44_426
    named = by_name(summary)
    assert [named[name].output for name in ("conv1", "pool1", "conv2", "pool2", "flatten")] == [
        (6, 24, 24), (6, 12, 12), (16, 8, 8), (16, 4, 4), (256,)
    ]  # fmt: skip


def test_groups_strides_and_padding() -> None:
    module = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=1, dilation=(1, 2), groups=2), nn.AvgPool2d(3, 2, 1)
    )
    summary = summarize(module, (4, 16, 16), "grouped")
    conv, pool = summary.layers
    assert conv.operation == "Conv2d 6 @ 3x5/2x1, pad 1, dilation 1x2, groups 2"
    assert conv.output == (6, 8, 10)
    assert conv.parameters == 6 * (4 // 2) * 3 * 5 + 6
    assert conv.macs == 6 * 8 * 10 * (4 // 2) * 3 * 5
    assert pool.operation == "AvgPool 3x3/2, pad 1"


@pytest.mark.parametrize(
    ("module", "shape", "told"),
    [
        (nn.Conv1d(3, 6, 3, padding="same"), (3, 8), "Conv1d 6 @ 3, pad same"),
        (nn.Conv2d(3, 6, 1, padding="valid"), (3, 8, 8), "Conv2d 6 @ 1x1, pad valid"),
        (nn.ConvTranspose2d(4, 6, 2, 2, groups=2), (4, 3, 3), "ConvTranspose2d 6 @ 2x2/2, groups 2"),
        (nn.MaxPool2d(3, 1), (3, 8, 8), "MaxPool 3x3/1"),
        (nn.AdaptiveAvgPool2d(6), (3, 8, 8), "AdaptiveAvgPool 6x6"),
        (nn.ReLU(inplace=True), (3,), "ReLU"),
        (nn.BatchNorm2d(3), (3, 8, 8), "BatchNorm"),
        (nn.LogSoftmax(1), (3,), "LogSoftmax"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_operations_in_words(module: nn.Module, shape: tuple[int, ...], told: str) -> None:
    assert operations(nn.Sequential(module), *shape) == [told]


class Sharing(nn.Module):
    """`one` runs twice, `two` has the weight of `one` and a bias of its own, `idle` never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.two = nn.Linear(8, 8)
        self.two.weight = self.one.weight
        self.idle = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.two(torch.relu(self.one(self.one(x))))
        return result


def test_shared_parameters_are_counted_once() -> None:
    summary = summarize(Sharing(), (8,), "sharing")
    assert [(layer.name, layer.parameters, layer.macs, layer.shared_with) for layer in summary.layers] == [
        ("one", 72, 64, None),
        ("one_2", 0, 64, "one"),
        ("relu", 0, 0, None),
        ("two", 8, 64, "one"),
    ]
    assert summary.parameters == 72 + 8 + 12
    assert summary.weight_bytes["int8"] == 92


class Block(nn.Module):
    """A residual block with functional calls."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.conv(x) + x, inplace=True)


def test_a_functional_call_is_named_after_its_caller() -> None:
    summary = summarize(nn.Sequential(Block(), Block()), (2, 4, 4), "blocks")
    assert [layer.name for layer in summary.layers] == ["0.conv", "0.add", "0.relu", "1.conv", "1.add", "1.relu"]
    assert [layer.activation_bytes for layer in summary.layers] == [128, 128, 0, 128, 128, 0]


def test_a_module_that_does_several_things_is_one_layer() -> None:
    attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    layer = by_name(summarize(nn.Sequential(nn.LocalResponseNorm(3), attention), (5, 8), "many"))
    assert (layer["0"].operation, layer["0"].output) == ("LocalResponseNorm", (5, 8))
    assert (layer["1.self_attn"].operation, layer["1.self_attn"].output) == ("MultiheadAttention", (5, 8))
    assert layer["1.self_attn"].macs == 5 * 8 * 24 + 2 * (2 * 5 * 5 * 4) + 5 * 8 * 8
    assert layer["1.dropout1"].activation_bytes == 0  # it does nothing in evaluation
    recurrent = summarize(nn.Sequential(nn.LSTM(8, 4, batch_first=True)), (5, 8), "recurrent").layers[0]
    assert (recurrent.operation, recurrent.output, recurrent.macs) == ("LSTM", (5, 4), 5 * 16 * (8 + 4))


def test_the_module_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    module[1].eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    summarize(module, (2,), "test")
    assert (module.training, module[0].training, module[1].training) == (True, True, False)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert logging.root.manager.disable == logging.NOTSET


class Choosing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x


class Selecting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[x > 0]


class Casting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu"):
            return x @ x.mT


@pytest.mark.parametrize(
    ("module", "word"), [(Choosing(), "trace"), (Selecting(), "depends on the image"), (Casting(), "autocast")]
)
def test_what_cannot_be_counted_is_said_in_one_error(
    module: nn.Module, word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportError, match=word) as caught:
        summarize(module, (4, 4), "strange")
    assert "strange" in caught.value.message and caught.value.hint
    assert capfd.readouterr() == ("", "")


class TestCommand:
    def test_json_is_one_object(self, tmp_path: Path) -> None:
        done = toolkit("summary", "lenet-28", "--json", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        result = json.loads(done.stdout)
        layers = result.pop("layers")
        assert result.pop("options")["side"] == 28
        assert result == {
            "model": "lenet-28",
            "input": [1, 28, 28],
            "parameters": 44_426,
            "macs": 86_400 + 153_600 + 30_720 + 10_080 + 840,
            "activation_bytes": 4 * (2 * 3456 + 864 + 2 * 1024 + 256 + 2 * 120 + 2 * 84 + 10),
            "weight_bytes": {"fp32": 177_704, "fp16": 88_852, "int8": 44_426},
        }
        assert layers[0] == {
            "name": "conv1",
            "operation": "Conv2d 6 @ 5x5",
            "output": [6, 24, 24],
            "neurons": 3456,
            "parameters": 156,
            "macs": 86_400,
            "activation_bytes": 13_824,
            "shared_with": None,
        }

    def test_the_table_says_it_for_people(self, tmp_path: Path) -> None:
        done = toolkit("summary", "lenet", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        for word in ("conv1", "Conv2d 6 @ 5x5", "6x28x28", "4,704", "156", "117,600", "61,706", "416,520", "247 kB"):
            assert word in done.stdout
        assert "…" not in done.stdout

    def test_an_unknown_model(self, tmp_path: Path) -> None:
        assert_clean_failure(toolkit("summary", "lenet28", cwd=tmp_path), "lenet28", "did you mean lenet-28?")

    def test_a_bundle_is_inspected(self, tiny_bundle: Path, tmp_path: Path) -> None:
        path = without_packages(tmp_path, "torch", "onnx")
        done = toolkit("summary", tiny_bundle, cwd=tmp_path, PYTHONPATH=path)
        assert_clean_failure(done, "is a bundle", f"toolkit inspect {tiny_bundle}")

    def test_without_pytorch(self, tmp_path: Path) -> None:
        done = toolkit("summary", "lenet", cwd=tmp_path, PYTHONPATH=without_packages(tmp_path, "torch"))
        assert_clean_failure(done, "torch", "pip install '.[export]'")


def test_the_table_names_what_is_shared_and_what_is_idle(capsys: pytest.CaptureFixture[str]) -> None:
    from toolkit.commands.summary import show

    show(summarize(Sharing(), (8,), "sharing"))
    out = capsys.readouterr().out
    assert "one_2 shares parameters with one: they are counted there" in out
    assert "two shares parameters with one" in out
    assert "no layer uses 12 of the parameters" in out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_cut_off(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from toolkit.commands.summary import show

    monkeypatch.setattr("toolkit.console.console", lambda stderr: Console(width=width, highlight=False))
    layer = Layer(
        "classifier.1",
        "Conv2d 256 @ 5x5, pad 2, groups 2",
        (256, 27, 27),
        186_624,
        37_752_832,
        223_948_800,
        746_496,
        None,
    )
    show(Summary("alexnet", (3, 227, 227), (layer,), 60_965_224, 724_406_816, 6_506_528, {"fp32": 243_860_896}))
    lines = capsys.readouterr().out.splitlines()
    rows = "\n".join(lines)
    assert max(map(len, lines)) <= max(width, 80)
    assert "…" not in rows
    if width >= 80:  # a word or a figure is never broken there
        for word in (
            "classifier.1",
            "256x27x27",
            "186,624",
            "37,752,832",
            "223.9 M",
            "746 kB",
            "60,965,224",
            "724.4 M",
        ):
            assert word in rows
        assert all(word in rows for word in ("Conv2d", "256", "@", "5x5,", "pad", "2,", "groups"))
