"""The zoo: names, specs, options, the figures of its models, and what the weights that ship know."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import save_file
from torch import nn

from runtime.datasets import open_dataset
from runtime.errors import OptionError, UnknownModelError, WeightsError
from runtime.images import read_image
from runtime.preprocess import image_for
from tests.command import ROOT, environment
from toolkit.summary import Summary, summarize
from toolkit.training.data import prepare
from toolkit.training.digits import one_with_upstroke
from toolkit.training.learner import choose_computing
from toolkit.training.loop import accuracy
from toolkit.training.outliers import HELD_OUT, generate
from toolkit.training.rejection import confidence, refused
from toolkit.training.shapes import Digits
from toolkit.zoo import ZOO, ZooModel, get_zoo_model
from toolkit.zoo.card import Card, read_card, to_metadata
from toolkit.zoo.weights import make_with_weights, save_weights


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def figures(model: ZooModel) -> Summary:
    height, width, channels = model.spec.image_shape
    with torch.device("meta"):
        return summarize(model.make(), (channels, height, width), model.name)


@pytest.mark.parametrize(
    ("name", "side", "first_dense", "total"), [("lenet", 32, 48_120, 61_706), ("lenet-28", 28, 30_840, 44_426)]
)
def test_lenet_has_the_published_shape(name: str, side: int, first_dense: int, total: int) -> None:
    module = ZOO[name].make()
    sizes = {name: parameters(part) for name, part in module.named_children() if parameters(part)}
    assert sizes == {"conv1": 156, "conv2": 2416, "fc1": first_dense, "fc2": 10_164, "fc3": 850}
    assert sum(sizes.values()) == total
    assert module(torch.zeros(3, 1, side, side)).shape == (3, 10)


@pytest.mark.parametrize(
    ("name", "total"), [("alexnet", 60_965_224), ("alexnet-bn", 58_325_066), ("alexnet-owt", 61_100_840)]
)
def test_alexnets_have_the_published_number_of_parameters(name: str, total: int) -> None:
    assert figures(ZOO[name]).parameters == total


def test_alexnet_bn_without_its_scales_and_shifts() -> None:
    bare = ZOO["alexnet-bn"].with_options({"normalization": "none"})
    assert figures(bare).parameters == 58_322_314


def test_the_paper_s_alexnet_layer_by_layer() -> None:
    layers = figures(ZOO["alexnet"]).layers
    shown = [layer for layer in layers if layer.name.startswith(("conv", "norm", "pool", "fc"))]
    assert [(layer.name, layer.output) for layer in shown] == [
        ("conv1", (96, 55, 55)), ("norm1", (96, 55, 55)), ("pool1", (96, 27, 27)),
        ("conv2", (256, 27, 27)), ("norm2", (256, 27, 27)), ("pool2", (256, 13, 13)),
        ("conv3", (384, 13, 13)), ("conv4", (384, 13, 13)), ("conv5", (256, 13, 13)), ("pool5", (256, 6, 6)),
        ("fc6", (4096,)), ("fc7", (4096,)), ("fc8", (1000,)),
    ]  # fmt: skip
    operations = {layer.name: layer.operation for layer in layers}
    assert operations["conv1"] == "Conv2d 96 @ 11x11/4"
    assert operations["conv2"] == "Conv2d 256 @ 5x5, pad 2, groups 2"
    assert "groups" not in operations["conv3"]
    assert operations["conv4"] == "Conv2d 384 @ 3x3, pad 1, groups 2"
    assert operations["pool1"] == "MaxPool 3x3/2"


@pytest.mark.parametrize(
    ("name", "settings", "order"),
    [
        ("alexnet", {}, ["conv1", "relu1", "norm1", "pool1"]),
        ("alexnet", {"normalization_place": "after"}, ["conv1", "relu1", "pool1", "norm1"]),
        ("alexnet", {"normalization": "none", "activation": "tanh"}, ["conv1", "tanh1", "pool1", "conv2"]),
        ("lenet", {}, ["conv1", "tanh1", "pool1", "conv2"]),
        ("lenet", {"normalization": "batch", "normalization_place": "after"}, ["conv1", "tanh1", "pool1", "norm1"]),
    ],
)
def test_the_place_of_the_normalization(name: str, settings: dict[str, str], order: list[str]) -> None:
    with torch.device("meta"):
        module = ZOO[name].with_options(settings).make()
    assert [name for name, _ in module.named_children()][:4] == order


@pytest.mark.parametrize("name", ["lenet", "lenet-28", "alexnet"])
@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "sigmoid"},
        {"normalization": "batch", "normalization_place": "after"},
        {"normalization": "lrn"},
        {"overlapping_pooling": "true"},
        {"overlapping_pooling": "false"},
        {"groups": "2"},
        {"groups": "1"},
        {"dropout": "0.25"},
        {"classes": "7"},
    ],
    ids=str,
)
def test_every_option_gives_a_model_that_runs(name: str, settings: dict[str, str]) -> None:
    model = ZOO[name].with_options(settings)
    height, width, channels = model.spec.image_shape
    with torch.device("meta"):
        assert model.make()(torch.zeros(2, channels, height, width)).shape == (2, model.spec.classes)
    for option, text in settings.items():
        assert str(getattr(model.options, option)).lower() == text


def test_two_groups_halve_what_conv2_conv4_and_conv5_hold() -> None:
    one, two = (figures(ZOO["alexnet"].with_options({"groups": groups})) for groups in (1, 2))
    halved = (256 * 96 * 25 + 384 * 384 * 9 + 256 * 384 * 9) // 2
    assert one.parameters - two.parameters == halved


def test_options_as_text_and_as_values_are_the_same() -> None:
    assert ZOO["alexnet"].with_options({"maps": "16,32,96,96,64", "dense": "128"}) == ZOO["alexnet"].with_options(
        {"maps": (16, 32, 96, 96, 64), "dense": 128}
    )
    assert ZOO["lenet"].with_options({"dropout": "0.5", "width": "4"}) == ZOO["lenet"].with_options(
        {"dropout": 0.5, "width": 4}
    )


def test_default_options_keep_the_weights_and_others_leave_them() -> None:
    assert ZOO["lenet"].with_options({"activation": "tanh"}).weights == ZOO["lenet"].weights
    assert ZOO["lenet"].with_options({"activation": "relu"}).weights is None


@pytest.mark.parametrize(
    ("settings", "named", "hint"),
    [
        ({"depth": "3"}, "depth", "it has: side, activation"),
        ({"groups": "3"}, "groups=3", "groups is 1 or 2"),
        ({"dropout": "1"}, "dropout=1", "dropout is a number from 0 to below 1"),
        ({"dropout": "nan"}, "dropout=nan", "dropout is a number from 0 to below 1"),
        ({"classes": "1"}, "classes=1", "classes is a whole number from 2 to 65536"),
        ({"classes": "many"}, "classes=many", "classes is a whole number from 2 to 65536"),
        ({"activation": "swish"}, "activation=swish", "activation is relu or sigmoid or tanh"),
        ({"side": "30"}, "side=30", "side is 28 or 32"),
    ],
)
def test_a_wrong_option_is_named(settings: dict[str, str], named: str, hint: str) -> None:
    with pytest.raises(OptionError, match=named) as caught:
        ZOO["lenet"].with_options(settings)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ZOO)
def test_every_entry_is_whole(name: str) -> None:
    model = get_zoo_model(name)
    assert model.name == model.spec.name == name
    assert model.weights is None or model.weights.is_file()
    assert model.data is None or model.data.is_dir()


@pytest.mark.parametrize("name", ZOO)
def test_a_module_fits_its_spec(name: str) -> None:
    model = get_zoo_model(name)
    height, width, channels = model.spec.image_shape
    with torch.device("meta"):
        assert model.make()(torch.zeros(2, channels, height, width)).shape == (2, model.spec.classes)


@pytest.mark.parametrize(("name", "side"), [("lenet", 32), ("lenet-28", 28)])
def test_a_lenet_takes_one_grey_digit_and_gives_ten_classes(name: str, side: int) -> None:
    spec = ZOO[name].spec
    image = spec.inputs[0]
    assert (image.name, image.dtype, image.shape) == ("image", "uint8", ("batch", side, side, 1))
    assert (spec.output.dtype, spec.output.shape) == ("float32", ("batch", 10))
    assert spec.labels == tuple("0123456789")
    assert (spec.preprocess.mean, spec.preprocess.std) == {32: ((0.1,), (0.28,)), 28: ((0.0,), (1.0,))}[side]


def test_alexnets_know_imagenet_and_other_classes_have_no_names() -> None:
    spec = ZOO["alexnet-owt"].spec
    assert (spec.image_shape, len(spec.labels), spec.labels[0]) == ((224, 224, 3), 1000, "tench")
    assert spec.preprocess.mean == (0.485, 0.456, 0.406)
    assert ZOO["alexnet-bn"].spec.labels == ()
    assert ZOO["lenet"].with_options({"classes": 26}).spec.labels == ()


def test_alexnet_bn_sees_the_whole_picture_and_alexnet_the_middle_of_it() -> None:
    picture = np.zeros((28, 28), np.uint8)
    picture[0] = 255  # an edge that a crop loses
    whole, cropped = (image_for(ZOO[name].spec, picture) for name in ("alexnet-bn", "alexnet"))
    assert whole[0].min() > 200
    assert cropped.max() == 0


def test_lenet_28_sees_what_lenet_sees_without_the_black_round_it() -> None:
    digit = read_image(ROOT / "examples" / "digits" / "3-dark-on-light.png")
    padded, bare = (image_for(ZOO[name].spec, digit) for name in ("lenet", "lenet-28"))
    assert np.array_equal(padded[2:-2, 2:-2], bare)
    assert padded.sum() == bare.sum() > 0


@pytest.mark.parametrize(("name", "top1"), [("lenet", 99.5), ("lenet-28", 99.21)])
def test_the_weights_that_ship_read_the_test_digits(name: str, top1: float) -> None:
    model = ZOO[name]
    module = make_with_weights(model)
    assert model.data
    pictures = prepare(open_dataset(model.data, "test"), model.spec)
    assert len(pictures) == 10_000
    computing = choose_computing(module, model.spec, "fp32", torch.device("cpu"))
    assert accuracy(module, pictures, computing) == pytest.approx(top1, abs=0.02)


def test_lenet_refuses_what_is_no_digit_and_few_digits() -> None:
    model = ZOO["lenet"]
    assert model.weights and model.data
    model = model.with_weights(model.weights)
    threshold = model.spec.reject_threshold
    assert threshold is not None
    module = make_with_weights(model)
    computing = choose_computing(module, model.spec, "fp32", torch.device("cpu"))
    digits = prepare(open_dataset(model.data, "test"), model.spec)
    sure, _ = confidence(module, digits.batches(torch.split(torch.arange(len(digits)), 500)), computing)
    assert refused(sure, threshold) <= 0.5
    pieces = Digits(np.zeros((10, 28, 28), np.uint8), np.arange(10))  # no kind that is held out is cut from digits
    shares = {}
    for kind in HELD_OUT:
        images = [image_for(model.spec, image) for image in generate(kind, 100, pieces, np.random.default_rng(11))]
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        shares[kind] = refused(confidence(module, [batch], computing)[0], threshold)
    assert np.mean(list(shares.values())) >= 95, shares
    assert min(shares.values()) >= 75, shares


def test_lenet_reads_1s_with_an_upstroke_and_refuses_brackets() -> None:
    model = ZOO["lenet"]
    assert model.weights
    model = model.with_weights(model.weights)
    module = make_with_weights(model)
    computing = choose_computing(module, model.spec, "fp32", torch.device("cpu"))
    pieces, rng = Digits(np.zeros((10, 28, 28), np.uint8), np.arange(10)), np.random.default_rng(12)

    def judge(images: Iterable[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = np.stack([image_for(model.spec, image) for image in images])
        return confidence(module, [torch.from_numpy(batch).permute(0, 3, 1, 2)], computing)

    sure, said = judge(one_with_upstroke(rng) for _ in range(200))
    brackets, _ = judge(generate("brackets", 200, pieces, rng))
    threshold = model.spec.reject_threshold
    assert threshold is not None
    assert ((said == 1) & (sure >= threshold)).float().mean() >= 0.97
    assert refused(brackets, threshold) >= 75


def test_random_weights_are_the_same_each_time_and_leave_the_generator_alone() -> None:
    state = torch.get_rng_state()
    model = ZOO["lenet"].with_options({"activation": "relu"})
    one, other = (make_with_weights(model).state_dict() for _ in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "near"), [("lenett", "lenet"), ("lent", "lenet"), ("lenet28", "lenet-28"), ("yolo", None)]
)
def test_an_unknown_name_gets_the_nearest_and_the_list(name: str, near: str | None) -> None:
    with pytest.raises(UnknownModelError, match=name) as caught:
        get_zoo_model(name)
    assert "lenet" in caught.value.hint
    assert caught.value.hint.startswith(f"did you mean {near}?" if near else "there are: alexnet")


def test_the_zoo_loads_without_torch() -> None:
    script = "import sys; import toolkit.zoo; print('torch' in sys.modules, toolkit.zoo.ZOO['lenet'].name)"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "False lenet\n"


class TestCard:
    """What a weights file says of itself."""

    def test_options_and_spec_come_back(self, tmp_path: Path) -> None:
        model = ZOO["lenet"].with_options({"activation": "relu", "width": "2", "classes": "4"})
        path = tmp_path / "w.safetensors"
        save_weights(model.make(), path, model.card)
        found = ZOO["lenet"].with_weights(path)
        assert found.options == model.options
        assert found.spec == model.spec
        assert found.weights == path
        assert parameters(make_with_weights(found)) == parameters(model.make())

    def test_images_of_other_classes_are_not_the_model_s(self, tmp_path: Path) -> None:
        model = ZOO["lenet"]
        names = replace(model.card, spec=replace(model.spec, labels=tuple("abcdefghij"), reject_threshold=0.25))
        save_weights(model.make(), tmp_path / "w.safetensors", names)
        found = model.with_weights(tmp_path / "w.safetensors")
        assert (found.data, found.spec.labels[0], found.spec.reject_threshold) == (None, "a", 0.25)
        assert model.with_options({"classes": 26}).data is None
        assert model.with_options({"activation": "relu"}).data == model.data

    def test_a_file_without_one_is_taken_for_the_model_as_asked(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_file(ZOO["lenet"].make().state_dict(), path)
        assert read_card(path) is None
        assert ZOO["lenet"].with_weights(path).spec == ZOO["lenet"].spec

    def test_another_model_s_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_weights(ZOO["lenet"].make(), path, ZOO["lenet"].card)
        with pytest.raises(WeightsError, match="are of lenet, not of lenet-28"):
            ZOO["lenet-28"].with_weights(path)

    def test_options_asked_for_that_are_not_the_file_s_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        save_weights(ZOO["lenet"].make(), path, ZOO["lenet"].card)
        with pytest.raises(WeightsError, match="activation=tanh"):
            ZOO["lenet"].with_options({"activation": "relu"}).with_weights(path)
        wide = ZOO["lenet"].with_options({"activation": "relu", "width": 2})
        save_weights(wide.make(), path, wide.card)
        assert ZOO["lenet"].with_options({"activation": "relu"}).with_weights(path).options == wide.options
        with pytest.raises(WeightsError, match="activation=relu"):
            ZOO["lenet"].with_options({"activation": "tanh"}).with_weights(path)

    @pytest.mark.parametrize(
        "change",
        [
            {"options": {"depth": 9}},
            {"options": {"groups": 7}},
            {"spec": None},
            {"options": {"side": 28}},
            {"options": {"classes": 4}},
            {"spec": msgspec.to_builtins(replace(ZOO["lenet"].spec, name="../../x"))},
            {"more": 1},
        ],
        ids=str,
    )
    def test_one_that_was_changed_by_hand_is_refused(self, tmp_path: Path, change: dict[str, object]) -> None:
        card = json.loads(to_metadata(ZOO["lenet"].card)["toolkit"])
        path = tmp_path / "w.safetensors"
        save_file(ZOO["lenet"].make().state_dict(), path, {"toolkit": json.dumps({**card, **change})})
        with pytest.raises(WeightsError, match=str(path)):
            ZOO["lenet"].with_weights(path)

    @pytest.mark.parametrize("data", [b"", b"\x08", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}", b"\x04\0\0\0\0\0\0\0[[[["])
    def test_what_is_no_safetensors_file_has_none(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "w.safetensors"
        path.write_bytes(data)
        assert read_card(path) is None

    def test_text_that_cannot_be_encoded(self, tmp_path: Path) -> None:
        header = b'{"__metadata__": {"toolkit": "\\ud800"}}'
        (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(WeightsError, match="describe themselves"):
            read_card(tmp_path / "w.safetensors")

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="No such file"):
            read_card(tmp_path / "gone.safetensors")

    def test_a_card_is_json(self) -> None:
        model = ZOO["alexnet-bn"]
        assert set(json.loads(to_metadata(model.card)["toolkit"])) == set(Card.__struct_fields__)
