"""Disks that are full or may not be written: a message that says so, and nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.bundle import Bundle
from runtime.folder import write_atomically, write_together
from tests.command import ROOT, TOOLKIT, assert_clean_failure, environment, toolkit

PAGE = 4096
DIGIT = ROOT / "examples" / "digits" / "3-dark-on-light.png"


def mount(folder: Path, options: str) -> bool:
    """Mount a file system in memory; False where we may not."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is unmounted at the end, whatever was mounted there."""
    yield tmp_path / "disk"
    subprocess.run(["umount", str(tmp_path / "disk")], capture_output=True)


def limited(*arguments: object, cwd: Path, size: int | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run `toolkit`, unable to write files of more than `size` bytes: a full disk for where none can be mounted."""

    def limit() -> None:
        if size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return toolkit(*arguments, cwd=cwd, first=limit, **extra)


def pages(path: Path) -> int:
    return -(-path.stat().st_size // PAGE)


@pytest.mark.parametrize("missing", ["nearly all", "half", "one page"])
@pytest.mark.parametrize("force", [False, True])
def test_a_build_that_finds_no_space_leaves_what_was_there(
    lenet_bundle: Path, tmp_path: Path, disk: Path, missing: str, force: bool
) -> None:
    needed = sum(pages(file) for file in lenet_bundle.iterdir())
    room = {"nearly all": 2, "half": needed // 2, "one page": needed - 1}[missing]
    size = None
    if not mount(disk, f"size={(room + needed * force) * PAGE}"):
        disk.mkdir()
        size = {"nearly all": 100, "half": 10_000, "one page": 50_000}[missing]
    if force:
        shutil.copytree(lenet_bundle, disk / "out")
    flags = ["--target", "onnxruntime", *["--force"] * force]
    done = limited("build", lenet_bundle, "-o", disk / "out", *flags, cwd=tmp_path, size=size)
    assert_clean_failure(done, "File too large" if size else "No space left", "space")
    assert os.listdir(disk) == (["out"] if force else [])
    if force:
        assert Bundle.open(disk / "out").manifest == Bundle.open(lenet_bundle).manifest


def test_a_build_into_what_just_suffices_is_whole(lenet_bundle: Path, tmp_path: Path, disk: Path) -> None:
    """The counterpart: the room above is short by that one page."""
    needed = sum(pages(file) for file in lenet_bundle.iterdir())
    if not mount(disk, f"size={(needed + 1) * PAGE}"):
        disk.mkdir()
    done = toolkit("build", lenet_bundle, "-o", disk / "out", "--target", "onnxruntime", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    Bundle.open(disk / "out")


@pytest.mark.parametrize("kilobytes", [0, 8])
def test_no_space_for_temporary_files_stops_a_rebuild_or_does_not_matter(
    lenet_bundle: Path, tmp_path: Path, disk: Path, kilobytes: int
) -> None:
    if not mount(disk, "size=16k"):
        disk.mkdir()
    (disk / "junk").write_bytes(b"x" * (16 - kilobytes) * 1024)
    done = toolkit("build", lenet_bundle, "-o", "out", cwd=tmp_path, TMPDIR=str(disk))
    if done.returncode:
        assert_clean_failure(done, "space")
    assert (tmp_path / "out").exists() == (done.returncode == 0)
    assert sorted(os.listdir(disk)) == ["junk"]


def test_no_space_for_temporary_files_stops_a_build(tmp_path: Path, disk: Path) -> None:
    (tmp_path / "tmp").mkdir()
    size = None if mount(disk, "size=64k") else 50_000
    disk.mkdir(exist_ok=True)
    done = limited("build", "lenet", "--int8", "-o", "out", cwd=tmp_path, size=size, TMPDIR=str(disk))
    assert_clean_failure(done, "File too large" if size else "No space left", "space")
    assert sorted(os.listdir(tmp_path)) == ["disk", "tmp"]
    assert os.listdir(disk) == []


def test_a_file_that_finds_no_space_keeps_its_content(disk: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limited_here = not mount(disk, "size=16k")
    disk.mkdir(exist_ok=True)
    write_atomically(disk / "report.json", b"old")
    try:
        if limited_here:
            resource.setrlimit(resource.RLIMIT_FSIZE, (16384, before[1]))
        with pytest.raises(OSError, match=r"(No space left|File too large).*report\.json'"):
            write_atomically(disk / "report.json", b"new" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (disk / "report.json").read_bytes() == b"old"
    assert os.listdir(disk) == ["report.json"]


@pytest.mark.parametrize("name", ["tiny", "new"])
def test_a_model_for_triton_that_finds_no_space_leaves_what_was_there(
    tiny_int8_bundle: Path, tmp_path: Path, disk: Path, name: str
) -> None:
    """The model and its labels find room, what warms it up does not."""
    size = None if mount(disk, "size=64k") else 1000
    disk.mkdir(exist_ok=True)
    write_together({disk / "models/tiny/config.pbtxt": b"old", disk / "models/tiny/1/model.onnx": b"old"})
    if size is None:
        room = pages(tiny_int8_bundle / "model.onnx") + 1
        (disk / "junk").write_bytes(b"x" * (16 - 2 - room) * PAGE)
    arguments = ("export", tiny_int8_bundle, "--format", "triton", "--name", name, "-o", disk / "models", "--force")
    done = limited(*arguments, cwd=tmp_path, size=size)
    assert_clean_failure(done, "File too large" if size else "No space left", "space")
    left = {str(path.relative_to(disk / "models")): path for path in (disk / "models").rglob("*")}
    assert sorted(left) == ["tiny", "tiny/1", "tiny/1/model.onnx", "tiny/config.pbtxt"]
    assert {path.read_bytes() for path in left.values() if path.is_file()} == {b"old"}


def test_answers_that_find_no_space_name_their_file(lenet_bundle: Path, tmp_path: Path, disk: Path) -> None:
    size = None if mount(disk, "size=16k") else 100
    disk.mkdir(exist_ok=True)
    if size is None:
        (disk / "junk").write_bytes(b"x" * 16 * 1024)
    done = limited("classify", lenet_bundle, DIGIT, "-o", disk / "answers.csv", cwd=tmp_path, size=size)
    assert_clean_failure(done, "File too large" if size else "No space left", str(disk / "answers.csv.part"))


@pytest.mark.parametrize("command", ["build", "train"])
def test_a_place_that_may_not_be_written_says_so(lenet_bundle: Path, tmp_path: Path, disk: Path, command: str) -> None:
    if not mount(disk, "size=1m,ro"):  # root may write into a folder without the right
        disk.mkdir(mode=0o555)
    if command == "build":
        done = toolkit("build", lenet_bundle, "-o", disk / "out", cwd=tmp_path)
    else:
        done = toolkit("train", "lenet", "--data", tmp_path, "-o", disk / "deep" / "w.safetensors", cwd=tmp_path)
    assert_clean_failure(done, str(disk))
    assert os.listdir(disk) == []


@pytest.mark.parametrize("command", ["build", "classify", "bench", "verify"])
def test_no_space_for_standard_output_is_an_error_without_traceback(
    lenet_bundle: Path, tmp_path: Path, command: str
) -> None:
    more = {"build": ["-o", "out", "--target", "onnxruntime"], "classify": [DIGIT], "bench": ["--seconds", 0.1]}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TOOLKIT, command, str(lenet_bundle), *map(str, more.get(command, [])), "--json"],
            cwd=tmp_path,
            env=environment(PYTHONUNBUFFERED=""),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr and "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    if command == "build":
        assert json.loads((tmp_path / "out" / "manifest.json").read_bytes())["digest"]
        Bundle.open(tmp_path / "out")  # it was whole before anything was said
