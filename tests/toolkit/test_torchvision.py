"""torchvision's AlexNet: its names and shapes become ours, and nothing else is renamed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from runtime.errors import WeightsError
from toolkit.zoo.download import NAME
from toolkit.zoo.torchvision import ALEXNET_URL, KEYS, LAYERS, rename
from toolkit.zoo.weights import load_weights

# Outputs and inputs of each layer, and the side of its kernels, from torchvision/models/alexnet.py.
SIZES = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
    "classifier.1": (4096, 9216),
    "classifier.4": (4096, 4096),
    "classifier.6": (1000, 4096),
}


class Small(nn.Module):
    """Layers under our names, a few numbers each; all of one shape, so that only the names tell them apart."""

    def __init__(self) -> None:
        super().__init__()
        for name in LAYERS.values():
            self.add_module(name, nn.Linear(3, 2))


def small_theirs() -> dict[str, torch.Tensor]:
    """Random weights of `Small` under torchvision's names."""
    return {key: torch.rand(2, 3) if key.endswith("weight") else torch.rand(2) for key in KEYS}


def test_the_full_size_network_is_renamed_shape_by_shape() -> None:
    theirs = {}
    for name, size in SIZES.items():
        theirs |= {
            f"{name}.weight": torch.empty(size, device="meta"),
            f"{name}.bias": torch.empty(size[0], device="meta"),
        }
    assert sum(tensor.numel() for tensor in theirs.values()) == 61_100_840  # what torchvision states
    assert theirs.keys() == KEYS.keys()
    ours = rename(theirs, KEYS.values())
    assert {key: tuple(tensor.shape) for key, tensor in ours.items() if key.endswith("weight")} == {
        "conv1.weight": (64, 3, 11, 11),
        "conv2.weight": (192, 64, 5, 5),
        "conv3.weight": (384, 192, 3, 3),
        "conv4.weight": (256, 384, 3, 3),
        "conv5.weight": (256, 256, 3, 3),
        "fc6.weight": (4096, 9216),
        "fc7.weight": (4096, 4096),
        "fc8.weight": (1000, 4096),
    }
    assert all(ours[key.replace("weight", "bias")].shape == ours[key].shape[:1] for key in ours if "weight" in key)


@pytest.mark.parametrize("save", [torch.save, save_file])
def test_their_file_loads_into_our_module(tmp_path: Path, save: object) -> None:
    state, module = small_theirs(), Small()
    save(state, tmp_path / "w.pth")  # type: ignore[operator]
    load_weights(module, tmp_path / "w.pth")
    ours = module.state_dict()
    assert len(ours) == len(state) == 16
    assert all(torch.equal(ours[KEYS[key]], value) for key, value in state.items())


def test_a_file_with_our_names_loads_as_it_is(tmp_path: Path) -> None:
    one, other = Small(), Small()
    torch.save(one.state_dict(), tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_part_of_their_names_is_not_renamed(tmp_path: Path) -> None:
    state = small_theirs()
    del state["classifier.6.bias"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=re.escape("it has no 'conv1.weight'")):
        load_weights(Small(), tmp_path / "w.pth")


def test_a_key_more_than_theirs_is_named(tmp_path: Path) -> None:
    torch.save({**small_theirs(), "extra": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="it has 'extra'"):
        load_weights(Small(), tmp_path / "w.pth")


def test_a_module_with_their_names_gets_them() -> None:
    state = small_theirs()
    assert rename(state, state) == state


def test_the_download_can_be_checked() -> None:
    name = NAME.fullmatch(ALEXNET_URL.rpartition("/")[2])
    assert name
    assert name[1] == "7be5be79"
