"""`toolkit train` as people run it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

import runtime
from runtime.datasets import open_dataset
from runtime.errors import ToolkitError
from tests.command import TOOLKIT, assert_clean_failure, environment, require_documented, toolkit, without_packages
from tests.toolkit.training.test_distributed import wait_for
from toolkit.commands.train import command
from toolkit.recipe import Augment, Recipe
from toolkit.training.data import prepare
from toolkit.training.distributed import World
from toolkit.training.learner import choose_computing
from toolkit.training.loop import accuracy
from toolkit.zoo import ZOO
from toolkit.zoo.card import read_card
from toolkit.zoo.weights import load_weights


def arguments(data: Path, output: Path, *more: object) -> list[str]:
    return ["lenet", "--data", str(data), "-o", str(output), "--held-out", "100", "--epochs", "1", *map(str, more)]


def train(data: Path, output: Path, *more: object) -> Any:
    done = CliRunner().invoke(command, arguments(data, output, "--json", *more))
    assert done.exit_code == 0, done.output
    require_documented("train", done.stdout)
    return json.loads(done.stdout)


def test_writes_weights_that_the_model_takes(bars: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "w.safetensors"
    result = train(bars, output)
    assert {key: result[key] for key in ("model", "weights", "parameters", "epoch", "seed")} == {
        "model": "lenet", "weights": str(output), "parameters": 61_706, "epoch": 1, "seed": 0
    }  # fmt: skip
    assert result["history"][0]["held_out_top1"] == result["held_out_top1"]
    module, spec = ZOO["lenet"].make(), ZOO["lenet"].spec
    load_weights(module, output)
    computing = choose_computing(module, spec, "fp32", World().device)
    assert accuracy(module, prepare(open_dataset(bars, "test"), spec), computing) == result["test_top1"]
    assert [path.name for path in output.parent.iterdir()] == ["w.safetensors"]


def test_the_next_command_can_be_copied(bars: Path, tmp_path: Path) -> None:
    (tmp_path / "my bars").symlink_to(bars)
    output = tmp_path / "my weights"
    done = CliRunner().invoke(command, arguments(tmp_path / "my bars", output))
    assert done.exit_code == 0, done.output
    assert f"--weights '{output}' --data '{tmp_path / 'my bars'}'" in done.stdout


def test_weights_are_gone_on_from_with_the_options_that_they_name(bars: Path, tmp_path: Path) -> None:
    train(bars, tmp_path / "first", "--set", "width=2")
    result = train(bars, tmp_path / "second", "--weights", tmp_path / "first", "--epochs", 1)
    card = read_card(tmp_path / "second")
    assert card is not None and card.options["width"] == 2
    assert result["history"][0]["held_out_top1"] > 80


@pytest.mark.parametrize("model", ["lenet-28", "alexnet"])
def test_weights_of_another_model_are_refused_before_the_work(bars: Path, tmp_path: Path, model: str) -> None:
    train(bars, tmp_path / "w")
    line = [model, *arguments(bars, tmp_path / "more" / "w", "--weights", tmp_path / "w")[1:]]
    refused = CliRunner().invoke(command, line)
    assert isinstance(refused.exception, ToolkitError)
    assert "are of lenet, not of" in refused.exception.message
    assert not (tmp_path / "more").exists()


def test_every_field_of_the_recipe_is_an_option() -> None:
    names = {parameter.name for parameter in command.params}
    fields = {*Recipe.__struct_fields__, *Augment.__struct_fields__} - {"augment"}
    assert fields <= names


def test_options_change_the_recipe(bars: Path, tmp_path: Path) -> None:
    changes = ("--optimizer", "sgd", "--learning-rate", 0.01, "--rotate", 7, "--flip", "--batch", 64, "--shift", 0)
    recipe = train(bars, tmp_path / "w", *changes)["recipe"]
    assert (recipe["optimizer"], recipe["learning_rate"], recipe["batch"], recipe["held_out"]) == ("sgd", 0.01, 64, 100)
    assert (recipe["augment"]["rotate"], recipe["augment"]["flip"], recipe["augment"]["shift"]) == (7, True, 0)
    assert recipe["weight_decay"] == Recipe().weight_decay


@pytest.mark.parametrize("option", [("--ema", 1), ("--learning-rate", "nan"), ("--batch", 0), ("--optimizer", "adam")])
def test_a_value_out_of_range_is_wrong_usage(bars: Path, tmp_path: Path, option: tuple[str, object]) -> None:
    done = CliRunner().invoke(command, arguments(bars, tmp_path / "w", *option))
    assert done.exit_code == 2
    assert option[0] in done.output


def test_killed_in_the_middle_and_resumed_it_ends_as_an_unbroken_one(bars: Path, tmp_path: Path) -> None:
    recipe = ("--epochs", "8", "--ema", "0.9", "--elastic", "0.5", "--rotate", "5")
    train(bars, tmp_path / "unbroken", *recipe)
    output, checkpoint = tmp_path / "w", tmp_path / "w.checkpoint.pt"
    line = ["train", *arguments(bars, output, *recipe)]
    process = subprocess.Popen(
        [*TOOLKIT, *line], env=environment(OMP_NUM_THREADS="1"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    wait_for(checkpoint, [process])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not output.exists()
    refused = CliRunner().invoke(command, line[1:])
    assert isinstance(refused.exception, ToolkitError)
    assert "w.checkpoint.pt" in refused.exception.message and "--resume" in refused.exception.hint
    resumed = CliRunner().invoke(command, [*line[1:], "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert "resumed after epoch" in resumed.stderr
    one, other = load_file(tmp_path / "unbroken"), load_file(output)
    assert all(bool((one[key] == other[key]).all()) for key in one)
    assert not checkpoint.exists()


def test_interrupted_it_says_how_to_go_on(bars: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "w.checkpoint.pt"
    line = ["train", *arguments(bars, tmp_path / "w", "--epochs", 3000)]
    process = subprocess.Popen(
        [*TOOLKIT, *line], env=environment(OMP_NUM_THREADS="1"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    wait_for(checkpoint, [process])
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "--resume goes on" in error and "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["w.checkpoint.pt"]


def test_event_files_hold_the_history(bars: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = train(bars, tmp_path / "w", "--epochs", 2, "--log-dir", tmp_path / "log")
    events = accumulator.EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    tags = {"train/loss": "loss", "held_out/top1": "held_out_top1", "train/lr": "lr", "train/seconds": "seconds"}
    assert set(events.Tags()["scalars"]) == set(tags)
    for tag, name in tags.items():
        assert [event.step for event in events.Scalars(tag)] == [1, 2]
        values = [epoch[name] for epoch in result["history"]]
        assert [event.value for event in events.Scalars(tag)] == pytest.approx(values, rel=1e-6)


def test_event_files_without_tensorboard(bars: Path, tmp_path: Path) -> None:
    path = without_packages(tmp_path, "tensorboard")
    line = ["train", *arguments(bars, tmp_path / "out" / "w", "--log-dir", tmp_path / "log")]
    done = toolkit(*line, cwd=tmp_path, PYTHONPATH=path)
    assert_clean_failure(done, "--log-dir", "tensorboard is not installed", "pip install tensorboard")
    assert not (tmp_path / "out").exists()


def test_force_replaces_files(bars: Path, tmp_path: Path) -> None:
    output = tmp_path / "w.safetensors"
    output.write_text("mine")
    (tmp_path / "w.safetensors.checkpoint.pt").write_text("old")
    train(bars, output, "--force")
    load_weights(ZOO["lenet"].make(), output)
    assert list(tmp_path.iterdir()) == [output]


def test_an_existing_file_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "lenet.safetensors").write_text("mine")
    assert_clean_failure(toolkit("train", "lenet", "--data", ".", cwd=tmp_path), "lenet.safetensors", "--force")
    assert (tmp_path / "lenet.safetensors").read_text() == "mine"


def test_a_checkpoint_in_place_of_the_output_is_wrong_usage(bars: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("w")
    done = CliRunner().invoke(command, arguments(bars, tmp_path / "w", "--checkpoint", tmp_path / "link"))
    assert done.exit_code == 2
    assert "--checkpoint" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_an_unknown_model(tmp_path: Path) -> None:
    assert_clean_failure(toolkit("train", "lenett", "--data", ".", cwd=tmp_path), "lenett", "did you mean lenet?")


def test_the_digits_that_ship_are_too_few(tmp_path: Path) -> None:
    data = Path(runtime.__file__).parent / "data" / "mnist"
    assert_clean_failure(toolkit("train", "lenet", "--data", data, cwd=tmp_path), "1,024", "complete")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "data"), [("new/deep/w.safetensors", "nowhere"), ("new/deep/w.safetensors", "."), ("w", "nowhere")]
)
def test_a_failure_leaves_nothing_behind(tmp_path: Path, output: str, data: str) -> None:
    assert_clean_failure(toolkit("train", "lenet", "--data", data, "-o", output, cwd=tmp_path), data)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_in_use_stays(bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interfere(*_: object, **__: object) -> None:
        (tmp_path / "new" / "other").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("toolkit.training.train", interfere)
    output = tmp_path / "new" / "deep" / "w.safetensors"
    CliRunner().invoke(command, ["lenet", "--data", str(bars), "-o", str(output)])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["other"]


@pytest.mark.parametrize("output", ["file/w.safetensors", "file/deep/w.safetensors", f"new/{'n' * 250}.pt"])
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it began")

    monkeypatch.setattr("toolkit.training.train", never)
    (tmp_path / "file").touch()
    done = CliRunner().invoke(command, ["lenet", "--data", str(bars), "-o", str(tmp_path / output)])
    assert isinstance(done.exception, ToolkitError)
    assert "cannot write" in done.exception.message and "-o" in done.exception.hint
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
