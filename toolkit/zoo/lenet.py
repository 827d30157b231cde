"""LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.

As it is mostly built today: full connections from S2 to C3, max pooling, a dense output. 61,706 parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class LeNet(nn.Module):
    """32x32 grey digits to ten logits.

    conv1 6 @ 5x5, tanh, pool    (N, 1, 32, 32) -> (N, 6, 14, 14)
    conv2 16 @ 5x5, tanh, pool                  -> (N, 16, 5, 5)
    fc1, tanh                                   -> (N, 120)
    fc2, tanh                                   -> (N, 84)
    fc3                                         -> (N, 10)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, 10), of float32 (N, 1, 32, 32) in 0..1, light digits on dark."""
        maps = functional.max_pool2d(torch.tanh(self.conv1(images)), 2)
        maps = functional.max_pool2d(torch.tanh(self.conv2(maps)), 2)
        features = torch.tanh(self.fc1(torch.flatten(maps, 1)))
        logits: Tensor = self.fc3(torch.tanh(self.fc2(features)))
        return logits
