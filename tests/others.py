"""timm's and torchvision's classifiers with random weights, and pictures for them: `tests.others:make`.

Weights cannot be downloaded everywhere, so they are random, and batch normalization gets its mean and variance from the
pictures: activations are then as far apart as in a trained network, if not as meaningful.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate
from torch.nn.modules.batchnorm import _BatchNorm

SETTLING_IMAGES = 32
# torchvision's wheels are made for one build of PyTorch. Beside another, its own operators are missing, and it cannot
# be imported though no classifier needs them: they are declared, and stay without code.
OPERATORS = ("nms", "qnms")


def declare_operators() -> None:
    """Let torchvision be imported beside any build of PyTorch."""
    global _declared
    if not hasattr(torch.ops.torchvision, "nms"):
        _declared = torch.library.Library("torchvision", "DEF")
        for name in OPERATORS:
            _declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def make(name: str, size: int = 224, classes: int = 100) -> nn.Module:
    """A classifier.

    Args:
        name: `timm/NAME` or `torchvision/NAME`.
        size: of its images.
        classes: how many it knows.
    """
    declare_operators()
    library, _, model = name.partition("/")
    torch.manual_seed(0)
    if library == "timm":
        import timm

        module = timm.create_model(model, num_classes=classes)
    else:
        from torchvision import models

        module = models.get_model(model, num_classes=classes)
        module.aux_logits = False  # of GoogLeNet and Inception: answers that only training wants
    settle(module, pictures(SETTLING_IMAGES, size))
    return module.eval()


def settle(module: nn.Module, images: NDArray[np.uint8]) -> None:
    """Give batch normalization the statistics of some images, uint8 (N, H, W, 3), and scales and shifts of its own.

    Shifts are near 1, so that most of what is normalized passes the activation behind it. With shifts near 0 a random
    network multiplies every small difference by about 1.2 in each layer (Yang et al., "A Mean Field Theory of Batch
    Normalization", 2019), a trained one does not: no graph of 80 layers would then be like another one.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    module.eval()
    with torch.no_grad():
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # the plain average of all batches
            if norm.affine:
                norm.weight.uniform_(0.7, 1.3)
                norm.bias.normal_(1, 0.1)
        if norms:
            module(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    module.eval()


def pictures(count: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    """Clouds of colour with details of every scale, uint8 (count, size, size, 3)."""
    generator = torch.Generator().manual_seed(seed)
    layers = (
        interpolate(torch.randn(count, 3, side, side, generator=generator) * side**-0.3, (size, size), mode="bilinear")
        for side in (2, 4, 8, 32)
    )
    clouds = sum(layers, torch.zeros(1))
    tint = torch.randn(count, 3, 1, 1, generator=generator) * 0.5
    pixels = ((clouds + tint) * 50 + 128).clamp(0, 255).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
