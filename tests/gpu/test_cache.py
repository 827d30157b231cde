"""What a machine keeps for itself: measurements of builds, and kernels that TensorRT for RTX compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.backends.tensorrt import backend as backend_module
from runtime.backends.tensorrt.events import Request
from runtime.cache import read_entry, write_entry
from tests.gpu.target import Target

pytestmark = pytest.mark.gpu


def cut_off(entry: Path) -> None:
    """As a full disk leaves a file: the digest finds it."""
    entry.write_bytes(entry.read_bytes()[:-1])


def replaced(entry: Path) -> None:
    """As another release might write it: the digest is right, and the product has to find it."""
    write_entry(entry, b"measured by somebody else " * 100)


DAMAGES = {"cut off": cut_off, "replaced": replaced}


def entries(folder: Path) -> list[Path]:
    """The files of the cache."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def measuring(target: Target) -> Target:
    """A product that measures kernels while it builds."""
    if target.is_rtx:
        pytest.skip("TensorRT for RTX measures nothing while it builds")
    return target


def build(target: Target, cache: Path) -> None:
    """Build lenet in INT8, and check its answers."""
    model = target.models["lenet"]
    target.check(target.compile(model.graphs["int8"].path, model.spec, "int8", cache), "lenet", "int8")


def test_a_second_build_begins_with_the_measurements_of_the_first(
    measuring: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []
    build_plan = backend_module.build_plan

    def watch(request: Request, *arguments: Any, **options: Any) -> Any:
        given.append(Path(request.timing_cache).read_bytes())
        return build_plan(request, *arguments, **options)

    monkeypatch.setattr(backend_module, "build_plan", watch)
    build(measuring, tmp_path)
    (entry,) = entries(tmp_path)
    kept = read_entry(entry)
    build(measuring, tmp_path)
    assert given[0] == b"" and kept and given[1] == kept
    assert entries(tmp_path) == [entry] and read_entry(entry)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_measurements_are_made_anew(measuring: Target, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    build(measuring, tmp_path)
    (entry,) = entries(tmp_path)
    damage(entry)
    damaged = entry.read_bytes()
    build(measuring, tmp_path)
    assert entries(tmp_path) == [entry]
    assert read_entry(entry) and entry.read_bytes() != damaged


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_compiled_kernels_are_kept_and_damage_does_no_harm(
    target: Target, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    if not target.is_rtx:
        pytest.skip("TensorRT compiles its kernels while it builds")
    file = target.plan("lenet", "int8")
    target.check(file, "lenet", "int8", cache_dir=tmp_path)
    (entry,) = entries(tmp_path)
    assert read_entry(entry)
    target.check(file, "lenet", "int8", cache_dir=tmp_path)
    damage(entry)
    target.check(file, "lenet", "int8", cache_dir=tmp_path)
    assert entries(tmp_path) == [entry] and read_entry(entry)
