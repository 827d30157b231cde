"""Git LFS: a small text, its pointer, stands in the place of a large file that was not fetched with its repository."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from runtime.errors import ToolkitError

POINTER = b"version https://git-lfs.github.com/spec/"


def refuse_pointer(start: bytes, name: str | Path, error: type[ToolkitError]) -> None:
    """Raise an error where a file that begins so is a pointer."""
    if start.startswith(POINTER):
        raise error(f"{name} is a pointer of Git LFS, not the file itself", "fetch it in its repository: git lfs pull")


def start_of(path: str | Path) -> bytes:
    """As much of a regular file as tells a pointer; nothing where it cannot be read."""
    with suppress(OSError, ValueError):
        if Path(path).is_file():  # a pipe may never begin
            with open(path, "rb") as file:
                return file.read(len(POINTER))
    return b""
