"""Folders as a stream of tar: out of ours what is named, into ours nothing but plain files below one folder."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import IO, cast

from runtime.errors import RemoteError
from runtime.tar import Member

CHUNK = 1 << 20
MOST_FILES = 10_000
MOST_BYTES = 8 << 30


class Counted:
    """A stream that tells how much went through it."""

    def __init__(self, stream: IO[bytes], told: Callable[[int], object]) -> None:
        self.stream, self.told = stream, told

    def write(self, data: bytes) -> int:
        self.stream.write(data)
        self.told(len(data))
        return len(data)

    def read(self, count: int) -> bytes:
        data = self.stream.read(count)
        self.told(len(data))
        return data


def counted(stream: IO[bytes], told: Callable[[int], object]) -> IO[bytes]:
    """A stream that tells, as far as tarfile needs one."""
    return cast("IO[bytes]", Counted(stream, told))


def files_below(folder: Path) -> list[str]:
    """Every file below a folder, by its name there; links count as what they lead to, but lead nowhere twice."""
    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        paths = [os.path.join(place, name) for name in names]
        found += [os.path.relpath(path, folder) for path in paths if os.path.isfile(path)]
    return sorted(found)


def pack(folder: Path, names: Iterable[str], stream: IO[bytes], told: Callable[[int], object]) -> None:
    """Write files as tar.

    Args:
        folder: that they are in.
        names: of the files, below the folder.
        stream: to write to.
        told: how many bytes were written, again and again.
    """
    with tarfile.open(fileobj=counted(stream, told), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            with (folder / name).open("rb") as file:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = os.fstat(file.fileno()).st_size, 0o600
                tar.addfile(entry, file)


def unpack(stream: IO[bytes], folder: Path, told: Callable[[int], object], *, most: int = MOST_BYTES) -> None:
    """Write the files of a tar below a folder, which is ours alone and empty.

    Args:
        stream: to read from.
        folder: that is there.
        told: how many bytes were read, again and again.
        most: bytes that the files may have together.

    Raises:
        RemoteError: it holds what is not a plain file or folder, leaves the folder, or is too large.
    """
    rest, count = most, 0
    try:
        with tarfile.open(fileobj=counted(stream, told), mode="r|", tarinfo=Member) as tar:
            for entry in tar:
                name, count = PurePosixPath(entry.name), count + 1
                if name.is_absolute() or ".." in name.parts or "\0" in entry.name:
                    raise refused(f"{entry.name!r}, which lies outside of its folder")
                if not (entry.isreg() or entry.isdir()) or entry.issparse():
                    raise refused(f"{entry.name!r}, which is not a plain file")
                rest -= entry.size
                if rest < 0 or count > MOST_FILES:
                    raise refused(f"more than {MOST_FILES:,} files or {most / (1 << 30):g} GiB")
                place = folder.joinpath(*name.parts)
                if entry.isdir():
                    place.mkdir(mode=0o700, parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                content = tar.extractfile(entry)
                assert content is not None  # it is a file
                with place.open("xb") as file:
                    while data := content.read(CHUNK):
                        file.write(data)
    except (tarfile.TarError, FileExistsError) as error:
        raise refused(f"what is no whole archive ({error})") from error


def refused(what: str) -> RemoteError:
    """The error for an archive that is not taken."""
    return RemoteError(f"the other machine sends {what}: nothing of it is kept", "is it the right machine?")
