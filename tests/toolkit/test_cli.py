"""The command line as a whole: help, the table of commands, missing packages, start-up."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from importlib import import_module
from importlib.metadata import metadata, version
from pathlib import Path

import pytest

from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, toolkit, without_packages
from toolkit.cli import COMMANDS, EXTRAS, with_remedy
from toolkit.options import BACKEND_NAMES

HEAVY = ("torch", "onnx", "onnxscript", "onnxsim", "onnxruntime", "openvino", "safetensors")


@pytest.mark.parametrize("arguments", [[], *[[name] for name in COMMANDS]], ids=lambda a: " ".join(a) or "toolkit")
def test_help_works_with_the_base_install_alone(tmp_path: Path, arguments: list[str]) -> None:
    done = toolkit(*arguments, "--help", cwd=tmp_path, PYTHONPATH=without_packages(tmp_path, *HEAVY))
    assert done.returncode == 0, done.stderr
    assert "Usage: toolkit" in done.stdout
    assert done.stderr == ""


def test_every_option_has_a_help_text() -> None:
    for name in COMMANDS:
        for parameter in import_module(f"toolkit.commands.{name}").command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{name} {parameter.opts}"


def test_an_error_of_a_copy_names_where_to() -> None:
    told = with_remedy(OSError(errno.ENOSPC, "No space left on device", "a/model.onnx", None, "b/model.onnx"), "build")
    assert told and told.message == "a/model.onnx to b/model.onnx: No space left on device"


def test_whoever_starts_it_may_have_closed_its_output_and_errors(tiny_bundle: Path, tmp_path: Path) -> None:
    picture = ROOT / "examples" / "digits" / "3-dark-on-light.png"
    arguments = ("classify", tiny_bundle, picture, "-o", "answers.csv")
    done = toolkit(*arguments, cwd=tmp_path, first=lambda: [*map(os.close, (0, 1, 2))] and None)
    assert done.returncode == 0 and len((tmp_path / "answers.csv").read_text().splitlines()) == 2


def test_a_wrong_command_gets_the_nearest_one(tmp_path: Path) -> None:
    done = toolkit("biuld", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'build'?" in done.stderr


def test_version(tmp_path: Path) -> None:
    assert toolkit("--version", cwd=tmp_path).stdout == f"toolkit {version('edge-deployment-toolkit')}\n"


def test_backend_names_are_those_of_the_runtime() -> None:
    from runtime.backend import BACKENDS

    assert list(BACKENDS) == list(BACKEND_NAMES)


def test_every_extra_that_a_message_names_exists() -> None:
    assert set(EXTRAS.values()) <= set(metadata("edge-deployment-toolkit").get_all("Provides-Extra") or ())


@pytest.mark.parametrize("name", ["classify", "bench", "verify"])
def test_opening_a_bundle_needs_neither_torch_nor_onnx(tiny_int8_bundle: Path, tmp_path: Path, name: str) -> None:
    path = without_packages(tmp_path, "torch", "onnx", "onnxscript", "onnxsim", "safetensors")
    picture = [Path(__file__).parents[2] / "examples/digits/3-dark-on-light.png"] if name == "classify" else []
    extra = ["--seconds", "0.1"] if name == "bench" else []
    done = toolkit(name, tiny_int8_bundle, *picture, *extra, "--json", cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr


def test_the_engine_of_a_bundle_that_is_not_installed_is_never_replaced(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    path = without_packages(tmp_path, "openvino")
    done = toolkit("verify", tiny_int8_bundle, cwd=tmp_path, PYTHONPATH=path)
    assert_clean_failure(done, "openvino", "pip install")
    other = toolkit("verify", tiny_int8_bundle, "--backend", "onnxruntime", cwd=tmp_path, PYTHONPATH=path)
    assert other.returncode == 0, other.stderr


def test_help_imports_nothing_but_click() -> None:
    script = "import sys; from toolkit.cli import run; run(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'(\w+)'", done.stdout.splitlines()[-1]))
    assert not loaded & {*HEAVY, "numpy", "cv2", "rich", "msgspec"}


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = toolkit("verify", "nowhere", "--debug", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_terminal_codes_in_a_name_do_not_reach_the_terminal(tmp_path: Path) -> None:
    done = toolkit("verify", "a\033[31mb", cwd=tmp_path)
    assert_clean_failure(done, r"a\x1b[31mb is not a bundle")
    assert "\033" not in done.stderr


def test_whoever_reads_the_output_may_leave(tiny_int8_bundle: Path, tmp_path: Path) -> None:
    """As `head` does: 141, which the shell has for a program that SIGPIPE ended, and no word."""
    bundle = str(tiny_int8_bundle)
    for arguments in (
        ["inspect", bundle],
        ["inspect", "--json", bundle],
        ["verify", bundle],
        ["--help"],
        ["--version"],
    ):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*TOOLKIT, *arguments], env=environment(), cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")


def test_an_interrupt_while_python_imports_brings_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)\n")
    done = toolkit("--version", cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_training_without_pytorch_names_its_own_extra(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = without_packages(tmp_path, "torch")
    done = toolkit("train", "lenet", "--data", "data", cwd=tmp_path, PYTHONPATH=path)
    assert_clean_failure(done, "the package torch", "pip install '.[train]'")
