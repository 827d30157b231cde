"""The project's own files agree with each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

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
