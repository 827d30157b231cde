"""torchvision's classifiers, trained on Fashion-MNIST for as long as a benchmark can wait: `make` gives them untrained.

python tests/benchmarks/torchvision_fashion.py FOLDER NAME WEIGHTS.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

from runtime.datasets import evenly_spaced, open_dataset
from tests.others import declare_operators

SIZE = 64
MEAN, STD = 0.286, 0.353
IMAGES, EPOCHS, BATCH, LEARNING_RATE = 10_000, 3, 64, 2e-3


def make(name: str) -> nn.Module:
    """One of torchvision's for ten classes and colour images of 64x64 pixels, with random weights."""
    declare_operators()
    from torchvision import models

    torch.manual_seed(0)
    return models.get_model(name, num_classes=10).eval()


def train(name: str, folder: Path, out: Path) -> None:
    """Train with 10,000 of the training images."""
    dataset = evenly_spaced(open_dataset(folder, "train"), IMAGES)
    assert dataset.labels is not None
    images = torch.from_numpy(np.stack([dataset.image(index) for index in range(len(dataset))]))
    labels = torch.from_numpy(np.asarray(dataset.labels))
    module = make(name).train().to(memory_format=torch.channels_last)
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=generator)
        total = 0.0
        for step in range(len(images) // BATCH):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            gray = interpolate(images[chosen][:, None].float() / 255, (SIZE, SIZE), mode="bilinear")
            answers = module(((gray - MEAN) / STD).repeat(1, 3, 1, 1).contiguous(memory_format=torch.channels_last))
            loss = cross_entropy(answers, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"{name}: epoch {epoch + 1}/{EPOCHS}: loss {total / (step + 1):.3f}", file=sys.stderr, flush=True)
    tensors = {key: value.contiguous() for key, value in module.eval().state_dict().items()}
    save_file(tensors, out)


if __name__ == "__main__":
    train(sys.argv[2], Path(sys.argv[1]), Path(sys.argv[3]))
