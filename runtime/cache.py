"""The cache folder: what a machine makes for itself to start faster. It may be deleted at any time.

An entry is one file, named after a digest of all that it was made from. It begins with the sha256 of its name and
content: one that was cut short, damaged or renamed is as good as none. Many processes may read, write and delete at
once.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from runtime.errors import CacheError

APPLICATION = "edge-deployment-toolkit"
DIGEST_BYTES = 32
MAX_BYTES = 2 << 30  # of one folder of entries; the ones that were used least recently go


def cache_folder(given: str | Path | None) -> Path | None:
    """The folder to keep things in, made if it is not there, for this user alone (mode 0700).

    Args:
        given: the folder that was asked for; None stands for the user's own cache folder.

    Returns:
        The folder; None where the user has none and none can be made: the work goes on without.

    Raises:
        CacheError: the folder that was asked for cannot be made.
    """
    folder = user_folder() if given is None else Path(os.path.abspath(given))
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError) and not os.path.lexists(folder):
            return folder  # deleted just now: `write_entry` makes it again
        if given is None:
            return None
        raise CacheError(
            f"cannot make the cache folder {given}: {error.strerror}", "give another folder with --cache-dir"
        ) from error
    return folder


def user_folder() -> Path | None:
    """The user's own folder, whether it is there or not; None for a user without a home."""
    from platformdirs import user_cache_path

    folder = user_cache_path(APPLICATION)
    return folder if folder.is_absolute() else None


def read_entry(path: Path, *, used: bool = True) -> bytes | None:
    """What `write_entry` wrote there; None where that is not there, or not whole. `used` keeps it from being pruned."""
    try:
        if not path.is_file():  # a pipe might never begin
            return None
        with path.open("rb") as file:
            digest, data = file.read(DIGEST_BYTES), file.read()
    except OSError:
        return None
    if digest != seal(path.name, data):
        return None
    if used:
        with suppress(OSError):
            os.utime(path)
    return data


def write_entry(path: Path, data: bytes) -> None:
    """Keep data under a name, its folder made if it is not there. Where that cannot be done, nothing is kept."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(seal(path.name, data))
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        prune(path.parent)


def seal(name: str, data: bytes) -> bytes:
    """The digest that proves an entry."""
    digest = hashlib.sha256(name.encode())
    digest.update(data)
    return digest.digest()


def prune(folder: Path) -> None:
    """Keep the entries that were used last, up to `MAX_BYTES` together; what a killed process left goes likewise."""
    found = []
    for path in folder.iterdir():
        with suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > MAX_BYTES:
            with suppress(OSError):
                path.unlink()
