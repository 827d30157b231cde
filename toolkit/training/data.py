"""Labelled images for a training, as batches of uint8: kept in memory where they fit, else read by a DataLoader."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import default_rng
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from runtime.datasets import Dataset, FileDataset, Subset, has_both_splits, open_dataset
from runtime.errors import DataError, ToolkitError
from runtime.preprocess import Image, image_for
from runtime.spec import ModelSpec
from toolkit.training.crop import random_crop

CACHE_BYTES = 10**9
CHUNK = 256  # images that are prepared or judged at once, at most


@dataclass(frozen=True)
class Pictures:
    """Labelled images at the model's size.

    Attributes:
        dataset: where they come from.
        spec: the model's.
        labels: int64 (N,).
        crop: as in `Recipe`.
        workers: processes that read; 0 reads in this one.
        cache: all of them, uint8 (N, C, H, W); None where they are read anew each time.
    """

    dataset: Dataset
    spec: ModelSpec
    labels: Tensor
    crop: float
    workers: int
    cache: Tensor | None

    def __len__(self) -> int:
        return len(self.labels)

    def with_more(self, images: Image, labels: NDArray[np.int64]) -> Pictures:
        """These and others.

        Args:
            images: uint8 (M, H, W) or (M, H, W, 3), of any size.
            labels: of those.
        """
        if self.cache is None:
            raise DataError(
                f"{self.dataset.name} is not kept in memory, beside which more images are to be kept",
                "give --scenes 0, and see --crop: what is cropped at random is read anew each time",
            )
        more = prepared(images, self.spec)
        return replace(
            self, cache=torch.cat((self.cache, more)), labels=torch.cat((self.labels, torch.from_numpy(labels)))
        )

    def batches(self, parts: Sequence[Tensor], seed: tuple[int, ...] = ()) -> Iterator[Tensor]:
        """The images at each of `parts`, indices (n,), as uint8 (n, C, H, W); `seed` decides the random crops."""
        if self.cache is not None:
            return (self.cache[part] for part in parts)
        return load(Reader(self.dataset, self.spec, self.crop, seed), parts, self.workers)


@dataclass(frozen=True)
class Reader:
    """What a DataLoader reads from: batches as a whole, and an error as a value, which survives a process's border."""

    dataset: Dataset
    spec: ModelSpec
    crop: float
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: list[int]) -> Tensor | ToolkitError:
        try:
            images = np.stack([self.read(index) for index in indices]) if indices else np.empty((0, *self.shape), "u1")
        except ToolkitError as error:
            return error
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.spec.image_shape

    def read(self, index: int) -> Image:
        image = self.dataset.image(index)
        if not self.crop:
            return image_for(self.spec, image)
        return random_crop(image, self.spec, self.crop, default_rng((*self.seed, index)))


def load(reader: Reader, parts: Sequence[Tensor], workers: int) -> Iterator[Tensor]:
    """Batches in order, by a DataLoader.

    Raises:
        ToolkitError: an image cannot be read.
    """
    loader: DataLoader[Tensor | ToolkitError] = DataLoader(
        reader,  # type: ignore[arg-type]  # it has what a DataLoader calls
        batch_sampler=[part.tolist() for part in parts],
        num_workers=workers,
        collate_fn=identity,  # type: ignore[arg-type]  # batches are made by __getitems__
        worker_init_fn=start_worker,
        pin_memory=torch.cuda.is_available(),
    )
    for batch in loader:
        if isinstance(batch, ToolkitError):
            raise batch
        yield batch


@contextmanager
def told_of_lost_workers() -> Iterator[None]:
    """Say in a line that a process which reads images is gone. PyTorch raises that anywhere, from a signal's handler.

    Raises:
        DataError: it is.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            "a process that reads images was ended from outside, perhaps because memory ran out",
            "give fewer --workers, or 0; the same command with --resume goes on after the last epoch",
        ) from error


def identity(batch: Tensor | ToolkitError) -> Tensor | ToolkitError:
    """Batches come whole."""
    return batch


def start_worker(_: int) -> None:
    """Leave Ctrl-C to the process that started it, end at once on SIGTERM, and let each worker use one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(0)


def prepare(dataset: Dataset, spec: ModelSpec, *, crop: float = 0.0, workers: int | None = None) -> Pictures:
    """Bring a set to the model's size, in memory where it has at most `CACHE_BYTES` then and none is cropped at random.

    Args:
        dataset: with labels.
        spec: of the model.
        crop: as in `Recipe`.
        workers: processes that read; None is one per core, or none where everything is in memory already.

    Raises:
        DataError: there are no labels, or an image cannot be read.
    """
    if dataset.labels is None:
        raise DataError(f"{dataset.name} has no labels", "put the labels file beside the images")
    labels = torch.from_numpy(dataset.labels)
    height, width, channels = spec.image_shape
    fits = not crop and len(dataset) * height * width * channels <= CACHE_BYTES
    if workers is None:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        workers = 0 if fits and not of_files(dataset) else max(1, len(os.sched_getaffinity(0)) // processes)
    if not fits:
        return Pictures(dataset, spec, labels, crop, workers, None)
    cache = torch.empty((len(dataset), channels, height, width), dtype=torch.uint8)
    parts = torch.split(torch.arange(len(dataset)), CHUNK)
    for part, images in zip(parts, load(Reader(dataset, spec, 0.0, ()), parts, workers), strict=True):
        cache[part] = images
    return Pictures(dataset, spec, labels, 0.0, 0, cache)


def prepared(images: Iterable[Image], spec: ModelSpec) -> Tensor:
    """Images brought to the model's size, uint8 (N, C, H, W)."""
    return torch.from_numpy(np.stack([image_for(spec, image) for image in images])).permute(0, 3, 1, 2).contiguous()


def open_labelled(folder: Path, spec: ModelSpec) -> Dataset:
    """The training half of a folder.

    Raises:
        DataError: no labels, or labels that are no class of the model.
    """
    dataset = open_dataset(folder, "train", spec.labels)
    if dataset.labels is None:
        raise DataError(
            f"{folder} has training images without labels",
            "put train-labels-idx1-ubyte.gz beside the images, or pictures into a subfolder per class",
        )
    if not 0 <= dataset.labels.min() <= dataset.labels.max() < spec.classes:
        raise DataError(
            f"{folder} has labels {dataset.labels.min()} to {dataset.labels.max()}, "
            f"but {spec.name} has {spec.classes} classes",
            "give images that are labelled with the model's classes",
        )
    return dataset


def split(dataset: Dataset, held_out: float, seed: int) -> tuple[Dataset, Dataset]:
    """Apart: images to train on, and images that choose the epoch.

    Of IDX files the last ones are held out, as is the custom for MNIST; of folders, which are sorted by class, the
    same share of each class, drawn by the seed.

    Args:
        dataset: with labels.
        held_out: as in `Recipe`.
        seed: of the training.

    Raises:
        DataError: there are too few images.
    """
    count = round(held_out if held_out >= 1 else held_out * len(dataset))
    if not 0 < count < len(dataset):
        whole = "more pictures" if of_files(dataset) else "the complete set (train-images-idx3-ubyte.gz and its labels)"
        raise DataError(
            f"{dataset.name} has {len(dataset):,} labelled training images, of which {count:,} are to be held out",
            f"give {whole}, or another --held-out, such as 0.1 for a tenth",
        )
    if not of_files(dataset):
        indices = range(len(dataset))
        return Subset(dataset, tuple(indices[:-count])), Subset(dataset, tuple(indices[-count:]))
    assert dataset.labels is not None
    chosen = np.zeros(len(dataset), bool)
    for label in np.unique(dataset.labels):
        members = default_rng((seed, int(label))).permutation(np.flatnonzero(dataset.labels == label))
        chosen[members[: round(len(members) * count / len(dataset)) or int(len(members) > 1)]] = True
    training, judging = (tuple(int(index) for index in np.flatnonzero(part)) for part in (~chosen, chosen))
    if not training or not judging:
        raise DataError(f"{dataset.name} has one picture per class, and none to hold out", "give more pictures")
    return Subset(dataset, training), Subset(dataset, judging)


def of_files(dataset: Dataset) -> bool:
    """Whether images are read from a file each."""
    return isinstance(dataset.source if isinstance(dataset, Subset) else dataset, FileDataset)


def test_images(folder: Path, spec: ModelSpec) -> Dataset | None:
    """The test half of the folder; None where it has none, or none with labels. A damaged one is an error."""
    if not has_both_splits(folder):
        return None
    dataset = open_dataset(folder, "test", spec.labels)
    return None if dataset.labels is None else dataset


def digest(dataset: Dataset, folder: Path) -> str:
    """What tells sets apart: every byte of IDX files; of pictures, which may be many, names, sizes and classes."""
    if not isinstance(dataset, FileDataset):
        return dataset.digest()
    state = hashlib.sha256(repr(dataset.classes).encode())
    for path in dataset.paths:
        state.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
    return state.hexdigest()
