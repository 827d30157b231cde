"""A trained narrow network, made wide without a change of what it computes: Net2WiderNet.

Chen, Goodfellow and Shlens, "Net2Net: accelerating learning via knowledge transfer", 2016. Every map and neuron becomes
several alike, and what reads them shares its weight out among these, at random, so that training can tell them apart.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn


def widen(narrow: nn.Sequential, wide: nn.Sequential, seed: int) -> None:
    """Fill `wide` so that it answers as `narrow` does, up to the rounding of float32.

    Args:
        narrow: convolutions, dense layers, batch norms and layers without weights.
        wide: the same layers by name, each hidden one a whole number of times as wide.
        seed: of the shares.

    Raises:
        ValueError: a layer is not a whole number of times as wide.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs, copies = 0, 1  # what the layer at hand reads, and how many times each of that stands there
    for name, layer in wide.named_children():
        small = narrow.get_submodule(name)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            inputs = inputs or layer.weight.shape[1]
            read = small.weight.unflatten(1, (inputs // copies, -1))  # by map, also where a map is many neurons
            outputs = times(layer.weight, small.weight)
            shared = share_out(read.repeat_interleave(outputs, 0), copies, generator)
            inputs, copies = len(layer.weight), outputs
            layer.weight.data.copy_(shared.reshape(layer.weight.shape))
            layer.bias.data.copy_(small.bias.repeat_interleave(copies))
        elif isinstance(layer, nn.BatchNorm2d):
            for key, value in small.state_dict().items():
                layer.state_dict()[key].copy_(value.repeat_interleave(copies) if value.dim() else value)


def times(large: Tensor, small: Tensor) -> int:
    """How many times as many outputs."""
    count, rest = divmod(len(large), len(small))
    if rest:
        raise ValueError(f"{len(large)} is no multiple of {len(small)}")
    return count


def share_out(weight: Tensor, copies: int, generator: Generator) -> Tensor:
    """Weights (out, maps, ...) for inputs that stand there `copies` times: (out, maps * copies, ...)."""
    shares = 0.5 + torch.rand(*weight.shape[:2], copies, generator=generator)
    shares = shares / shares.sum(2, keepdim=True)
    spread = weight.unsqueeze(2) * shares.reshape(*shares.shape, *[1] * (weight.dim() - 2))
    return spread.flatten(1, 2)
