"""The data that ship: whole, described, and read without a change."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import runtime
from runtime.datasets import open_dataset
from runtime.images import read_image
from runtime.preprocess import image_for
from tests.command import ROOT
from toolkit.zoo import ZOO

DIGITS = Path(runtime.__file__).parent / "data" / "mnist"
SPEC = ZOO["lenet"].spec
PICTURES = sorted((ROOT / "examples" / "digits").glob("*.png"))


def test_files_are_those_that_the_readme_describes() -> None:
    described = dict(re.findall(r"`(\S+\.gz)`.*`([0-9a-f]{64})`", (DIGITS / "README.md").read_text()))
    assert described == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in DIGITS.glob("*.gz")}
    assert len(described) == 4


def test_counts_and_labels() -> None:
    for split, count in (("test", 10_000), ("train", 1024)):
        dataset = open_dataset(DIGITS, split)  # type: ignore[arg-type]
        assert len(dataset) == count
        assert dataset.labels is not None
        assert set(dataset.labels.tolist()) == set(range(10))


def test_no_calibration_digit_is_a_test_digit() -> None:
    train, test = (
        {dataset.image(index).tobytes() for index in range(len(dataset))}
        for dataset in (open_dataset(DIGITS, "train"), open_dataset(DIGITS, "test"))
    )
    assert len(train) == 1024
    assert not train & test


@pytest.mark.parametrize("split", ["train", "test"])
def test_preprocessing_changes_no_digit(split: str) -> None:
    dataset = open_dataset(DIGITS, split)  # type: ignore[arg-type]
    for index in range(len(dataset)):
        digit = dataset.image(index)
        assert np.array_equal(image_for(SPEC, digit)[:, :, 0], np.pad(digit, 2)), index


def test_example_pictures_cover_the_digits_both_ways() -> None:
    assert [path.name[0] for path in PICTURES] == list("0123456789")
    assert [("dark-on-light" in path.name) for path in PICTURES].count(True) == 5


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_example_picture_becomes_light_on_dark(path: Path) -> None:
    picture = read_image(path)
    assert (np.median(picture[0]) > 128) == ("dark-on-light" in path.name)
    digit = image_for(SPEC, picture)[:, :, 0]
    assert digit[[0, 0, -1, -1], [0, -1, 0, -1]].max() == 0
    assert np.median(digit) == 0
    assert digit.max() > 180
