"""One real export: a LeNet that ships, on digits that ship. Run as a program it does so in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

import runtime
from export.module import ExportResult, export_module
from runtime.datasets import Dataset, batches, evenly_spaced, open_dataset
from runtime.progress import Progress, SilentProgress
from runtime.spec import BatchRange, ModelSpec
from toolkit.zoo import ZOO
from toolkit.zoo.weights import make_with_weights

COUNT = 32
LENET = ZOO["lenet"].spec


def dataset() -> Dataset:
    """32 of the test digits."""
    return evenly_spaced(open_dataset(Path(runtime.__file__).parent / "data" / "mnist", "test"), COUNT)


def digits(spec: ModelSpec = LENET) -> NDArray[np.uint8]:
    """Their pixels as a model takes them, uint8 (32, height, width, 1)."""
    return next(batches(dataset(), spec, COUNT))


def trained_lenet() -> nn.Module:
    """With its weights, in training mode, as `nn.Module` starts."""
    return make_with_weights(ZOO["lenet"])


def export_lenet(module: nn.Module, path: Path, progress: Progress, spec: ModelSpec = LENET) -> ExportResult:
    """Export it for batches of 1 to 32."""
    return export_module(module, spec, digits(spec), path, BatchRange(1, 1, COUNT), progress)


if __name__ == "__main__":
    model = ZOO[sys.argv[1]]
    export_lenet(make_with_weights(model), Path(sys.argv[2]), SilentProgress(), model.spec)
