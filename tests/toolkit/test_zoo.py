"""The zoo: names, specs and LeNet-5 itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from runtime.errors import UnknownModelError
from tests.command import environment
from toolkit.zoo import ZOO, get_zoo_model
from toolkit.zoo.lenet import LeNet
from toolkit.zoo.weights import load_weights


def test_lenet_has_the_published_shape() -> None:
    module = LeNet()
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in module.named_children()}
    assert sizes == {"conv1": 156, "conv2": 2416, "fc1": 48_120, "fc2": 10_164, "fc3": 850}
    assert sum(sizes.values()) == 61_706
    assert module(torch.zeros(3, 1, 32, 32)).shape == (3, 10)


@pytest.mark.parametrize("name", ZOO)
def test_every_entry_is_whole(name: str) -> None:
    model = get_zoo_model(name)
    assert model.name == model.spec.name == name
    assert model.weights.is_file()
    assert model.data is None or model.data.is_dir()


def test_lenet_takes_one_grey_digit_and_gives_ten_classes() -> None:
    spec = ZOO["lenet"].spec
    assert (spec.inputs[0].name, spec.inputs[0].dtype, spec.inputs[0].shape) == ("image", "uint8", ("batch", 32, 32, 1))
    assert (spec.output.dtype, spec.output.shape) == ("float32", ("batch", 10))
    assert spec.labels == tuple("0123456789")
    assert (spec.preprocess.mean, spec.preprocess.std) == ((0.0,), (1.0,))


def test_the_weights_that_ship_are_the_model_s() -> None:
    module = LeNet()
    before = module.fc3.weight.clone()
    load_weights(module, ZOO["lenet"].weights)
    assert not torch.equal(module.fc3.weight, before)


@pytest.mark.parametrize(("name", "near"), [("lenett", "lenet"), ("lent", "lenet"), ("yolo", None)])
def test_an_unknown_name_gets_the_nearest_and_the_list(name: str, near: str | None) -> None:
    with pytest.raises(UnknownModelError, match=name) as caught:
        get_zoo_model(name)
    assert "lenet" in caught.value.hint
    assert caught.value.hint.startswith(f"did you mean {near}?" if near else "There are: lenet")


def test_the_zoo_loads_without_torch() -> None:
    script = "import sys; import toolkit.zoo; print('torch' in sys.modules, toolkit.zoo.ZOO['lenet'].name)"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "False lenet\n"
