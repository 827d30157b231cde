"""torchvision's AlexNet: where its trained weights are, and what they are called there. Imports no PyTorch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeVar

T = TypeVar("T")

# `AlexNet_Weights.IMAGENET1K_V1` of torchvision 0.29.1 (torchvision/models/alexnet.py), under torchvision's licence,
# BSD-3-Clause. They were trained on ImageNet, whose own terms are for research.
ALEXNET_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"

LAYERS = {
    "features.0": "conv1",
    "features.3": "conv2",
    "features.6": "conv3",
    "features.8": "conv4",
    "features.10": "conv5",
    "classifier.1": "fc6",
    "classifier.4": "fc7",
    "classifier.6": "fc8",
}
KEYS = {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in LAYERS.items() for kind in ("weight", "bias")}


def rename(state: Mapping[str, T], wanted: Collection[str]) -> dict[str, T]:
    """Weights under our names, where all of torchvision's names are there and all of ours are wanted; else as given."""
    if KEYS.keys() <= state.keys() and set(KEYS.values()) <= set(wanted):
        return {KEYS.get(key, key): value for key, value in state.items()}
    return dict(state)
