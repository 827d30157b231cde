"""Every name, method and keyword of TensorRT that the backend uses exists in every release that it must work with.

Most of them cannot be installed where the tests run, so mypy reads the backend with stubs of each (see `checking.py`).
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.runtime.tensorrt.checking import errors_with, features, visible
from tests.runtime.tensorrt.stubs import RELEASES, all_names, load_api, module_lines

ROOT = Path(__file__).parents[3]
SAMPLE = "tests/runtime/tensorrt/sample.py"
BACKEND = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "runtime/backends/tensorrt").rglob("*.py"))

per_release = pytest.mark.parametrize("release", RELEASES)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def errors(release: str) -> list[str]:
    """What mypy says with the stubs of a release about the backend and the sample, in one run for both tests."""
    pytest.importorskip("mypy", reason="mypy, which is in the dev extra, reads the code")
    with TemporaryDirectory() as folder:
        return errors_with(load_api(release), {path: read(path) for path in (*BACKEND, SAMPLE)}, Path(folder))


@per_release
def test_the_backend_uses_only_what_a_release_has(release: str) -> None:
    assert [error for error in errors(release) if not error.startswith(SAMPLE)] == []


@per_release
def test_what_is_wrong_in_a_release_is_found(release: str) -> None:
    wrong = {
        number
        for number, line in enumerate(read(SAMPLE).splitlines(), start=1)
        if (match := re.search("# wrong: (.+)", line)) and {release, "all"} & set(match[1].split())
    }
    found = [error for error in errors(release) if error.startswith(SAMPLE)]
    assert {int(error.split(":")[1]) for error in found} == wrong, found


def test_what_the_backend_asks_for_exists_somewhere() -> None:
    """A misspelt name in a `hasattr` would hide what stands behind it from every release."""
    known = set().union(*(all_names(load_api(release)) for release in RELEASES))
    asked = {name for path in BACKEND for name in features(read(path))}
    assert asked - known == set()


@per_release
def test_a_stub_has_every_name_of_its_release(release: str) -> None:
    api = load_api(release)
    stub = {node.name: node for node in ast.parse("\n".join(module_lines(api))).body if hasattr(node, "name")}
    assert stub.keys() == api.keys()
    for name, entry in api.items():
        for members in [entry[kind] for kind in ("enum", "class") if kind in entry]:
            text = ast.unparse(stub[name])
            assert [one for one in members if not re.search(rf"\b{one}\b", text)] == []


def test_the_copy_for_mypy_has_the_same_lines() -> None:
    source = read(SAMPLE)
    lines = visible(source).splitlines()
    assert lines[-2:] == ["import tensorrt as trt", "from _features import hasattr"]
    for before, after in zip(source.splitlines(), lines, strict=False):
        assert re.sub(r"\w+\._?trt\b(?! =)", "trt", before) == after.replace("trt_", "trt")
