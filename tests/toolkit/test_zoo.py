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


@pytest.mark.parametrize(("name", "near"), [("lenett", "lenet"), ("LeNet", None), ("resnet-9000", None)])
def test_an_unknown_name_gets_the_nearest_and_the_list(name: str, near: str | None) -> None:
    with pytest.raises(UnknownModelError, match=name) as caught:
        get_zoo_model(name)
    assert "lenet" in caught.value.hint
    if near:
        assert f"did you mean {near}?" in caught.value.hint


def test_the_zoo_loads_without_torch() -> None:
    script = "import sys; import toolkit.zoo; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
