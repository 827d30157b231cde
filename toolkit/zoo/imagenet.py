"""ImageNet's 1,000 classes (ILSVRC 2012), and how the colours of its pictures are spread. Imports no PyTorch."""

from __future__ import annotations

from functools import cache
from pathlib import Path

LABELS = Path(__file__).with_name("imagenet.txt")

# Of red, green and blue, in units of pixel / 255: what all of torchvision's classifiers are trained with.
# Source: https://pytorch.org/vision/0.8/models.html#classification
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 names in class order, as torchvision 0.29.1 has them. All differ, two of them (264, 474) by case only.

    Where ImageNet gives two classes one name, torchvision tells them apart: "crane bird" (134) and "crane" (517),
    "maillot" (638) and "maillot tank suit" (639).
    """
    return tuple(LABELS.read_text(encoding="utf-8").splitlines())
