"""Layers that the models of the zoo share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class LocalResponseNorm(nn.Module):
    """Local response normalisation as AlexNet has it: a / (k + 1e-4 * sum of a^2 over 5 neighbouring maps)^0.75, k = 2.

    PyTorch, ONNX and TensorRT divide the sum by the number of maps, so the paper's alpha of 1e-4 is 5e-4 here.
    Exported, it is one LRN node; the exporter by itself would write eleven, which no quantized engine takes well.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 3.3.
    """

    SIZE, ALPHA, BETA, K = 5, 5e-4, 0.75, 2.0

    def forward(self, maps: Tensor) -> Tensor:
        """Take and give float (N, C, H, W)."""
        if torch.onnx.is_in_onnx_export():
            node: Tensor = torch.onnx.ops.symbolic(
                "LRN",
                (maps,),
                {"size": self.SIZE, "alpha": self.ALPHA, "beta": self.BETA, "bias": self.K},
                dtype=maps.dtype,
                shape=maps.shape,
            )
            return node
        return functional.local_response_norm(maps, self.SIZE, self.ALPHA, self.BETA, self.K)


def normalization(kind: str, channels: int) -> list[nn.Module]:
    """The layer named `lrn` or `batch`; nothing for `none`."""
    if kind == "lrn":
        return [LocalResponseNorm()]
    return [nn.BatchNorm2d(channels)] if kind == "batch" else []
