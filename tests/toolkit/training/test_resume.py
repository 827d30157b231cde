"""A training that was interrupted ends as an unbroken one would have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from torch import nn

from runtime.errors import Cancelled, ToolkitError
from runtime.spec import Preprocess, Resize, classifier_spec
from tests.fakes import RecordingProgress
from tests.toolkit.training.bars import FULL, RECIPE, run, same_weights, write_bars
from toolkit.recipe import Recipe
from toolkit.training.checkpoint import Checkpoint, save_checkpoint
from toolkit.zoo import ZOO, Options, ZooModel


def interrupt(folder: Path, recipe: Recipe, checkpoint: Path, images: int) -> None:
    """Train until so many images were seen."""
    with pytest.raises(Cancelled):
        run(folder, recipe, checkpoint=checkpoint, progress=RecordingProgress(stop_after=images))


@pytest.mark.parametrize(
    "recipe",
    [FULL, replace(FULL, optimizer="sgd", learning_rate=0.05, schedule="cosine", warmup=1), replace(FULL, ema=0.0)],
)
def test_a_resumed_training_is_an_unbroken_one(bars: Path, tmp_path: Path, recipe: Recipe) -> None:
    unbroken = run(bars, recipe)
    checkpoint = tmp_path / "c.pt"
    interrupt(bars, recipe, checkpoint, 2 * 800 + 300)  # in the third epoch of four
    torch.manual_seed(99)  # what came before must not matter
    progress = RecordingProgress()
    resumed = run(bars, recipe, checkpoint=checkpoint, resume=True, progress=progress)
    assert same_weights(unbroken, resumed)
    assert [e["loss"] for e in resumed.history] == [e["loss"] for e in unbroken.history]
    assert [e["held_out_top1"] for e in resumed.history] == [e["held_out_top1"] for e in unbroken.history]
    assert (resumed.epoch, resumed.test_top1) == (unbroken.epoch, unbroken.test_top1)
    stage = progress.stages["train"]
    assert stage.done == stage.total
    assert stage.notes[1] == "resumed after epoch 2"
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_it_is_so_with_batch_norm_dropout_and_channels_last(bars: Path, tmp_path: Path) -> None:
    def make() -> nn.Module:
        layers = (nn.Conv2d(3, 8, 5, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.LazyLinear(10))
        module = nn.Sequential(*layers)
        module.eval()(torch.zeros(1, 3, 32, 32))
        return module

    preprocess = Preprocess("rgb", (Resize(32, 32, "exact", "bilinear"),), (0.4, 0.4, 0.4), (0.2, 0.2, 0.2))
    spec = classifier_spec("colored", height=32, width=32, classes=10, preprocess=preprocess)
    model = ZooModel("colored", Options(), lambda options: make(), lambda name, options: spec, FULL)
    unbroken = run(bars, FULL, model=model)
    assert unbroken.computed.endswith("channels last")
    assert unbroken.held_out_top1 > 70
    with pytest.raises(Cancelled):
        run(bars, FULL, model=model, checkpoint=tmp_path / "c.pt", progress=RecordingProgress(stop_after=1000))
    assert same_weights(unbroken, run(bars, FULL, model=model, checkpoint=tmp_path / "c.pt", resume=True))


def test_a_finished_training_resumes_to_its_result(bars: Path, tmp_path: Path) -> None:
    first = run(bars, checkpoint=tmp_path / "c.pt")
    assert same_weights(first, run(bars, checkpoint=tmp_path / "c.pt", resume=True))


@pytest.fixture(scope="module")
def interrupted(bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of `FULL` after one epoch: not to be changed."""
    checkpoint = tmp_path_factory.mktemp("interrupted") / "c.pt"
    interrupt(bars, FULL, checkpoint, 900)
    return checkpoint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 5}, "epochs was 4, and is 5 now"),
        ({"ema": 0.0}, "ema was 0.9, and is 0.0 now"),
        ({"augment": replace(FULL.augment, rotate=7.0)}, "rotate was 5, and is 7.0 now"),
    ],
)
def test_the_checkpoint_of_another_recipe_is_refused(
    bars: Path, interrupted: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ToolkitError) as caught:
        run(bars, replace(FULL, **changes), checkpoint=interrupted, resume=True)
    assert words in caught.value.message and "--force" in caught.value.hint


def test_the_checkpoint_of_another_seed_model_or_data_is_refused(
    bars: Path, interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolkitError, match="seed was 0, and is 1 now"):
        run(bars, FULL, seed=1, checkpoint=interrupted, resume=True)
    others = write_bars(tmp_path / "others", training=901)
    with pytest.raises(ToolkitError, match=r"data was [0-9a-f]{64}, and is"):
        run(others, FULL, checkpoint=interrupted, resume=True)
    monkeypatch.setitem(ZOO, "lenet", ZOO["lenet-28"])
    with pytest.raises(ToolkitError, match="model was lenet, and is lenet-28 now"):
        run(bars, FULL, checkpoint=interrupted, resume=True)


def test_a_damaged_checkpoint_is_refused(bars: Path, interrupted: Path, tmp_path: Path) -> None:
    whole = interrupted.read_bytes()
    damaged = tmp_path / "c.pt"
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # within the weights
    for content in (whole[: len(whole) // 2], b"", b"no archive", whole[:100] + whole[300:], flipped):
        damaged.write_bytes(content)
        with pytest.raises(ToolkitError, match="no whole checkpoint") as caught:
            run(bars, FULL, checkpoint=damaged, resume=True)
        assert caught.value.hint


@pytest.mark.parametrize("content", [{}, {"version": 1}, [1], {"version": 0}, torch.nn.Linear(1, 1)])
def test_another_file_of_pytorch_is_refused(bars: Path, tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(ToolkitError, match=r"no whole checkpoint|another version"):
        run(bars, FULL, checkpoint=tmp_path / "c.pt", resume=True)


def test_a_missing_checkpoint_is_told(bars: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="no checkpoint") as caught:
        run(bars, checkpoint=tmp_path / "c.pt", resume=True)
    assert "--resume" in caught.value.hint


def test_a_checkpoint_that_cannot_be_written_is_told(
    bars: Path, interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolkitError, match="cannot write the checkpoint") as caught:
        run(bars, RECIPE, checkpoint=tmp_path / "nowhere" / "c.pt")
    assert "--checkpoint" in caught.value.hint


def test_a_failed_write_leaves_the_checkpoint_before(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "c.pt"
    run(bars, checkpoint=checkpoint)
    before = checkpoint.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("toolkit.training.checkpoint.flush", full)
    with pytest.raises(ToolkitError, match="No space left"):
        save_checkpoint(Checkpoint({}, 1, {}, {}, 0.0, 1, []), checkpoint)
    assert checkpoint.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize(("given", "named"), [("teacher", "teacher"), ("start", "weights")])
def test_what_a_training_was_begun_with_must_be_given_again(bars: Path, tmp_path: Path, given: str, named: str) -> None:
    """A checkpoint knows more than a training without it asks for."""
    more = {given: ZOO["lenet"].make()}
    with pytest.raises(Cancelled):
        run(bars, FULL, checkpoint=tmp_path / "c.pt", progress=RecordingProgress(stop_after=1000), **more)
    with pytest.raises(ToolkitError, match=f"{named} was"):
        run(bars, FULL, checkpoint=tmp_path / "c.pt", resume=True)


def test_a_pipe_is_no_checkpoint(bars: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ToolkitError, match="not a file"):
        run(bars, checkpoint=tmp_path / "pipe", resume=True)
