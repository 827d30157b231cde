"""The images that two models are compared on, prepared for each of them. Imports neither PyTorch nor ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np
from numpy.typing import NDArray

from runtime.bundle import Bundle
from runtime.datasets import ArrayDataset, Dataset, evenly_spaced, has_both_splits, open_dataset
from runtime.evaluate import require_classes
from runtime.preprocess import image_for
from runtime.spec import ModelSpec

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class ImagePairs:
    """A set of images for two models.

    Attributes:
        dataset: the images that are taken of it.
        specs: how either model takes an image.
        ready: they have the models' size and colours already.
        warnings: for the user.
    """

    dataset: Dataset
    specs: tuple[ModelSpec, ModelSpec]
    ready: bool = False
    warnings: tuple[str, ...] = ()

    def pair(self, index: int) -> tuple[Pixels, Pixels]:
        """One image as either model takes it, uint8 (H, W, C)."""
        a, b = self.specs
        image = self.dataset.image(index)
        if self.ready:
            pixels = image.reshape(a.image_shape)
            return pixels, pixels
        pixels = image_for(a, image)
        alike = (a.preprocess.color, a.preprocess.steps) == (b.preprocess.color, b.preprocess.steps)
        return pixels, pixels if alike else image_for(b, image)

    def batches(self, size: int) -> Iterator[tuple[Pixels, Pixels]]:
        """All of them in order, uint8 (n, H, W, C) twice, with n = `size`, the last one smaller."""
        for start in range(0, len(self.dataset), size):
            pairs = [self.pair(index) for index in range(start, min(start + size, len(self.dataset)))]
            a, b = zip(*pairs, strict=True)
            yield np.stack(a), np.stack(b)


def open_images(
    folder: Path | None,
    own: Sequence[Path | None],
    bundles: Sequence[Bundle | None],
    specs: tuple[ModelSpec, ModelSpec],
    count: int,
) -> ImagePairs:
    """The images of a folder, or those that the models bring.

    Args:
        folder: one set, or one with two halves, whose test half is taken; None takes what there is.
        own: the folder that either model brings.
        bundles: either bundle, for its probe images.
        specs: of both models.
        count: how many to take, evenly spaced.

    Raises:
        UsageError: there are none.
        DataError: they cannot be read, or their labels are not the models' classes.
    """
    folder = folder or next((path for path in own if path), None)
    if folder:
        labels = specs[0].labels or specs[1].labels
        dataset = open_dataset(folder, "test" if has_both_splits(folder) else None, labels)
        require_classes(dataset, specs[0])
        return ImagePairs(evenly_spaced(dataset, count), specs)
    bundle = next((bundle for bundle in bundles if bundle), None)
    if bundle is None:
        raise click.UsageError("--data is missing: neither model brings images to compare on")
    images = bundle.probe.images[: count or None]
    name = f"the probe of {bundle.path}"
    few = f"there is no --data: compared on the {len(images)} probe images of {bundle.path} alone"
    shown = images[..., 0] if images.shape[-1] == 1 else images
    return ImagePairs(ArrayDataset(name, shown, None), specs, True, (few,))
