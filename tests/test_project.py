"""The project's own files agree with each other."""

from __future__ import annotations

import ast
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import tomllib

from tests.check_release import complaints, tracked

ROOT = Path(__file__).parents[1]
PACKAGES = ("toolkit", "export", "calibration", "runtime")


def first_match(pattern: str, file: str) -> str:
    match = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert match, f"{file} has no line like {pattern}"
    return match[1]


def command_names() -> list[str]:
    """The keys of `toolkit.cli.COMMANDS`, read without importing it."""
    for node in ast.parse((ROOT / "toolkit" / "cli.py").read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "COMMANDS" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict)
            return [ast.literal_eval(key) for key in node.value.keys if key is not None]
    raise AssertionError("toolkit/cli.py has no COMMANDS")


def test_the_changelog_starts_with_the_version_of_the_project() -> None:
    assert first_match(r"^## \[(.+?)\]", "CHANGELOG.md") == first_match(r'^version = "(.+)"', "pyproject.toml")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert (ROOT / package / "__init__.py").is_file()


def test_every_folder_of_modules_is_a_package() -> None:
    """setuptools leaves a folder without an `__init__.py` out of the wheel."""
    folders = {module.parent for package in PACKAGES for module in (ROOT / package).rglob("*.py")}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_every_file_of_a_package_is_in_the_wheel() -> None:
    """What is no module has to match a pattern of package-data."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    matched = {
        path.relative_to(ROOT).as_posix()
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package).glob(f"{pattern}/*" if pattern.endswith("**") else pattern)
    }
    assert {name for name in tracked() if not name.endswith(".py")} - matched == set()


def write_release(folder: Path, names: list[str]) -> None:
    """A wheel and an sdist of empty files."""
    (folder / "empty").touch()
    with zipfile.ZipFile(folder / "a.whl", "w") as wheel, tarfile.open(folder / "a.tar.gz", "w:gz") as sdist:
        for name in names:
            wheel.writestr(name, "")
            sdist.add(folder / "empty", f"a-1/{name}")
        for name in ("LICENSE", "NOTICE", "README.md", "pyproject.toml", "PKG-INFO"):
            sdist.add(folder / "empty", f"a-1/{name}")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["runtime/a.py", "a.dist-info/RECORD"], []),
        (["a.dist-info/RECORD"], ["a.whl lacks runtime/a.py", "a.tar.gz lacks runtime/a.py"]),
        (["runtime/a.py", "junk.log"], ["a.whl has junk.log", "a.tar.gz has junk.log"]),
    ],
)
def test_the_check_of_a_release_finds(names: list[str], words: list[str], tmp_path: Path) -> None:
    write_release(tmp_path, names)
    found = [line for line in complaints(tmp_path, {"runtime/a.py"}) if "dist-info" not in line]
    assert len(found) == len(words)
    assert all(line.startswith(word) for line, word in zip(found, words, strict=True))


def test_the_readme_mentions_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    names = command_names()
    assert names
    assert [name for name in names if f"toolkit {name}" not in readme] == []


def test_notice_names_the_data_that_ships() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for folder in ("runtime/data/mnist", "examples/digits"):
        assert folder in notice
        assert (ROOT / folder).is_dir()


def runtime_tests() -> list[str]:
    """What `make test-runtime` runs."""
    done = subprocess.run(["make", "-pn", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    match = re.search(r"^RUNTIME_TESTS := (.+)$", done.stdout, re.MULTILINE)
    assert match
    return match[1].split()


def test_every_test_that_needs_no_pytorch_runs_on_the_oldest_python() -> None:
    """A test of `toolkit` that names neither PyTorch nor lenet belongs into RUNTIME_TESTS of the Makefile."""
    left_out = {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/toolkit/test_*.py")} - set(runtime_tests())
    light = [name for name in left_out if not re.search(r"\b(torch|lenet\w*)\b", (ROOT / name).read_text())]
    assert light == []
    assert "tests/runtime" in runtime_tests()


def test_the_oldest_libraries_that_are_tested_are_the_lower_bounds() -> None:
    tested = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints-oldest.txt").read_text(), re.MULTILINE))
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:dependencies|cpu|test) = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    bounds = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', " ".join(lists)))
    assert {"numpy", "openvino", "pytest-xdist"} <= set(bounds)
    assert {name for name, bound in bounds.items() if not f"{tested[name]}.".startswith(f"{bound}.")} == set()
