"""The zoo: names, specs, LeNet-5 itself, and what the weights that ship know."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from runtime.datasets import open_dataset
from runtime.errors import UnknownModelError
from runtime.images import read_image
from runtime.preprocess import image_for
from tests.command import ROOT, environment
from toolkit.training import accuracy, as_tensors
from toolkit.zoo import ZOO, get_zoo_model
from toolkit.zoo.lenet import LeNet
from toolkit.zoo.weights import load_weights


@pytest.mark.parametrize(("side", "first_dense", "total"), [(32, 48_120, 61_706), (28, 30_840, 44_426)])
def test_lenet_has_the_published_shape(side: int, first_dense: int, total: int) -> None:
    module = LeNet(side)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in module.named_children()}
    assert sizes == {"conv1": 156, "conv2": 2416, "fc1": first_dense, "fc2": 10_164, "fc3": 850}
    assert sum(sizes.values()) == total
    assert module(torch.zeros(3, 1, side, side)).shape == (3, 10)


@pytest.mark.parametrize("name", ZOO)
def test_every_entry_is_whole(name: str) -> None:
    model = get_zoo_model(name)
    assert model.name == model.spec.name == name
    assert model.weights.is_file()
    assert model.data is None or model.data.is_dir()


@pytest.mark.parametrize("name", ZOO)
def test_a_module_fits_its_spec(name: str) -> None:
    model = get_zoo_model(name)
    height, width, channels = model.spec.image_shape
    assert model.make()(torch.zeros(2, channels, height, width)).shape == (2, model.spec.classes)


@pytest.mark.parametrize(("name", "side"), [("lenet", 32), ("lenet-28", 28)])
def test_a_lenet_takes_one_grey_digit_and_gives_ten_classes(name: str, side: int) -> None:
    spec = ZOO[name].spec
    image = spec.inputs[0]
    assert (image.name, image.dtype, image.shape) == ("image", "uint8", ("batch", side, side, 1))
    assert (spec.output.dtype, spec.output.shape) == ("float32", ("batch", 10))
    assert spec.labels == tuple("0123456789")
    assert (spec.preprocess.mean, spec.preprocess.std) == ((0.0,), (1.0,))


def test_lenet_28_sees_what_lenet_sees_without_the_black_round_it() -> None:
    digit = read_image(ROOT / "examples" / "digits" / "3-dark-on-light.png")
    padded, bare = (image_for(ZOO[name].spec, digit) for name in ("lenet", "lenet-28"))
    assert np.array_equal(padded[2:-2, 2:-2], bare)
    assert padded.sum() == bare.sum() > 0


@pytest.mark.parametrize(("name", "top1"), [("lenet", 99.16), ("lenet-28", 99.21)])
def test_the_weights_that_ship_read_the_test_digits(name: str, top1: float) -> None:
    model = ZOO[name]
    module = model.make()
    load_weights(module, model.weights)
    assert model.data
    images, labels = as_tensors(open_dataset(model.data, "test"), model.spec)
    assert len(images) == 10_000
    assert accuracy(module, images, labels) == pytest.approx(top1, abs=0.02)


@pytest.mark.parametrize(
    ("name", "near"), [("lenett", "lenet"), ("lent", "lenet"), ("lenet28", "lenet-28"), ("yolo", None)]
)
def test_an_unknown_name_gets_the_nearest_and_the_list(name: str, near: str | None) -> None:
    with pytest.raises(UnknownModelError, match=name) as caught:
        get_zoo_model(name)
    assert "lenet" in caught.value.hint
    assert caught.value.hint.startswith(f"did you mean {near}?" if near else "There are: lenet")


def test_the_zoo_loads_without_torch() -> None:
    script = "import sys; import toolkit.zoo; print('torch' in sys.modules, toolkit.zoo.ZOO['lenet'].name)"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "False lenet\n"
