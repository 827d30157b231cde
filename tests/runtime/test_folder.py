"""A folder appears whole, replaces another whole, or not at all."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime import folder as module
from runtime.errors import BundleError, BundleExistsError
from runtime.folder import Draft, draft, read_at_most, write_atomically
from tests.command import environment

HOLD = """
import sys, time
from pathlib import Path
from runtime.folder import draft
with draft(Path(sys.argv[1]), force="--force" in sys.argv) as folder:
    (folder.path / "model.onnx").write_bytes(b"half")
    (folder.path / "sub").mkdir()
    (folder.path / "sub" / "junk").write_bytes(b"x")
    print("held", flush=True)
    sys.stdin.read()
"""


MANIFEST = '{"files": {"model.onnx": {}, "calibration.json": {}}}'


def fill(folder: Draft, content: str) -> None:
    (folder.path / "manifest.json").write_text(MANIFEST)
    (folder.path / "model.onnx").write_text(content)


def make(target: Path, content: str, *, force: bool = False) -> None:
    with draft(target, force=force) as folder:
        fill(folder, content)
        folder.publish()


def contents(target: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in target.iterdir()}


def whole(content: str) -> dict[str, str]:
    return {"manifest.json": MANIFEST, "model.onnx": content}


@contextmanager
def other_process(target: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that is building `target` until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(target), *arguments],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(params=["exchange", "no exchange"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exchange of two folders in one rename, and on a system that has none."""
    if request.param == "no exchange":
        monkeypatch.setattr(module, "exchange", lambda one, other: False)


def test_nothing_is_seen_before_the_folder_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bundle"
    with draft(target, force=False) as folder:
        fill(folder, "new")
        assert not target.exists()
        assert folder.target == target
        folder.publish()
        assert contents(target) == whole("new")
    assert os.listdir(target.parent) == ["bundle"]


def test_a_draft_that_is_not_published_leaves_nothing(tmp_path: Path) -> None:
    with draft(tmp_path / "bundle", force=False) as folder:
        fill(folder, "new")
    assert os.listdir(tmp_path) == []


def test_a_relative_target_is_one_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with draft(Path("bundle"), force=False) as folder:
        fill(folder, "new")
        monkeypatch.chdir("/")
        folder.publish()
    assert contents(tmp_path / "bundle") == whole("new")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), draft(tmp_path / "bundle", force=False) as folder:
        fill(folder, "new")
        raise error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_the_folder_that_was_to_be_replaced(tmp_path: Path, error: type[BaseException]) -> None:
    make(tmp_path / "bundle", "old")
    with pytest.raises(error), draft(tmp_path / "bundle", force=True) as folder:
        fill(folder, "new")
        raise error
    assert contents(tmp_path / "bundle") == whole("old")
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.usefixtures("either_way")
def test_force_replaces_a_bundle_whole(tmp_path: Path) -> None:
    make(tmp_path / "bundle", "old")
    (tmp_path / "bundle" / "calibration.json").write_text("old")
    make(tmp_path / "bundle", "new", force=True)
    assert contents(tmp_path / "bundle") == whole("new")
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.usefixtures("either_way")
def test_a_second_draft_can_follow_at_once_even_before_the_first_block_ends(tmp_path: Path) -> None:
    with draft(tmp_path / "bundle", force=False) as first:
        fill(first, "one")
        first.publish()
        make(tmp_path / "bundle", "two", force=True)
    assert contents(tmp_path / "bundle") == whole("two")
    make(tmp_path / "bundle", "three", force=True)
    assert contents(tmp_path / "bundle") == whole("three")
    assert os.listdir(tmp_path) == ["bundle"]


def test_without_force_what_is_there_is_refused_and_kept(tmp_path: Path) -> None:
    make(tmp_path / "bundle", "old")
    with pytest.raises(BundleExistsError, match="is there already") as caught:
        make(tmp_path / "bundle", "new")
    assert "--force" in caught.value.hint
    assert contents(tmp_path / "bundle") == whole("old")
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("what", ["empty folder", "folder", "file", "link to a bundle", "dangling link"])
def test_force_replaces_nothing_but_a_bundle(tmp_path: Path, what: str) -> None:
    target = tmp_path / "target"
    make(tmp_path / "bundle", "old")
    if what.endswith("folder"):
        target.mkdir()
        if what == "folder":
            (target / "thesis.txt").write_text("precious")
    elif what == "file":
        target.write_text("precious")
    else:
        target.symlink_to(tmp_path / ("bundle" if what == "link to a bundle" else "gone"))
    before = os.lstat(target)
    with pytest.raises(BundleExistsError, match="not a bundle") as caught:
        make(target, "new", force=True)
    assert caught.value.hint
    assert os.lstat(target).st_ino == before.st_ino
    if what == "folder":
        assert contents(target) == {"thesis.txt": "precious"}
    assert contents(tmp_path / "bundle") == whole("old")
    assert sorted(os.listdir(tmp_path)) == ["bundle", "target"]


def test_what_came_to_be_there_in_the_meantime_is_not_replaced_without_force(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with pytest.raises(BundleExistsError), draft(target, force=False) as folder:
        fill(folder, "new")
        target.mkdir()
        (target / "thesis.txt").write_text("precious")
        folder.publish()
    assert contents(target) == {"thesis.txt": "precious"}
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("force", [False, True])
def test_a_second_build_fails_at_once_and_leaves_the_first_alone(tmp_path: Path, force: bool) -> None:
    target = tmp_path / "bundle"
    with other_process(target, *["--force"] * force):
        with pytest.raises(BundleExistsError, match="another build") as caught:
            make(target, "new", force=force)
        assert caught.value.hint
        assert (tmp_path / ".bundle.building" / "model.onnx").read_bytes() == b"half"
        make(tmp_path / "other", "other")  # beside it there is room
    assert contents(tmp_path / "other") == whole("other")


def test_an_interrupted_process_leaves_nothing(tmp_path: Path) -> None:
    with other_process(tmp_path / "bundle") as process:
        process.send_signal(signal.SIGINT)
        process.wait(10)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_build_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    with other_process(tmp_path / "bundle") as process:
        process.kill()
        process.wait(10)
    assert (tmp_path / ".bundle.building" / "sub" / "junk").exists()
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".bundle.building" / "link").symlink_to(tmp_path)
    make(tmp_path / "bundle", "new")
    assert contents(tmp_path / "bundle") == whole("new")
    assert sorted(os.listdir(tmp_path)) == ["bundle", "precious"]


def test_a_bundle_that_was_moved_aside_when_its_replacement_died_comes_back(tmp_path: Path) -> None:
    make(tmp_path / ".bundle.replaced", "old")
    with pytest.raises(BundleExistsError, match="is there already"):
        make(tmp_path / "bundle", "new")
    assert contents(tmp_path / "bundle") == whole("old")
    assert os.listdir(tmp_path) == ["bundle"]


def test_a_bundle_that_was_replaced_but_not_yet_removed_is_removed(tmp_path: Path) -> None:
    make(tmp_path / "bundle", "old")
    make(tmp_path / ".bundle.replaced", "older")
    make(tmp_path / "bundle", "new", force=True)
    assert contents(tmp_path / "bundle") == whole("new")
    assert os.listdir(tmp_path) == ["bundle"]


def test_a_death_between_the_two_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "bundle", "old")
    monkeypatch.setattr(module, "exchange", lambda one, other: False)
    rename = os.rename

    def second_fails(source: Path, target: Path) -> None:
        if target == tmp_path / "bundle":
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", second_fails)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "bundle", "new", force=True)
    assert contents(tmp_path / ".bundle.replaced") == whole("old")
    make(tmp_path / "bundle", "newer", force=True)
    assert contents(tmp_path / "bundle") == whole("newer")
    assert os.listdir(tmp_path) == ["bundle"]


def test_the_draft_is_a_sibling_so_that_the_last_step_is_one_rename(tmp_path: Path) -> None:
    with draft(tmp_path / "bundle", force=False) as folder:
        assert folder.path == tmp_path / ".bundle.building"
        inode = folder.path.stat().st_ino
        fill(folder, "new")
        folder.publish()
    assert (tmp_path / "bundle").stat().st_ino == inode


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is Linux's")
def test_linux_exchanges_two_folders_in_one_step(tmp_path: Path) -> None:
    make(tmp_path / "one", "1")
    make(tmp_path / "two", "2")
    if not module.exchange(tmp_path / "one", tmp_path / "two"):
        pytest.skip("this file system cannot")
    assert contents(tmp_path / "one") == whole("2")
    assert contents(tmp_path / "two") == whole("1")
    with pytest.raises(FileNotFoundError):
        module.exchange(tmp_path / "one", tmp_path / "gone")


@pytest.mark.parametrize("where", ["below a file", "beside a file that holds the draft's name", "too long", "root"])
def test_a_place_that_cannot_be_written_is_an_error_with_a_hint(tmp_path: Path, where: str) -> None:
    target = tmp_path / "bundle"
    if where == "below a file":
        (tmp_path / "file").write_text("")
        target = tmp_path / "file" / "deep" / "bundle"
    elif where.startswith("beside"):
        (tmp_path / ".bundle.building").write_text("not a folder")
    elif where == "too long":
        target = tmp_path / ("x" * 300)
    elif where == "root":
        target = Path("/")
    with pytest.raises(BundleError) as caught:
        make(target, "new")
    assert where != "below a file" or "a file is where a folder is needed" in caught.value.message
    assert "-o" in caught.value.hint
    assert str(target) in caught.value.message


def test_a_link_in_the_drafts_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("kept")
    (tmp_path / ".bundle.building").symlink_to(tmp_path / "precious")
    with pytest.raises(BundleError):
        make(tmp_path / "bundle", "new")
    assert contents(tmp_path / "precious") == {"thesis.txt": "kept"}


def test_a_lock_that_another_descriptor_holds_counts_in_the_same_process_too(tmp_path: Path) -> None:
    building = tmp_path / ".bundle.building"
    building.mkdir()
    descriptor = os.open(building, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(BundleExistsError, match="another build"):
            make(tmp_path / "bundle", "new")
    finally:
        os.close(descriptor)
    make(tmp_path / "bundle", "new")


def test_a_file_is_replaced_in_one_step_or_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"newer")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / f".report.json.{os.getpid()}.tmp").symlink_to(tmp_path / "precious")
    write_atomically(tmp_path / "report.json", b"new")
    assert (tmp_path / "precious").read_text() == "kept"
    assert (tmp_path / "report.json").read_bytes() == b"new" and not (tmp_path / "report.json").is_symlink()


def test_no_more_of_a_file_is_read_than_it_may_have(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"0123")
    assert read_at_most(tmp_path / "labels.txt", 4) == b"0123"
    for endless in (tmp_path / "labels.txt", Path("/dev/zero")):
        with pytest.raises(OSError, match="File too large"):
            read_at_most(endless, 3)


@pytest.mark.parametrize("name", ["notes.txt", "inner"])
def test_force_never_removes_what_is_not_part_of_the_bundle(tmp_path: Path, name: str) -> None:
    make(tmp_path / "b", "old")
    if name == "inner":
        (tmp_path / "b" / name).mkdir()
    else:
        (tmp_path / "b" / name).write_text("mine")
    with pytest.raises(BundleExistsError, match=name) as caught:
        make(tmp_path / "b", "new", force=True)
    assert caught.value.hint
    assert (tmp_path / "b" / name).exists()
    assert (tmp_path / "b" / "model.onnx").read_text() == "old"


@pytest.mark.parametrize("content", ["{}", "not json", "[]", '{"files": 3}'])
def test_force_never_replaces_a_folder_with_a_manifest_of_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "manifest.json").write_text(content)
    with pytest.raises(BundleExistsError, match="not a bundle"):
        make(tmp_path / "b", "new", force=True)
    assert (tmp_path / "b" / "manifest.json").read_text() == content


def test_parents_that_a_failed_draft_made_go_again(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(RuntimeError), draft(tmp_path / "a" / "b" / "c" / "d", force=False):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]
    make(tmp_path / "a" / "b" / "c" / "d", "new")
    assert contents(tmp_path / "a" / "b" / "c" / "d") == whole("new")
