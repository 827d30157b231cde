"""Sets of images, labelled or not: MNIST's IDX files, or folders of pictures. Read one image at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError, ImageError
from runtime.idx import find_idx, read_idx
from runtime.images import check_image, find_images, read_file, read_image
from runtime.preprocess import Image, image_for
from runtime.spec import ModelSpec

Split = Literal["train", "test"]
IDX_PREFIX: dict[Split, str] = {"train": "train", "test": "t10k"}
FOLDER_NAME: dict[Split, str] = {"train": "train", "test": "val"}
MOST_LABELS = 10  # of a model, in a hint
MOST_TRIED, MOST_TOLD = 1000, 3  # images of a folder, for others that cannot be read, and of those


class Dataset(Protocol):
    """Images with or without labels."""

    @property
    def name(self) -> str:
        """Where it came from, for people."""
        ...

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """(N,) class indices, or None where nobody labelled them."""
        ...

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image:
        """uint8, (H, W) grey or (H, W, 3) RGB."""
        ...

    def image_name(self, index: int) -> str:
        """What to call an image, for people."""
        ...

    def image_digest(self, index: int) -> bytes:
        """sha256 of an image as it is stored, without its label."""
        ...

    def digest(self) -> str:
        """sha256 over every image and label, in order."""
        ...


@dataclass(frozen=True)
class ArrayDataset:
    """Images of one size in memory.

    Attributes:
        name: for people.
        images: uint8 (N, H, W) or (N, H, W, 3).
        labels: int64 (N,), or None.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Image:
        return np.asarray(self.images[index])

    def image_name(self, index: int) -> str:
        return f"image {index} of {self.name}"

    def image_digest(self, index: int) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(self.images[index]).data).digest()

    def digest(self) -> str:
        state = hashlib.sha256(repr(self.images.shape).encode())
        state.update(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            state.update(np.ascontiguousarray(self.labels).data)
        return state.hexdigest()


@dataclass(frozen=True)
class FileDataset:
    """Image files, read when asked for."""

    name: str
    paths: tuple[Path, ...]
    classes: tuple[int, ...] | None

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        return None if self.classes is None else np.array(self.classes, np.int64)

    def image(self, index: int) -> Image:
        with self.telling_all():
            return read_image(self.paths[index])

    def check(self, index: int) -> None:
        """Look at an image without decoding it.

        Raises:
            ImageError: it is none, or cut off.
        """
        with self.telling_all():
            check_image(read_file(self.paths[index]), str(self.paths[index]))

    def image_name(self, index: int) -> str:
        return str(self.paths[index])

    def image_digest(self, index: int) -> bytes:
        with self.telling_all():
            return hashlib.sha256(read_file(self.paths[index])).digest()

    def digest(self) -> str:
        state = hashlib.sha256(repr(self.classes).encode())
        for index in range(len(self)):
            state.update(self.image_digest(index))
        return state.hexdigest()

    @contextmanager
    def telling_all(self) -> Iterator[None]:
        """Where an image cannot be read, look for others, so that they are not found one a run.

        Raises:
            ImageError: names the first ones.
        """
        try:
            yield
        except ImageError as error:
            failed = list(islice(unreadable(self.paths[:MOST_TRIED]), MOST_TOLD + 1))
            if len(failed) < 2:
                raise
            many = f"more than {MOST_TOLD}" if len(failed) > MOST_TOLD else f"{len(failed)}"
            told = "; ".join(failed[:MOST_TOLD])
            raise ImageError(f"{many} images of {self.name} cannot be used: {told}", "mend or remove them") from error


@dataclass(frozen=True)
class Subset:
    """Some images of another set, in the order given."""

    source: Dataset
    indices: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.source.name

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        return None if self.source.labels is None else self.source.labels[list(self.indices)]

    def image(self, index: int) -> Image:
        return self.source.image(self.indices[index])

    def image_name(self, index: int) -> str:
        return self.source.image_name(self.indices[index])

    def image_digest(self, index: int) -> bytes:
        return self.source.image_digest(self.indices[index])

    def digest(self) -> str:
        return hashlib.sha256(f"{self.source.digest()} {self.indices}".encode()).hexdigest()


def unreadable(paths: Sequence[Path]) -> Iterator[str]:
    """Why images cannot be read, of each that cannot."""
    for path in paths:
        try:
            read_image(path)
        except ImageError as error:
            yield error.message


def place_of(dataset: Dataset, index: int) -> tuple[int, str | None]:
    """Where an image is in the whole set that this one is taken from, and its file; None where that is one file."""
    while isinstance(dataset, Subset):
        index, dataset = dataset.indices[index], dataset.source
    return index, str(dataset.paths[index]) if isinstance(dataset, FileDataset) else None


def whole(dataset: Dataset) -> Dataset:
    """The set that this one is taken from, or itself."""
    while isinstance(dataset, Subset):
        dataset = dataset.source
    return dataset


def evenly_spaced(dataset: Dataset, count: int | None) -> Dataset:
    """`count` images spread evenly over the set; all of them where there are no more, or count is None."""
    if count is None or count >= len(dataset):
        return dataset
    return Subset(dataset, tuple(int(i) for i in np.linspace(0, len(dataset) - 1, count).round()))


def first(dataset: Dataset, count: int) -> Dataset:
    """The first `count` images; all of them where there are no more."""
    return dataset if count >= len(dataset) else Subset(dataset, tuple(range(count)))


def image_digests(dataset: Dataset) -> list[bytes]:
    """The digest of every image, in order."""
    return [dataset.image_digest(index) for index in range(len(dataset))]


def split_held_out(dataset: Dataset, digests: Sequence[bytes] | None = None) -> tuple[Dataset, Dataset]:
    """Three quarters and a quarter, in the order of the images' digests; a set under four images is both.

    That order is a shuffled one, and does not depend on the set's own.

    Args:
        dataset: the images.
        digests: theirs, where they are known: every file is read for them.
    """
    digests = image_digests(dataset) if digests is None else digests
    order = sorted(range(len(dataset)), key=digests.__getitem__)
    if len(dataset) < 4:
        return Subset(dataset, tuple(order)), Subset(dataset, tuple(order))
    rest = tuple(index for place, index in enumerate(order) if place % 4 != 3)
    return Subset(dataset, rest), Subset(dataset, tuple(order[3::4]))


def batches(dataset: Dataset, spec: ModelSpec, size: int) -> Iterator[NDArray[np.uint8]]:
    """Preprocessed images in order, uint8 (n, height, width, channels) with n = `size`, the last one smaller."""
    for start in range(0, len(dataset), size):
        stop = min(start + size, len(dataset))
        yield np.stack([image_for(spec, dataset.image(index)) for index in range(start, stop)])


def open_dataset(path: Path, split: Split | None, labels: Sequence[str] = ()) -> Dataset:
    """Open a folder of images.

    Three layouts are read: IDX files (`train-images-idx3-ubyte`, `t10k-...`, plain or .gz), a folder with a subfolder
    per class, and a folder of unlabelled pictures. A folder that holds `train` and `val` is taken for a split one.

    Args:
        path: the folder.
        split: which half to take of a folder that has both; None refuses such a folder.
        labels: class names of the model; where subfolders carry these names, they say which class each one is, and
            the labels of IDX files must count them.

    Raises:
        DataError: nothing there that can be read, or the layout is ambiguous.
    """
    if not path.is_dir():
        raise DataError(f"no folder {path}", "give a folder of images, or one with IDX files")
    idx = [s for s, prefix in IDX_PREFIX.items() if find_idx(path, f"{prefix}-images-idx3-ubyte")]
    if idx:
        return read_idx_split(path, pick_split(path, idx, split), len(labels))
    halves = [s for s, name in FOLDER_NAME.items() if (path / name).is_dir()]
    if halves:
        path = path / FOLDER_NAME[pick_split(path, halves, split)]
    return open_folder(path, labels)


def class_names(path: Path, split: Split) -> tuple[str, ...]:
    """The subfolders of pictures, sorted, which name classes; none for IDX files and for pictures without classes.

    There are none, either, where the folder has the other half alone.
    """
    if any(find_idx(path, f"{prefix}-images-idx3-ubyte") for prefix in IDX_PREFIX.values()) or not path.is_dir():
        return ()
    half = path / FOLDER_NAME[split]
    if not half.is_dir() and any((path / name).is_dir() for name in FOLDER_NAME.values()):
        return ()
    folder = half if half.is_dir() else path
    parts = [file.relative_to(folder).parts for file in find_images(folder)]
    return tuple(sorted({part[0] for part in parts})) if all(len(part) > 1 for part in parts) else ()


def has_both_splits(path: Path) -> bool:
    """Whether a folder holds a training and a test half, as IDX files or as folders."""
    return all(
        find_idx(path, f"{IDX_PREFIX[split]}-images-idx3-ubyte") or (path / FOLDER_NAME[split]).is_dir()
        for split in IDX_PREFIX
    )


def pick_split(path: Path, present: list[Split], wanted: Split | None) -> Split:
    """The half to read of those that a folder has."""
    if wanted is None and len(present) == 1:
        return present[0]
    if wanted is None or wanted not in present:
        other = "give --calib-data and --eval-data apart"
        if wanted is not None:
            other = f"give one that has {IDX_PREFIX[wanted]}-images-idx3-ubyte, or pictures in {FOLDER_NAME[wanted]}"
        raise DataError(
            f"{path} holds {' and '.join(present)} images; {wanted or 'one set'} is wanted",
            f"name the folder of one half, or {other}",
        )
    return wanted


def open_folder(path: Path, labels: Sequence[str]) -> FileDataset:
    """A folder of pictures; each subfolder that holds some is a class."""
    files = find_images(path)
    if not files:
        raise DataError(f"no images in {path}", "it should hold .png, .jpg or other pictures, or IDX files")
    parts = [file.relative_to(path).parts for file in files]
    if all(len(part) == 1 for part in parts):
        return FileDataset(str(path), tuple(files), None)
    if any(len(part) == 1 for part in parts):
        raise DataError(
            f"{path} holds pictures beside subfolders of pictures",
            "either put every picture into a subfolder named after its class, or none",
        )
    names = sorted({part[0] for part in parts})
    if labels and set(names) <= set(labels):
        index = {name: labels.index(name) for name in names}
    elif not labels:
        index = {name: position for position, name in enumerate(names)}
    else:
        unknown = next(name for name in names if name not in labels)
        raise DataError(
            f"{path}: subfolder '{unknown}' is no class of the model, which has {len(labels)}",
            f"name the subfolders after the model's labels: {', '.join(labels[:MOST_LABELS])}"
            + (", ..." if len(labels) > MOST_LABELS else ""),
        )
    return FileDataset(str(path), tuple(files), tuple(index[part[0]] for part in parts))


def read_idx_split(path: Path, split: Split, classes: int = 0) -> ArrayDataset:
    """One half of a folder of IDX files; labels must be below `classes`, where it is not 0."""
    prefix = IDX_PREFIX[split]
    image_file = find_idx(path, f"{prefix}-images-idx3-ubyte")
    label_file = find_idx(path, f"{prefix}-labels-idx1-ubyte")
    if image_file is None:
        raise DataError(f"no {prefix}-images-idx3-ubyte[.gz] in {path}", "give the folder that holds the IDX files")
    images = read_idx(image_file, 3)
    labels = None if label_file is None else read_idx(label_file, 1).astype(np.int64)
    if not len(images):
        raise DataError(f"{image_file} holds no images", "give a set that is not empty")
    if labels is not None and len(labels) != len(images):
        raise DataError(
            f"{label_file} has {len(labels)} labels for the {len(images)} images of {image_file.name}",
            "the two files are from different sets, or one is cut off: fetch them again",
        )
    if labels is not None and classes and labels.max() >= classes:
        raise DataError(
            f"{label_file} has labels {labels.min()} to {labels.max()}; the model has {classes} classes",
            "give images of the model's classes, labelled from 0",
        )
    return ArrayDataset(f"{path} ({prefix})", images, labels)
