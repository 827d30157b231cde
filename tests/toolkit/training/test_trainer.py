"""A whole training, on a task that can be learned in a second."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from msgspec.structs import replace
from numpy.typing import NDArray

from runtime.cpu import cpu_features
from runtime.errors import Cancelled, DataError, ToolkitError
from runtime.progress import SilentProgress
from tests.fakes import RecordingProgress
from tests.toolkit.training.bars import RECIPE, run, write_idx
from toolkit.recipe import Augment, Recipe
from toolkit.training import train
from toolkit.training.data import Pictures
from toolkit.training.learner import BFLOAT16_FEATURES, moving_average
from toolkit.zoo import ZOO


def test_learns(bars: Path) -> None:
    result = run(bars, replace(RECIPE, epochs=6))
    assert result.parameters == 61_706
    assert 1 <= result.epoch <= 6
    assert result.held_out_top1 > 80  # ten classes: chance is 10
    assert result.test_top1 is not None and result.test_top1 > 80
    assert not result.module.training


def test_a_model_of_another_size_learns_too(bars: Path) -> None:
    result = train(ZOO["lenet-28"], bars, replace(RECIPE, epochs=6), seed=0, progress=SilentProgress())
    assert result.parameters == 44_426
    assert result.test_top1 is not None and result.test_top1 > 80


def test_the_weights_are_those_of_the_first_best_epoch(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [50.0, 90.0, 90.0, 70.0, 12.5]  # on the held-out digits of four epochs, then on the test digits
    seen: list[dict[str, torch.Tensor]] = []

    def judge(module: torch.nn.Module, pictures: Pictures, *_: object) -> float:
        assert len(pictures) == (200 if len(seen) == 4 else 100)
        seen.append(copy.deepcopy(module.state_dict()))
        return told[len(seen) - 1]

    monkeypatch.setattr("toolkit.training.trainer.accuracy", judge)
    progress = RecordingProgress()
    result = run(bars, replace(RECIPE, epochs=4), progress=progress)
    assert (result.epoch, result.held_out_top1, result.test_top1) == (2, 90.0, 12.5)
    kept = result.module.state_dict()
    same = [all(torch.equal(kept[key], state[key]) for key in kept) for state in seen]
    assert same == [False, True, False, False, True]
    stage = progress.stages["train"]
    assert (stage.total, stage.done) == (3200, 3200)
    notes = [note for note in stage.notes if note.startswith("epoch")]
    assert ["held-out top-1 90.00" in note for note in notes] == [False, True, True, False]
    assert all("loss" in note and "images/s" in note and "left" in note for note in notes)
    assert "800 images, 100 held out; cpu, " in stage.notes[0]
    assert [epoch["held_out_top1"] for epoch in result.history] == told[:4]


def test_the_seed_decides(bars: Path) -> None:
    first, again, other = (run(bars, seed=seed).module.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize("gone", ["t10k-*", "t10k-labels-*"])
def test_without_labelled_test_digits_nothing_is_made_up_and_nothing_lost(bars_copy: Path, gone: str) -> None:
    for path in bars_copy.glob(gone):
        path.unlink()
    result = run(bars_copy)
    assert result.test_top1 is None
    assert result.epoch == 1


def test_a_label_that_is_no_class_is_refused(bars_copy: Path) -> None:
    write_idx(bars_copy / "train-labels-idx1-ubyte", np.arange(900, dtype=np.uint8) % 12)
    with pytest.raises(DataError, match="labels 0 to 11") as caught:
        run(bars_copy)
    assert caught.value.hint


def test_training_digits_without_labels_are_refused(bars_copy: Path) -> None:
    (bars_copy / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="without labels") as caught:
        run(bars_copy)
    assert "train-labels-idx1-ubyte" in caught.value.hint


def test_too_few_digits_are_refused(bars: Path) -> None:
    with pytest.raises(DataError, match="900 labelled") as caught:
        run(bars, Recipe())
    assert "--held-out" in caught.value.hint


def test_a_request_to_stop_is_heard(bars: Path) -> None:
    with pytest.raises(Cancelled):
        run(bars, progress=RecordingProgress(stop_after=128))


def test_damaged_test_digits_are_told_before_the_work(bars_copy: Path) -> None:
    images = bars_copy / "t10k-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    progress = RecordingProgress()
    with pytest.raises(DataError, match="t10k-images"):
        run(bars_copy, progress=progress)
    assert progress.stages == {}


def test_a_batch_larger_than_the_set_is_one_step(bars: Path) -> None:
    result = run(bars, replace(RECIPE, batch=5000, epochs=2))
    assert len(result.history) == 2
    assert np.isfinite(result.history[-1]["loss"])


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "learning_rate": 0.05, "schedule": "cosine", "warmup": 1},
        {"schedule": "constant", "label_smoothing": 0.1, "augment": Augment()},
        {"ema": 0.8},
        {"precision": "bf16"},
    ],
)
def test_every_recipe_learns(bars: Path, changes: dict[str, Any]) -> None:
    result = run(bars, replace(RECIPE, epochs=6, **changes))
    assert result.held_out_top1 > 70
    bfloat16 = "precision" in changes or BFLOAT16_FEATURES & cpu_features()
    assert result.computed == f"cpu, {'bfloat16' if bfloat16 else 'float32'}, channels last"


def test_the_schedules_end_where_they_should(bars: Path) -> None:
    for schedule, first, last in (("cosine", 0.002, 0.0), ("constant", 0.004, 0.004)):
        history = run(bars, replace(RECIPE, epochs=2, schedule=schedule)).history
        assert [epoch["lr"] for epoch in history] == pytest.approx([first, last])


def test_the_average_is_what_is_kept(bars: Path) -> None:
    """The loss is that of the same training; the weights are others, and lie behind: nearer to where they began."""
    plain, averaged = (run(bars, replace(RECIPE, epochs=6, ema=decay)) for decay in (0.0, 0.9999))
    assert [epoch["loss"] for epoch in plain.history] == [epoch["loss"] for epoch in averaged.history]
    torch.manual_seed(0)
    start = ZOO["lenet"].make().state_dict()["fc3.weight"]
    moved = [float((result.module.state_dict()["fc3.weight"] - start).norm()) for result in (plain, averaged)]
    assert 0.1 * moved[0] < moved[1] < 0.9 * moved[0]


def test_the_average_forgets_the_first_steps_first() -> None:
    """The decay is (1 + n) / (10 + n) until that reaches what was asked."""
    update, average, expected = moving_average(0.5), [torch.tensor([1.0])], 1.0
    for step, value in enumerate((2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0), 1):
        update(average, [torch.tensor([value])], torch.tensor(step))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(average[0]) == pytest.approx(expected)
    assert (1 + 7) / (10 + 7) < 0.5 <= (1 + 8) / (10 + 8)  # both sides were seen


def write_stripes(folder: Path) -> NDArray[np.uint8]:
    """Pictures of upright bars, where the classes are lying ones."""
    stripes = np.zeros((20, 28, 28), np.uint8)
    for column, image in enumerate(stripes, 2):
        image[2:26, column : column + 4] = 220
        cv2.imwrite(str(folder / f"{column}.png"), image)
    return stripes


def test_outliers_are_learned_to_be_doubted(bars: Path, tmp_path: Path) -> None:
    stripes = write_stripes(tmp_path)
    confident = {}
    for weight in (0.0, 1.0):
        recipe = replace(RECIPE, epochs=6, outliers=weight)
        result = run(bars, recipe, model=ZOO["lenet-28"], outlier_data=tmp_path)
        assert result.held_out_top1 > 70
        with torch.no_grad():
            logits = result.module(torch.from_numpy(stripes)[:, None].float() / 255)
        confident[weight] = float(logits.softmax(1).amax(1).mean())
    assert confident[1.0] < 0.22 < 0.28 < confident[0.0], confident


def test_it_goes_on_from_weights(bars: Path) -> None:
    first = run(bars, replace(RECIPE, epochs=3))
    start = ZOO["lenet"].make()
    start.load_state_dict(first.module.state_dict())
    still = run(bars, replace(RECIPE, epochs=1, learning_rate=1e-12, weight_decay=0.0), start=start)
    assert still.history[0]["held_out_top1"] == first.held_out_top1
    one, other = first.module.state_dict(), still.module.state_dict()
    assert all(torch.allclose(one[key], other[key], atol=1e-6) for key in one)


def test_a_teacher_is_followed(bars: Path) -> None:
    """One that is always sure of class 3, and nothing but it to learn from."""

    class Three(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert not self.training
            return 10 * torch.nn.functional.one_hot(torch.full((len(images),), 3), 10).float()

    result = run(bars, replace(RECIPE, epochs=2, teacher_weight=1.0), teacher=Three())
    assert result.held_out_top1 < 30
    assert result.module(torch.zeros(1, 1, 32, 32)).argmax() == 3


def test_a_teacher_is_followed_on_outliers_too(bars: Path, tmp_path: Path) -> None:
    """One that calls what is upright 7 and all else 3, and, but for a trace, nothing but it to learn from."""

    class SevenOrThree(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            upright = images.sum(2).amax((1, 2)) > images.sum(3).amax((1, 2))
            return 4 * torch.nn.functional.one_hot(torch.where(upright, 7, 3), 10).float()

    stripes = write_stripes(tmp_path)
    recipe = replace(RECIPE, epochs=6, teacher_weight=1.0, temperature=1.0, outliers=1e-6, keep="last")
    result = run(bars, recipe, model=ZOO["lenet-28"], teacher=SevenOrThree(), outlier_data=tmp_path)
    with torch.no_grad():
        answers = result.module(torch.from_numpy(stripes)[:, None].float() / 255).argmax(1)
    assert (answers == 7).float().mean() > 0.9


def test_outliers_that_are_missing_are_asked_for(bars: Path) -> None:
    with pytest.raises(DataError, match="there are none") as caught:
        run(bars, replace(RECIPE, outliers=0.5))
    assert "--outlier-data" in caught.value.hint


def test_a_loss_that_is_not_finite_stops_the_training(bars: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=3, optimizer="sgd", schedule="constant", learning_rate=1e30)
    with pytest.raises(ToolkitError, match="no finite number") as caught:
        run(bars, recipe, checkpoint=tmp_path / "c.pt")
    assert "--learning-rate" in caught.value.hint
