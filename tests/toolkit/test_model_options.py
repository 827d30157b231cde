"""`--set`, `--weights` and `--random-weights`, from the command line to a model."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
import torch

from runtime.errors import WeightsError
from runtime.progress import SilentProgress
from tests.command import assert_clean_failure, toolkit
from toolkit.options import ModelChoice
from toolkit.source import open_calib_data, resolve_model
from toolkit.zoo import ZOO
from toolkit.zoo.weights import make_with_weights


@pytest.mark.parametrize("name", ["alexnet", "alexnet-bn", "alexnet-owt"])
def test_a_model_without_weights_says_what_to_give(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=f"no weights of {name} ship") as caught:
        resolve_model(name, ModelChoice(), tmp_path, SilentProgress())
    assert "--weights FILE" in caught.value.hint and "--random-weights" in caught.value.hint
    assert ("--weights torchvision" in caught.value.hint) == (name == "alexnet-owt")


def test_other_options_leave_the_weights_that_ship(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="lenet with these options"):
        resolve_model("lenet", ModelChoice({"activation": "relu"}), tmp_path, SilentProgress())
    assert resolve_model("lenet", ModelChoice({"activation": "tanh"}), tmp_path, SilentProgress()).weights


def test_random_weights_are_calibrated_on_noise_unless_images_are_given(tmp_path: Path) -> None:
    model = resolve_model("alexnet", ModelChoice(random_weights=True), tmp_path, SilentProgress())
    assert open_calib_data(model, None, "int8").name == "noise"
    random_relu = ModelChoice({"activation": "relu"}, random_weights=True)
    lenet = resolve_model("lenet", random_relu, tmp_path, SilentProgress())
    assert lenet.weights is None and lenet.data is not None
    with pytest.raises(click.UsageError, match="exclude each other"):
        resolve_model("lenet", ModelChoice(weights="w.safetensors", random_weights=True), tmp_path, SilentProgress())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder that a server on this machine gives, and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def test_weights_by_name_are_downloaded_once(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    module = ZOO["lenet"].make()
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    name = f"lenet-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(buffer.getvalue())
    monkeypatch.setitem(ZOO, "lenet", replace(ZOO["lenet"], downloads={"published": f"{address}/{name}"}))
    for _ in range(2):
        model = resolve_model("lenet", ModelChoice(weights="published"), tmp_path / "cache", SilentProgress())
        (folder / name).unlink(missing_ok=True)  # the second time it comes from the cache folder
    assert model.weights == tmp_path / "cache" / "weights" / name
    assert torch.equal(make_with_weights(model).state_dict()["fc3.bias"], module.state_dict()["fc3.bias"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("build", "alexnet", "--int8"), ("no weights of alexnet ship", "--random-weights")),
        (
            ("build", "lenet", "--int8", "--weights", "torchvision"),
            ("--weights torchvision is for alexnet-owt, not for lenet",),
        ),
        (("export", "lenet", "--set", "depth=9"), ("no option 'depth'", "activation")),
        (("train", "lenet", "--data", ".", "--set", "groups=3"), ("lenet cannot have groups=3", "groups is 1 or 2")),
        (("summary", "alexnet", "--set", "classes=one"), ("classes=one", "a whole number from 2 to 65536")),
        (("summary", "alexnet", "--set", "maps=1,2"), ("maps=1,2", "5 numbers", "each an even number from 2 to 4096")),
        (("summary", "alexnet", "--set", "dropout=1"), ("dropout=1", "a number from 0 to below 1")),
        (("summary", "alexnet", "--set", "overlapping_pooling=x"), ("overlapping_pooling=x", "true or false")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_is_wrong_is_named_and_nothing_is_left(
    tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    code = 2 if "--set" in arguments else 1
    assert_clean_failure(toolkit(*arguments, cwd=tmp_path), *words, code=code)
    assert list(tmp_path.iterdir()) == []


def test_a_setting_without_a_value_is_wrong_usage(tmp_path: Path) -> None:
    done = toolkit("summary", "lenet", "--set", "activation", cwd=tmp_path)
    assert done.returncode == 2
    assert "NAME=VALUE" in done.stderr


def test_a_bundle_has_no_options(lenet_bundle: Path, tmp_path: Path) -> None:
    for option in (("--set", "activation=relu"), ("--random-weights",)):
        done = toolkit("build", str(lenet_bundle), *option, cwd=tmp_path)
        assert done.returncode == 2
        assert f"{option[0]} does not go with a bundle" in done.stderr


def test_an_export_with_other_options(tmp_path: Path) -> None:
    line = ("export", "lenet", "--set", "activation=relu", "--set", "normalization=lrn", "--random-weights", "--json")
    done = toolkit(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    data = (tmp_path / answer["file"]).read_bytes()
    assert b"LRN" in data and b"Relu" in data and b"Tanh" not in data


def test_summary_of_alexnet_with_its_options(tmp_path: Path) -> None:
    done = toolkit("summary", "alexnet", "--set", "groups=1", "--json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert (answer["parameters"], answer["options"]["groups"]) == (62_378_344, 1)
    shown = toolkit("summary", "alexnet-owt", cwd=tmp_path).stdout
    assert "61,100,840" in shown and "dropout=0.5" in shown
