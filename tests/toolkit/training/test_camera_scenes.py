"""Digits and other things that the camera's reader cuts out of drawn scenes, to train with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import runtime
from runtime.camera.synthetic.truth import Truth
from runtime.datasets import Subset, open_dataset
from runtime.errors import DataError
from runtime.progress import SilentProgress
from tests.toolkit.training.bars import RECIPE, run
from toolkit.training.camera import Scenes, draw_scenes, label_cuts
from toolkit.training.data import prepare
from toolkit.training.digits import take_digits, with_upstrokes
from toolkit.zoo import ZOO

SHIPPED = open_dataset(Path(runtime.__file__).parent / "data" / "mnist", "train")
TRAINING, HELD_OUT = Subset(SHIPPED, tuple(range(700))), Subset(SHIPPED, tuple(range(700, 1000)))
SPEC = ZOO["lenet"].spec


def draw(seed: int = 0) -> Scenes:
    return draw_scenes(5, TRAINING, HELD_OUT, seed, SilentProgress())


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return draw()


def test_scenes_give_digits_with_their_labels_and_other_things(scenes: Scenes) -> None:
    for cuts in (scenes.training, scenes.held_out):
        assert len(cuts.digits) == len(cuts.labels) > 10
        assert len(cuts.others) > 5
        assert cuts.digits.shape[1:] == cuts.others.shape[1:] == (28, 28)
        assert set(cuts.labels.tolist()) <= set(range(10))


def test_letters_of_words_are_nothing_to_train_with() -> None:
    frame = np.full((480, 640, 3), 220, np.uint8)
    for place, letter in enumerate("oslo"):
        cv2.putText(frame, letter, (100 + 60 * place, 200), cv2.FONT_HERSHEY_SIMPLEX, 2.0, (40, 40, 40), 4)
    box = (95, 140, 250, 70)
    assert len(list(label_cuts(frame, (Truth(box, None, "scribble", 0, False, None),)))) >= 4
    assert list(label_cuts(frame, (Truth(box, None, "word", 0, False, None),))) == []


def test_1s_with_an_upstroke_are_written_among_them() -> None:
    digits = take_digits(TRAINING, len(TRAINING))
    more = with_upstrokes(digits, np.random.default_rng(0))
    drawn = more.images[len(digits.images) :]
    assert len(drawn) == np.count_nonzero(digits.labels == 1) // 2 > 10
    assert np.array_equal(more.images[: len(digits.images)], digits.images)
    assert np.array_equal(more.labels, [*digits.labels, *np.ones(len(drawn), int)])
    for image in drawn:  # the stroke lies left of the stem's lower half, and most of it above the middle
        middle = np.average(np.arange(28), weights=image[14:].sum(0, dtype=float))
        assert image[4:14, : int(middle)].sum(dtype=float) > 0
    assert len({image.tobytes() for image in drawn}) == len(drawn)


def test_cut_digits_look_like_those_of_mnist(scenes: Scenes) -> None:
    light = np.stack([SHIPPED.image(index) for index in range(200)]).mean()
    assert scenes.training.digits.mean() == pytest.approx(light, rel=0.5)
    edges = [max(image[0].max(), image[-1].max(), *image[:, [0, -1]].max(0)) for image in scenes.training.digits]
    assert np.median(edges) == 0
    assert np.percentile(edges, 95) < 80  # but for what is broken, no more than a soft edge reaches the border


def test_the_same_seed_gives_the_same(scenes: Scenes) -> None:
    again = draw()
    assert np.array_equal(again.training.digits, scenes.training.digits)
    assert np.array_equal(again.training.others, scenes.training.others)
    assert not np.array_equal(draw(seed=1).training.labels, scenes.training.labels)


def test_pictures_take_more_beside_them(scenes: Scenes) -> None:
    pictures = prepare(TRAINING, SPEC)
    more = pictures.with_more(scenes.training.digits, scenes.training.labels)
    assert len(more) == len(pictures) + len(scenes.training.labels)
    (last,) = more.batches([torch.tensor([len(more) - 1])])
    assert torch.equal(last[0, 0, 2:30, 2:30], torch.from_numpy(scenes.training.digits[-1]))


def test_pictures_that_are_read_anew_take_none(scenes: Scenes) -> None:
    with pytest.raises(DataError, match="is not kept in memory"):
        replace(prepare(TRAINING, SPEC), cache=None).with_more(scenes.training.digits, scenes.training.labels)


def test_scenes_need_all_ten_digits() -> None:
    ones = Subset(SHIPPED, tuple(np.flatnonzero(SHIPPED.labels == 1)[:20].tolist()))
    with pytest.raises(DataError, match="ten digits"):
        draw_scenes(5, ones, HELD_OUT, 0, SilentProgress())


def test_the_last_epoch_is_kept_where_the_recipe_says_so(bars: Path) -> None:
    result = run(bars, RECIPE.changed({"epochs": 4, "keep": "last"}))
    assert result.epoch == 4
    assert result.held_out_top1 == result.history[-1]["held_out_top1"]


def test_scenes_and_random_crops_do_not_go_together(bars: Path) -> None:
    with pytest.raises(DataError, match="crops at random"):
        run(bars, RECIPE.changed({"scenes": 5, "crop": 0.5}))
