"""LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.

As it is mostly built today: full connections from S2 to C3, max pooling, a dense output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LeNet(nn.Module):
    """Square grey digits to ten logits.

                                  side 32: 61,706 parameters         side 28: 44,426
    conv1 6 @ 5x5, tanh, pool     (N, 1, 32, 32) -> (N, 6, 14, 14)   (N, 1, 28, 28) -> (N, 6, 12, 12)
    conv2 16 @ 5x5, tanh, pool                   -> (N, 16, 5, 5)                   -> (N, 16, 4, 4)
    fc1, tanh                                    -> (N, 120)                        -> (N, 120)
    fc2, tanh                                    -> (N, 84)                         -> (N, 84)
    fc3                                          -> (N, 10)                         -> (N, 10)

    Args:
        side: height and width of an image in pixels. 32, as published, leaves black round MNIST's 28x28 digits.
    """

    def __init__(self, side: int = 32) -> None:
        super().__init__()
        reduced = ((side - 4) // 2 - 4) // 2  # twice: a convolution takes 4 off, a pool halves
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * reduced**2, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, 10), of float32 (N, 1, side, side) in 0..1, light digits on dark."""
        maps = functional.max_pool2d(torch.tanh(self.conv1(images)), 2)
        maps = functional.max_pool2d(torch.tanh(self.conv2(maps)), 2)
        features = torch.tanh(self.fc1(torch.flatten(maps, 1)))
        logits: Tensor = self.fc3(torch.tanh(self.fc2(features)))
        return logits


def lenet_28() -> LeNet:
    """The variant that takes MNIST's digits as they are."""
    return LeNet(side=28)
