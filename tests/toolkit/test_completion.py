"""Completion of the command line: what a shell is told, and a real bash that asks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import TOOLKIT, environment, toolkit
from toolkit.cli import COMMANDS

INSTALLED = Path(sys.executable).with_name("toolkit")
# `compopt` works only while bash completes, so that here it says what it was told.
ASK = """
compopt() { echo "compopt $1 $2"; }
source <("$TOOLKIT" completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_toolkit_completion "$TOOLKIT"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words: str, cwd: Path, shell: str = "bash") -> list[list[str]]:
    """What click's protocol answers about the last word: fields of a line each."""
    done = subprocess.run(
        TOOLKIT,
        cwd=cwd,
        env=environment(
            _TOOLKIT_COMPLETE=f"{shell}_complete",
            COMP_WORDS=" ".join(("toolkit", *words)),
            COMP_CWORD=str(len(words)),
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return [line.split(",", 1) for line in done.stdout.splitlines() if line]


def test_commands(tmp_path: Path) -> None:
    assert complete("", cwd=tmp_path) == [["plain", name] for name in COMMANDS]
    assert complete("build", cwd=tmp_path) == [["plain", "build"]]


def test_options_of_a_command(tmp_path: Path) -> None:
    assert complete("bench", "--b", cwd=tmp_path) == [
        ["plain", "--batch"],
        ["plain", "--batches"],
        ["plain", "--backend"],
    ]
    assert ["plain", "--version"] in complete("--", cwd=tmp_path)


def test_choices_of_an_option(tmp_path: Path) -> None:
    assert complete("build", "lenet", "--target", "o", cwd=tmp_path) == [
        ["plain", "openvino"],
        ["plain", "onnxruntime"],
    ]


@pytest.mark.parametrize("name", ["build", "train"])
def test_a_model_is_a_name_of_the_zoo_or_a_folder(tmp_path: Path, name: str) -> None:
    assert complete(name, "len", cwd=tmp_path) == [["dir", "len"], ["plain", "lenet"], ["plain", "lenet-28"]]
    assert complete(name, "alexnet-", cwd=tmp_path)[1:] == [["plain", "alexnet-bn"], ["plain", "alexnet-owt"]]
    assert complete(name, "builds/", cwd=tmp_path) == [["dir", "builds/"]]


def test_files_and_folders(tmp_path: Path) -> None:
    assert complete("build", "lenet", "--data", "x", cwd=tmp_path) == [["dir", "x"]]
    assert complete("build", "lenet", "--weights", "x", cwd=tmp_path) == [["file", "x"]]
    assert complete("build", "alexnet-owt", "--weights", "torch", cwd=tmp_path) == [
        ["file", "torch"],
        ["plain", "torchvision"],
    ]
    assert complete("classify", "bundle", "x", cwd=tmp_path) == [["file", "x"]]


def test_a_wrong_command_completes_to_nothing_and_says_nothing(tmp_path: Path) -> None:
    assert complete("biuld", "x", cwd=tmp_path) == []


def test_completing_a_model_imports_nothing_heavy() -> None:
    script = (
        "import sys; from toolkit.cli import run\n"
        "try: run([])\n"
        "except SystemExit: print(*{name.split('.')[0] for name in sys.modules})"
    )
    words = {"_TOOLKIT_COMPLETE": "bash_complete", "COMP_WORDS": "toolkit build ", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(**words), capture_output=True, text=True, check=True
    )
    answer, loaded = done.stdout.splitlines()[:-1], done.stdout.splitlines()[-1].split()
    assert "plain,lenet" in answer
    assert {"numpy", "cv2", "torch", "onnx", "onnxruntime", "openvino", "rich"}.isdisjoint(loaded)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_all_that_is_printed(tmp_path: Path, shell: str) -> None:
    done = toolkit("completion", shell, cwd=tmp_path)
    assert done.returncode == 0
    assert f"_TOOLKIT_COMPLETE={shell}_complete" in done.stdout
    assert done.stderr == ""


def test_another_shell_is_wrong_usage(tmp_path: Path) -> None:
    assert toolkit("completion", "tcsh", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["toolkit", "ins"], ["inspect"]),
        (["toolkit", "build", "le"], ["compopt -o plusdirs", "lenet", "lenet-28"]),
        (["toolkit", "build", "lenet", "--ev"], ["--eval-data"]),
        (["toolkit", "verify", "le"], ["compopt -o default", ""]),
    ],
    ids=lambda value: value[-1],
)
def test_a_real_bash_asks_the_installed_command(tmp_path: Path, words: list[str], answer: list[str]) -> None:
    assert INSTALLED.exists(), "the toolkit is not installed: pip install -e ."
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", *words],
        cwd=tmp_path,
        env=environment(TOOLKIT=str(INSTALLED)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == answer, done.stderr
    assert done.stderr == ""


def test_the_help_names_a_place_for_each_script(tmp_path: Path) -> None:
    text = toolkit("completion", "--help", cwd=tmp_path).stdout
    assert set(re.findall(r"toolkit completion (\w+) +> ~/", text)) == {"bash", "zsh", "fish"}
