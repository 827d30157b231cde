"""Tar archives of strangers: no head of a member takes more memory than an honest one."""

from __future__ import annotations

import tarfile
from typing import IO, Any, cast

MOST_HEAD = 1 << 20  # bytes; long names, extended attributes and maps of holes stand there


class Head:
    """A stream of which so much may be read and no more."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.left = stream, MOST_HEAD

    def read(self, count: int) -> bytes:
        self.left -= count
        if self.left < 0:
            raise tarfile.ReadError(f"it has a head of more than {MOST_HEAD >> 20} MiB")
        return self.stream.read(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Member(tarfile.TarInfo):
    """A member of an archive opened with `tarinfo=Member`; tarfile itself reads a head of any length at once."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Member:
        stream = cast("IO[bytes]", archive.fileobj)
        archive.fileobj = cast("Any", Head(stream))
        try:
            return super().fromtarfile(archive)
        except RecursionError:  # heads of heads of heads
            raise tarfile.ReadError("its heads do not end") from None
        finally:
            archive.fileobj = cast("Any", stream)
