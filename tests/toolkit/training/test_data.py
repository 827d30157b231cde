"""IDX files and folders of pictures as batches, in memory or read by workers."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch.utils.data import get_worker_info

from runtime.datasets import ArrayDataset, Dataset, open_dataset
from runtime.errors import Cancelled, DataError, ImageError
from runtime.preprocess import image_for
from tests.fakes import RecordingProgress
from tests.toolkit.training.bars import RECIPE, run, same_weights, write_pictures
from tests.toolkit.training.bars import bars as make_bars
from toolkit.training.crop import random_crop
from toolkit.training.data import Pictures, Reader, digest, open_labelled, prepare, split
from toolkit.zoo import ZOO

SPEC = ZOO["lenet"].spec


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of PNG files with `train` and `val`: not to be changed."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder / "train", 300)
    write_pictures(folder / "val", 60)
    return folder


def all_of(pictures: Pictures, seed: tuple[int, ...] = (0, 1)) -> torch.Tensor:
    parts = torch.split(torch.arange(len(pictures)), 70)
    return torch.cat(list(pictures.batches(parts, seed)))


def labels_of(dataset: Dataset) -> list[int]:
    assert dataset.labels is not None
    return dataset.labels.tolist()


def test_images_are_those_that_an_engine_sees(bars: Path) -> None:
    dataset = open_dataset(bars, "test")
    prepared = prepare(dataset, SPEC)
    expected = np.stack([image_for(SPEC, dataset.image(index)) for index in range(len(dataset))])
    assert prepared.cache is not None and prepared.cache.dtype == torch.uint8
    assert np.array_equal(all_of(prepared).numpy(), expected.transpose(0, 3, 1, 2))
    assert prepared.labels.tolist() == labels_of(dataset)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_does_not_fit_is_read_anew_and_is_the_same(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    dataset = open_dataset(pictures, "train", SPEC.labels)
    kept = prepare(dataset, SPEC, workers=workers)
    monkeypatch.setattr("toolkit.training.data.CACHE_BYTES", 1000)
    read = prepare(dataset, SPEC, workers=workers)
    assert kept.cache is not None and read.cache is None
    assert torch.equal(all_of(kept), all_of(read))


def test_crops_depend_on_seed_epoch_and_image_and_not_on_workers(pictures: Path) -> None:
    dataset = open_dataset(pictures, "train", SPEC.labels)
    here, there = (prepare(dataset, SPEC, crop=0.5, workers=workers) for workers in (0, 2))
    assert torch.equal(all_of(here), all_of(there))
    assert not torch.equal(all_of(here, (0, 1)), all_of(here, (0, 2)))
    reversed_order = next(iter(here.batches([torch.arange(9, -1, -1)], (0, 1))))
    assert torch.equal(reversed_order.flip(0), all_of(here)[:10])


def test_a_crop_is_a_part_of_the_picture_at_its_size() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
    widths = []
    for seed in range(200):
        cropped = random_crop(ramp, SPEC, 0.25, np.random.default_rng(seed))
        assert cropped.shape == SPEC.image_shape and cropped.dtype == np.uint8
        widths.append((int(cropped.max()) - int(cropped.min()) + 1) / 64)
    assert 0.3 < min(widths) < 0.55 and max(widths) > 0.9


def test_a_folder_of_pictures_is_learned(pictures: Path) -> None:
    recipe = replace(RECIPE, epochs=8, batch=32, held_out=0.2)
    result = run(pictures, recipe)
    assert result.held_out_top1 > 70
    assert result.test_top1 is not None and result.test_top1 > 70
    assert same_weights(result, run(pictures, recipe, workers=2))


def test_a_training_resumes_where_pictures_are_cropped(pictures: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=2, held_out=0.2, crop=0.6)
    unbroken = run(pictures, recipe, workers=0)
    with pytest.raises(Cancelled):  # in the second epoch
        run(pictures, recipe, workers=0, checkpoint=tmp_path / "c.pt", progress=RecordingProgress(stop_after=300))
    progress = RecordingProgress()
    resumed = run(pictures, recipe, workers=2, checkpoint=tmp_path / "c.pt", resume=True, progress=progress)
    assert progress.stages["train"].notes[1] == "resumed after epoch 1"
    assert same_weights(unbroken, resumed)


def test_the_last_of_idx_files_are_held_out(bars: Path) -> None:
    dataset = open_labelled(bars, SPEC)
    training, held_out = split(dataset, 100, seed=5)
    assert labels_of(training) + labels_of(held_out) == labels_of(dataset)
    assert len(held_out) == 100
    assert len(split(dataset, 0.5, seed=5)[1]) == 450


def test_a_share_of_each_class_of_a_folder_is_held_out(pictures: Path) -> None:
    dataset = open_labelled(pictures, SPEC)
    training, held_out = split(dataset, 0.2, seed=1)
    counts, chosen = Counter(labels_of(dataset)), Counter(labels_of(held_out))
    assert all(abs(chosen[label] - 0.2 * count) <= 0.5 for label, count in counts.items())
    assert Counter(labels_of(training)) + chosen == counts
    assert split(dataset, 0.2, seed=1)[1].digest() == held_out.digest()
    assert split(dataset, 0.2, seed=2)[1].digest() != held_out.digest()


@pytest.mark.parametrize("held_out", [900, 5000, 1e-9])
def test_nothing_to_train_on_or_to_choose_by_is_refused(bars: Path, held_out: float) -> None:
    with pytest.raises(DataError, match="900 labelled") as caught:
        split(open_labelled(bars, SPEC), held_out, seed=0)
    assert "--held-out" in caught.value.hint and "train-images" in caught.value.hint


def test_too_few_pictures_are_told_without_a_word_of_idx_files(pictures: Path) -> None:
    with pytest.raises(DataError, match="held out") as caught:
        split(open_labelled(pictures, SPEC), 5000, seed=0)
    assert "--held-out" in caught.value.hint and "train-images" not in caught.value.hint


def test_a_damaged_picture_is_told(pictures: Path, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures", 100)
    victim = next((folder / "3").iterdir())
    victim.write_bytes(b"no picture")
    for workers in (0, 2):
        with pytest.raises(ImageError, match=victim.name) as caught:
            run(folder, replace(RECIPE, held_out=0.2), workers=workers)
        assert "Traceback" not in str(caught.value)


def test_a_reader_that_is_killed_is_told(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        assert get_worker_info() is not None
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Reader, "read", killed)
    with pytest.raises(DataError, match="ended from outside") as caught:
        run(pictures, replace(RECIPE, held_out=0.2), workers=2)
    assert "--workers" in caught.value.hint


def test_a_subfolder_that_is_no_class_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, 50)
    (tmp_path / "3").rename(tmp_path / "three")
    with pytest.raises(DataError, match="three"):
        run(tmp_path)


def test_pictures_without_classes_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "made", 20)
    with pytest.raises(DataError, match="without labels"):
        run(tmp_path / "made" / "3")


def test_a_set_without_labels_cannot_be_prepared() -> None:
    with pytest.raises(DataError, match="no labels"):
        prepare(ArrayDataset("made here", make_bars(3)[0], None), SPEC)


def test_the_digest_of_pictures_is_of_names_sizes_and_classes(tmp_path: Path) -> None:
    one, same = (write_pictures(tmp_path / name, 30) for name in ("one", "same"))
    before = digest(open_dataset(one, None), one)
    assert digest(open_dataset(same, None), same) == before
    victim = next((same / "3").iterdir())
    victim.rename(victim.with_name("renamed.png"))
    assert digest(open_dataset(same, None), same) != before
