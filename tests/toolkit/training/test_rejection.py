"""Images of no class, the threshold that refuses them, and what a weights file keeps of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from msgspec.structs import replace

from runtime.datasets import ArrayDataset
from runtime.errors import DataError
from tests.command import require_documented
from tests.toolkit.training.bars import RECIPE, bars, run, write_idx, write_pictures
from toolkit.commands.train import command
from toolkit.training.outliers import HELD_OUT, TRAINED
from toolkit.training.rejection import choose_threshold, confidence, make_outliers, refused
from toolkit.zoo import ZOO
from toolkit.zoo.card import read_card

SPEC = ZOO["lenet"].spec


class Computing:
    """Nothing is changed on the way to the model."""

    def autocast(self) -> Any:
        return torch.autocast("cpu", enabled=False)

    def to_unit(self, images: torch.Tensor) -> torch.Tensor:
        return images.float() / 255

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        return images


class Brightness(torch.nn.Module):
    """The brighter an image, the surer of class 1: from 1/2 to almost 1."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        light = images.mean((1, 2, 3))
        return torch.stack((torch.zeros_like(light), 10 * light), 1)


def greys(*levels: int) -> torch.Tensor:
    return torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)


def digits(count: int = 60, seed: int = 0) -> ArrayDataset:
    images, labels = bars(count, seed)
    return ArrayDataset("bars", images, labels.astype(np.int64))


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        (("--shapes", "5"), "--outliers"),
        (("--outlier-data", "."), "--outliers"),
        (("--temperature", "2"), "--teacher"),
    ],
)
def test_options_that_would_do_nothing_are_wrong_usage(bars: Path, options: tuple[str, ...], needed: str) -> None:
    done = CliRunner().invoke(command, ["lenet", "--data", str(bars), *options])
    assert done.exit_code == 2
    assert f"need {needed}" in done.output


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 1), (0.19, 1), (0.5, 5)])
def test_the_threshold_refuses_at_most_the_share(share: float, count: int) -> None:
    sure, _ = confidence(Brightness(), [greys(*range(0, 250, 25))], Computing())
    assert refused(sure, choose_threshold(sure, share)) == 10 * count


def test_confidence_is_the_highest_probability() -> None:
    sure, answers = confidence(Brightness(), [greys(0), greys(255)], Computing())
    assert sure.tolist() == pytest.approx([0.5, 1 / (1 + np.exp(-10))])
    assert answers[1] == 1


def test_outliers_are_preprocessed_and_kinds_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.training.rejection.JUDGED", 20)  # to draw 500 of each kind takes seconds
    made = make_outliers(SPEC, 3, None, digits(), digits(seed=1), seed=0)
    assert made.training.shape == (3 * len(TRAINED), 1, 32, 32) and made.training.dtype == torch.uint8
    assert list(made.known) == list(TRAINED)
    assert list(made.unknown) == list(HELD_OUT)
    assert {tuple(images.shape) for images in (made.known | made.unknown).values()} == {(20, 1, 32, 32)}
    again = make_outliers(SPEC, 3, None, digits(), digits(seed=1), seed=0)
    assert torch.equal(made.training, again.training)
    assert not torch.equal(made.training, make_outliers(SPEC, 3, None, digits(), digits(seed=1), seed=1).training)


def test_every_third_class_of_a_folder_judges_and_is_not_trained_with(tmp_path: Path) -> None:
    images = np.repeat(np.arange(10, dtype=np.uint8) * 20, 4)[:, None, None].repeat(28, 1).repeat(28, 2)
    write_idx(tmp_path / "train-images-idx3-ubyte", images)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.repeat(np.arange(10, dtype=np.uint8), 4))
    plain = replace(SPEC, preprocess=replace(SPEC.preprocess, steps=SPEC.preprocess.steps[1:]))  # no turning of light
    made = make_outliers(plain, 0, tmp_path, digits(), digits(), seed=0)
    levels = {int(image[0, 16, 16]) for image in made.training}
    assert levels == {20 * label for label in (0, 1, 3, 4, 6, 7, 9)}
    assert list(made.unknown) == [f"{tmp_path.name} {label}" for label in (2, 5, 8)]
    assert made.known == {}


def test_digits_of_another_size_cannot_be_cut() -> None:
    large = ArrayDataset("large", np.zeros((10, 32, 32), np.uint8), np.arange(10))
    few = ArrayDataset("few", np.zeros((4, 28, 28), np.uint8), np.arange(4))
    for dataset in (large, few):
        with pytest.raises(DataError, match="all ten digits of 28x28") as caught:
            make_outliers(SPEC, 1, None, dataset, dataset, 0)
        assert "--shapes 0" in caught.value.hint


def test_a_training_chooses_the_threshold_on_what_was_held_out(bars: Path) -> None:
    rejection = run(bars, replace(RECIPE, epochs=6, refuse=0.05)).rejection
    assert rejection is not None
    assert 4 <= rejection.held_out <= 5
    assert rejection.test is not None and rejection.test_top1 is not None
    assert rejection.test + rejection.test_top1 <= 100
    assert (rejection.known, rejection.unknown) == ({}, {})
    assert run(bars).rejection is None


def test_the_threshold_is_in_the_weights_and_in_the_output(bars: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    line = ["lenet", "--data", str(bars), "-o", str(path), "--held-out", "100", "--epochs", "1", "--refuse", "0.1"]
    done = CliRunner().invoke(command, [*line, "--json"])
    assert done.exit_code == 0, done.output
    require_documented("train", done.stdout)
    card = read_card(path)
    assert card is not None
    assert card.spec.reject_threshold == json.loads(done.stdout)["rejection"]["threshold"]
    assert ZOO["lenet"].with_weights(path).spec.reject_threshold == card.spec.reject_threshold


def test_pictures_name_the_classes(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", 60)
    for folder in sorted(data.iterdir())[3:]:
        folder.rename(folder.with_name(f"other{folder.name}"))
    path = tmp_path / "w.safetensors"
    done = CliRunner().invoke(
        command, ["lenet", "--data", str(data), "-o", str(path), "--held-out", "0.2", "--epochs", "1"]
    )
    assert done.exit_code == 0, done.output
    card = read_card(path)
    assert card is not None
    assert card.spec.labels == tuple(sorted(folder.name for folder in data.iterdir()))


def test_labels_of_a_file(bars: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\ufeff" + "\n".join(f"place {index}" for index in range(12)) + "\n")
    path = tmp_path / "w.safetensors"
    line = ["lenet", "--data", str(bars), "-o", str(path), "--held-out", "100", "--epochs", "1"]
    done = CliRunner().invoke(command, [*line, "--labels", str(tmp_path / "names.txt")])
    assert done.exit_code == 0, done.output
    assert "12 classes in place of 10: place 0, place 1, place 2, place 3, place 4, ..." in done.output
    card = read_card(path)
    assert card is not None
    assert card.spec.labels[0] == "place 0"  # not the mark that Windows puts before it
    assert (card.spec.classes, card.spec.labels[11], card.options["classes"]) == (12, "place 11", 12)


def test_a_teacher_is_a_weights_file(bars: Path, tmp_path: Path) -> None:
    teacher, student = tmp_path / "t.safetensors", tmp_path / "s.safetensors"
    line = ["lenet", "--data", str(bars), "--held-out", "100", "--epochs", "1"]
    assert CliRunner().invoke(command, [*line, "-o", str(teacher), "--set", "width=2"]).exit_code == 0
    assert CliRunner().invoke(command, [*line, "-o", str(student), "--teacher", str(teacher)]).exit_code == 0
    refused_line = [*line, "-o", str(tmp_path / "x"), "--set", "side=28", "--teacher", str(teacher)]
    done = CliRunner().invoke(command, refused_line)
    assert done.exit_code != 0
    assert "takes images (32, 32, 1)" in str(done.exception)
    (tmp_path / "names").write_text("\n".join("9876543210"))
    done = CliRunner().invoke(
        command, [*line, "-o", str(tmp_path / "x"), "--labels", str(tmp_path / "names"), *refused_line[-2:]]
    )
    assert "give a teacher of the same images and classes" in getattr(done.exception, "hint", "")
