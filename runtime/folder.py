"""Whole folders in one step: a folder is written beside its place, then renamed into it.

The folder under work is a hidden sibling, `.NAME.building`, and is the lock as well: whoever holds it builds NAME. A
process that is killed leaves it behind unlocked, and the next one clears it. Where an existing folder is replaced, the
two are exchanged in one rename if the system can do that (Linux); otherwise the old one is moved aside to
`.NAME.replaced` first, and moved back by the next build if the process died in between.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import BundleError, BundleExistsError

MANIFEST = "manifest.json"
AT_FDCWD = -100
RENAME_EXCHANGE = 2


@dataclass
class Draft:
    """A folder that is being written.

    Attributes:
        path: where to write the files.
        target: where they will be.
    """

    path: Path
    target: Path
    force: bool

    def publish(self) -> None:
        """Put the folder in its place.

        Raises:
            BundleExistsError: something came to be there in the meantime, and `force` was not given.
        """
        for file in self.path.iterdir():
            flush(file)
        flush(self.path)
        if not os.path.lexists(self.target):
            os.rename(self.path, self.target)
        elif not self.force:
            raise taken(self.target)
        else:
            self.replace()
        flush(self.target.parent)

    def replace(self) -> None:
        """Put the folder in the place of the old one, and remove that."""
        old = os.open(self.target, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # The exchange gives the old folder the draft's name: locked, nobody takes it for one that was left behind.
            # Where its own builder still holds it, that serves as well.
            with suppress(BlockingIOError):
                fcntl.flock(old, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if exchange(self.path, self.target):
                shutil.rmtree(self.path)
            else:
                aside = sibling(self.target, "replaced")
                os.rename(self.target, aside)
                os.rename(self.path, self.target)
                shutil.rmtree(aside)
        finally:
            os.close(old)


@contextmanager
def draft(target: Path, *, force: bool) -> Iterator[Draft]:
    """Hold the right to build a folder for the length of a `with` block.

    Whatever happens before `publish`, what was at `target` stays there and nothing of the draft is left behind.

    Args:
        target: the folder to make.
        force: an existing bundle there is replaced.

    Raises:
        BundleExistsError: something is there and `force` is not given, or another process is building it.
        BundleError: the place cannot be written.
    """
    target = Path(os.path.abspath(target))
    if not target.name:
        raise BundleError(
            f"cannot write {target}: it is the root of the file system", "give another output folder with -o"
        )
    building, aside = sibling(target, "building"), sibling(target, "replaced")
    made = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(building, target)
    except OSError as error:
        raise BundleError(f"cannot write {target}: {why(error)}", "give another output folder with -o") from error
    try:
        if os.path.lexists(aside):
            if os.path.lexists(target):
                shutil.rmtree(aside)
            else:
                os.rename(aside, target)
        if os.path.lexists(target):
            if not force:
                raise taken(target)
            strange = "" if target.is_symlink() else foreign_entry(target)
            if strange and strange != MANIFEST:
                raise BundleExistsError(
                    f"{target} holds '{strange}', which is not part of the bundle, and would be lost",
                    "move it elsewhere, or give another output folder with -o",
                )
            if strange or target.is_symlink():
                raise BundleExistsError(
                    f"{target} is there already, and is not a bundle", "--force replaces bundles alone: give another -o"
                )
        clear(building)
        yield Draft(building, target, force)
    finally:
        # After `publish` the lock's folder is the target itself, and this name is free or somebody else's.
        if same_file(building, lock):
            shutil.rmtree(building)
        os.close(lock)
        for parent in made:
            with suppress(OSError):  # it holds the target, or something of somebody else's
                parent.rmdir()


def why(error: OSError) -> str:
    """Why a folder cannot be made; the system says "File exists" of a file that is on the way to it."""
    on_the_way = isinstance(error, (FileExistsError, NotADirectoryError))
    return "a file is where a folder is needed" if on_the_way else str(error.strerror)


def sweep(target: Path) -> None:
    """Remove the draft that a process left which was ended in the midst of it; one that somebody holds stays.

    Raises:
        OSError: it cannot be removed.
    """
    building = sibling(target, "building")
    try:
        lock = os.open(building, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if same_file(building, lock):
                shutil.rmtree(building)
    finally:
        os.close(lock)


def taken(target: Path) -> BundleExistsError:
    """The error for an output folder that exists."""
    return BundleExistsError(f"{target} is there already", "give --force to replace it, or another folder with -o")


def foreign_entry(folder: Path) -> str:
    """The first entry that the manifest does not name, the manifest where it is no bundle's; empty if all fit."""
    try:
        names = {MANIFEST, *json.loads((folder / MANIFEST).read_bytes())["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return MANIFEST
    return next((entry.name for entry in sorted(folder.iterdir()) if entry.name not in names), "")


def sibling(target: Path, role: str) -> Path:
    """A hidden name beside the target."""
    return target.with_name(f".{target.name}.{role}")


def lock_folder(building: Path, target: Path) -> int:
    """Make and lock the draft's folder; its open descriptor is the lock."""
    while True:
        building.mkdir(exist_ok=True)
        descriptor = os.open(building, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BundleExistsError(
                f"another build into {target} is running", "wait for it, or give another folder with -o"
            ) from None
        if same_file(building, descriptor):
            return descriptor
        os.close(descriptor)  # the other build renamed its folder between our two calls


def same_file(path: Path, descriptor: int) -> bool:
    """Whether a path still names the folder that a descriptor was opened on."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def clear(folder: Path) -> None:
    """Empty a folder that a killed build left behind."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def flush(path: Path) -> None:
    """Make a file's or a folder's content survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step. False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(code, os.strerror(code), str(other))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of a full disk, or of a limit on files, name what was to be written: by itself it names no file."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and error.filename is None:
            error.filename = str(path)
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write one file under a temporary name beside it, then rename it."""
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files under temporary names beside them, and rename them, in this order, once all are written.

    Folders are made where there are none; nothing is left of them, nor of the files, where one cannot be written.
    """
    temporaries = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in files}
    missing = {parent for path in files for parent in path.absolute().parents if not parent.exists()}
    try:
        for path, data in files.items():
            with naming(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                # Of a process that was killed, or a link that somebody put there.
                temporaries[path].unlink(missing_ok=True)
                with temporaries[path].open("xb") as file:
                    file.write(data)
                flush(temporaries[path])
        for path, temporary in temporaries.items():
            with naming(path):
                os.replace(temporary, path)
    finally:
        for temporary in temporaries.values():
            with suppress(OSError):  # what is above it may be no folder
                temporary.unlink()
        for folder in sorted(missing, reverse=True):  # those inside first
            with suppress(OSError):  # it holds what was written, or was not made
                folder.rmdir()


def read_at_most(path: Path, most: int) -> bytes:
    """The content of a file, of a pipe too, that is no larger.

    Raises:
        OSError: it cannot be read, or is larger.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data
