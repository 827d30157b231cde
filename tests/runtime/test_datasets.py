"""Sets of images: IDX files and folders of pictures."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.datasets import (
    ArrayDataset,
    Dataset,
    batches,
    class_names,
    evenly_spaced,
    has_both_splits,
    open_dataset,
)
from runtime.errors import DataError, ImageError
from runtime.idx import read_idx
from tests.tiny import make_spec

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 7), dtype=np.uint8)
LABELS = np.array([3, 1, 2, 0, 3], np.uint8)


def idx(array: NDArray[np.generic], kind: int = 8) -> bytes:
    return bytes((0, 0, kind, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(
    folder: Path, prefix: str = "train", images: bytes | None = None, labels: bytes | None = b"", suffix: str = ""
) -> Path:
    """IDX files; labels None writes none of them."""
    folder.mkdir(exist_ok=True)
    pack = gzip.compress if suffix == ".gz" else bytes
    (folder / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(IMAGES) if images is None else images))
    if labels is not None:
        (folder / f"{prefix}-labels-idx1-ubyte{suffix}").write_bytes(pack(labels or idx(LABELS)))
    return folder


def picture(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((4, 4), value, np.uint8))
    return path


def refused(path: Path, *words: str, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        open_dataset(path, None, **options)  # type: ignore[arg-type]
    assert caught.value.hint
    for word in words:
        assert word in caught.value.message
    return caught.value


def values(dataset: Dataset) -> list[int]:
    """The first pixel's first channel of each image."""
    return [int(dataset.image(index).flat[0]) for index in range(len(dataset))]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read(tmp_path: Path, suffix: str) -> None:
    dataset = open_dataset(write_idx(tmp_path, suffix=suffix), None)
    assert len(dataset) == 5
    assert dataset.labels is not None
    assert (dataset.labels.dtype, dataset.labels.tolist()) == (np.int64, LABELS.tolist())
    np.testing.assert_array_equal([dataset.image(index) for index in range(5)], IMAGES)
    assert str(tmp_path) in dataset.name


def test_idx_images_need_no_labels(tmp_path: Path) -> None:
    dataset = open_dataset(write_idx(tmp_path, labels=None), None)
    assert dataset.labels is None
    assert len(dataset) == 5


def test_one_half_of_a_split_set_must_be_named(tmp_path: Path) -> None:
    write_idx(tmp_path, "train")
    write_idx(tmp_path, "t10k", idx(IMAGES[:2]), idx(LABELS[:2]))
    assert len(open_dataset(tmp_path, "train")) == 5
    assert len(open_dataset(tmp_path, "test")) == 2
    assert "train and test" in refused(tmp_path, str(tmp_path)).message
    assert has_both_splits(tmp_path)


def test_a_half_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, "train")
    assert not has_both_splits(tmp_path)
    with pytest.raises(DataError, match="test is wanted") as caught:
        open_dataset(tmp_path, "test")
    assert "t10k-images" in caught.value.hint and "--calib-data" not in caught.value.hint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        idx(IMAGES)[:15],
        idx(IMAGES)[:16],
        idx(IMAGES)[:-1],
        idx(IMAGES) + b"\0",
        b"\1" + idx(IMAGES)[1:],
        idx(IMAGES, kind=0x0D),
        idx(LABELS),
        bytes((0, 0, 8, 3)) + b"\xff" * 12,
        bytes((0, 0, 8, 3)) + b"\xff" * 12 + bytes(1000),
        bytes((0, 0, 8, 3)) + np.array([1 << 31, 1 << 31, 4], ">u4").tobytes(),  # 2 ** 64 pixels are 0 in 64 bits
    ],
    ids=range(12),
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damaged_idx_images_are_refused(tmp_path: Path, data: bytes, suffix: str) -> None:
    refused(write_idx(tmp_path, images=data, suffix=suffix), f"train-images-idx3-ubyte{suffix}")


PACKED = gzip.compress(idx(IMAGES), mtime=0)  # the same in each process: it is part of a test's name


@pytest.mark.parametrize("data", [b"", b"not gzip", PACKED[:-9], PACKED[:20]])
def test_a_damaged_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    write_idx(tmp_path, suffix=".gz")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(data)
    refused(tmp_path, "train-images-idx3-ubyte.gz")


def test_a_changed_byte_in_an_archive_is_refused(tmp_path: Path) -> None:
    write_idx(tmp_path, suffix=".gz")
    path = tmp_path / "train-images-idx3-ubyte.gz"
    data = path.read_bytes()
    for position in (0, len(data) // 2, len(data) - 6):
        changed = bytearray(data)
        changed[position] ^= 0xFF
        path.write_bytes(changed)
        refused(tmp_path, path.name)


def test_an_idx_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "gone", 3)


def test_labels_of_another_number_are_refused(tmp_path: Path) -> None:
    error = refused(write_idx(tmp_path, labels=idx(LABELS[:4])), "4 labels", "5 images")
    assert "different sets" in error.hint


def test_labels_beyond_the_models_classes_are_refused(tmp_path: Path) -> None:
    names = ("ant", "bee", "cow", "dog")
    assert len(open_dataset(write_idx(tmp_path), None, names)) == 5
    error = refused(tmp_path, "labels-idx1-ubyte", "labels 0 to 3", "3 classes", labels=names[:3])
    assert "from 0" in error.hint


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_file_is_not_unpacked_beyond_its_header(tmp_path: Path, suffix: str) -> None:
    header = bytes((0, 0, 8, 3))
    huge = header + np.array([100_000, 1000, 1000], ">u4").tobytes()
    refused(write_idx(tmp_path, images=huge, suffix=suffix), "100,000,000,000")
    small = header + np.array([1, 2, 2], ">u4").tobytes()
    write_idx(tmp_path, images=small + bytes(30_000_000 if suffix else 3_000_000), suffix=suffix)
    tracemalloc.start()
    try:
        refused(tmp_path, "more than 4 bytes")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_pipe_among_the_pictures_is_refused_when_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    dataset = open_dataset(tmp_path, None)
    for call in (dataset.digest, lambda: dataset.image(0)):
        with pytest.raises(DataError, match=r"a\.png is a pipe"):
            call()


def test_of_several_pictures_that_cannot_be_read_the_first_ones_are_named(tmp_path: Path) -> None:
    for name in ("a.png", "c.png", "f.png"):
        picture(tmp_path / name, 10)
    for name in ("b.png", "d.png", "e.png", "g.png"):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes()[:30])
    dataset = open_dataset(tmp_path, None)
    assert dataset.image(0).shape == (4, 4, 3)
    with pytest.raises(ImageError, match=r"more than 3 images of .*b\.png .*; .*d\.png .*; .*e\.png "):
        dataset.image(1)
    for name in ("b.png", "d.png", "e.png"):
        (tmp_path / name).unlink()
    with pytest.raises(ImageError, match=r"^\S*g\.png"):
        open_dataset(tmp_path, None).image(3)


def test_an_empty_idx_set_is_refused(tmp_path: Path) -> None:
    refused(write_idx(tmp_path, images=idx(IMAGES[:0]), labels=idx(LABELS[:0])), "no images")


def test_pictures_without_subfolders_have_no_labels(tmp_path: Path) -> None:
    for name, value in (("b.png", 20), ("a.png", 10), ("c.png", 30)):
        picture(tmp_path / name, value)
    dataset = open_dataset(tmp_path, None)
    assert dataset.labels is None
    assert values(dataset) == [10, 20, 30]
    assert dataset.image(0).shape == (4, 4, 3)


def test_subfolders_that_carry_the_models_labels_say_the_class(tmp_path: Path) -> None:
    picture(tmp_path / "cow" / "1.png", 1)
    picture(tmp_path / "ant" / "deeper" / "2.png", 2)
    dataset = open_dataset(tmp_path, None, ("zebra", "cow", "ant"))
    assert dataset.labels is not None
    assert dict(zip(values(dataset), dataset.labels.tolist(), strict=True)) == {1: 1, 2: 2}


def test_subfolders_count_as_classes_by_name_where_the_model_has_no_labels(tmp_path: Path) -> None:
    for position, name in enumerate(("n01", "n02", "n10")):
        picture(tmp_path / name / "x.png", position)
    dataset = open_dataset(tmp_path, None)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == values(dataset) == [0, 1, 2]
    refused(tmp_path, "'n01'", labels=("ant", "bee", "cow"))  # their order would be a guess


def test_subfolders_that_fit_no_label_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "cow" / "1.png")
    picture(tmp_path / "dog" / "1.png")
    assert "ant, bee, cow" in refused(tmp_path, "'dog'", labels=("ant", "bee", "cow")).hint
    assert refused(tmp_path, "'cow'", labels=[f"n{i}" for i in range(1000)]).hint.endswith("n8, n9, ...")


def test_pictures_beside_subfolders_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "cow" / "1.png")
    picture(tmp_path / "loose.png")
    refused(tmp_path, "beside subfolders")


def test_a_hidden_folder_beside_pictures_is_no_class(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / ".thumbnails" / "a.png")
    assert len(open_dataset(tmp_path, None)) == 1


def test_a_folder_with_train_and_val_is_a_split_one(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "cow" / "1.png", 1)
    picture(tmp_path / "val" / "cow" / "2.png", 2)
    assert has_both_splits(tmp_path)
    assert values(open_dataset(tmp_path, "train", ("cow",))) == [1]
    assert values(open_dataset(tmp_path, "test", ("cow",))) == [2]
    refused(tmp_path, "train and test")


@pytest.mark.parametrize("what", ["nothing", "file", "empty", "text"])
def test_a_folder_without_images_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "data"
    if what == "file":
        path.write_text("x")
    elif what != "nothing":
        path.mkdir()
        if what == "text":
            (path / "readme.txt").write_text("x")
    refused(path, str(path))


@given(st.integers(1, 200), st.integers(1, 250))
def test_evenly_spaced_takes_the_ends_and_steps_of_equal_length(total: int, count: int) -> None:
    images = np.arange(total, dtype=np.uint8).reshape(total, 1, 1)
    dataset = evenly_spaced(ArrayDataset("x", images, np.arange(total)), count)
    assert len(dataset) == min(total, count)
    assert dataset.labels is not None
    taken = dataset.labels
    assert values(dataset) == [int(index) % 256 for index in taken]
    assert taken[0] == 0
    if 1 < count < total:
        assert taken[-1] == total - 1
        steps = np.diff(taken)
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1


def test_evenly_spaced_leaves_a_set_that_is_small_enough() -> None:
    dataset = ArrayDataset("x", IMAGES, None)
    assert evenly_spaced(dataset, None) is dataset
    assert evenly_spaced(dataset, 5) is dataset
    part = evenly_spaced(dataset, 2)
    assert part.labels is None
    assert part.name == "x"


def test_a_digest_changes_with_every_pixel_label_and_order() -> None:
    changed = IMAGES.copy()
    changed[4, 5, 6] ^= 1
    labels = LABELS.astype(np.int64)
    sets = [
        ArrayDataset("x", IMAGES, labels),
        ArrayDataset("x", IMAGES, None),
        ArrayDataset("x", IMAGES, labels[::-1]),
        ArrayDataset("x", changed, labels),
        ArrayDataset("x", IMAGES[::-1], labels),
        ArrayDataset("x", IMAGES.reshape(5, 7, 6), labels),
        evenly_spaced(ArrayDataset("x", IMAGES, labels), 3),
        evenly_spaced(ArrayDataset("x", IMAGES, labels), 4),
    ]
    digests = [dataset.digest() for dataset in sets]
    assert len(set(digests)) == len(sets)
    assert ArrayDataset("another name", IMAGES.copy(), labels.copy()).digest() == digests[0]


def test_a_digest_of_files_changes_with_their_content_and_class_and_not_with_their_place(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        picture(tmp_path / folder / "ant" / "1.png", 1)
        picture(tmp_path / folder / "bee" / "2.png", 2)
    first, second = (open_dataset(tmp_path / folder, None).digest() for folder in ("one", "two"))
    assert first == second
    picture(tmp_path / "two" / "bee" / "2.png", 3)
    assert open_dataset(tmp_path / "two", None).digest() != first
    assert open_dataset(tmp_path / "one", None, ("bee", "ant")).digest() != first
    assert open_dataset(tmp_path / "one" / "ant", None).digest() != first


def test_batches_are_preprocessed_and_in_order() -> None:
    images = np.repeat(np.arange(7, dtype=np.uint8), 30 * 20).reshape(7, 30, 20)
    parts = list(batches(ArrayDataset("x", images, None), make_spec(), 3))
    assert [part.shape for part in parts] == [(3, 8, 8, 1), (3, 8, 8, 1), (1, 8, 8, 1)]
    assert np.concatenate(parts)[:, 0, 0, 0].tolist() == list(range(7))


def test_subfolders_of_the_half_that_is_asked_for_name_the_classes(tmp_path: Path) -> None:
    for name in ("train/bee/a/1.png", "train/ant/1.png", "val/wasp/1.png"):
        picture(tmp_path / name, 1)
    assert class_names(tmp_path, "train") == ("ant", "bee")
    assert class_names(tmp_path / "val", "train") == ("wasp",)
    picture(tmp_path / "half" / "val" / "wasp" / "1.png", 1)
    assert class_names(tmp_path / "half", "train") == ()
    picture(tmp_path / "train" / "loose.png", 1)
    assert class_names(tmp_path, "train") == ()
    assert class_names(write_idx(tmp_path / "idx"), "train") == ()
    assert class_names(tmp_path / "nowhere", "train") == ()
