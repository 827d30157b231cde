"""Weights from the web, kept in a folder. Standard library alone; no PyTorch.

A download is under way as `.NAME.part`, which is the lock as well: whoever holds it loads NAME. What was cut off stays
there, and the next call goes on behind it. Only a file whose sha256 begins as its name says gets that name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from urllib.parse import urlsplit

from runtime.errors import Cancelled, WeightsError
from runtime.folder import flush, same_file, write_atomically
from runtime.progress import Progress
from toolkit.zoo.web import by_hand, network_errors, request, require_safe, version

NAME = re.compile(r"[A-Za-z0-9][\w.-]*-([0-9a-f]{8,64})\.\w+", re.ASCII)  # as torch.hub reads it
MAX_BYTES = 2 << 30
BLOCK = 1 << 20


def fetch(url: str, folder: Path, progress: Progress) -> Path:
    """Download a file, or find it where it was downloaded to before. Checked either time.

    Args:
        url: its last part is `name-DIGEST.suffix`, where DIGEST is how its sha256 begins, in eight hex digits or more.
            https, or plain http from this very machine.
        folder: where it is kept, made if it is not there. Many processes may use it at once.
        progress: told of the bytes that come, and of those that are checked.

    Returns:
        The file, in the folder, under the URL's own name.

    Raises:
        WeightsError: it cannot be had, or is not what its name says. A part stays where calling again can go on.
        Cancelled: the progress display asked to stop; the part stays as well.
    """
    require_safe(url)
    name = urlsplit(url).path.rpartition("/")[2]
    match = NAME.fullmatch(name)
    if not match:
        raise WeightsError(
            f"{url} does not say how its sha256 begins, as in name-0123abcd.pth: it could not be checked", by_hand(url)
        )
    path, part = folder / name, folder / f".{name}.part"
    with disk_errors(url, folder):
        if holds(path, match[1], progress):  # without the lock: the folder may be one that only others can write
            return path
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(part, progress) as file:
            if not holds(path, match[1], progress):
                fill(file, part, url, match[1], progress)
                os.replace(part, path)
                flush(folder)
    return path


def fill(file: FileIO, part: Path, url: str, digest: str, progress: Progress) -> None:
    """Make the part whole, and check it; one that is wrong is emptied, which removes it."""
    validator = part.with_name(f"{part.name}.version")
    if not holds(part, digest, progress):  # it does where a process was killed just before the end
        receive(file, part, url, validator, progress)
        if not holds(part, digest, progress):
            file.truncate(0)
            validator.unlink(missing_ok=True)
            raise WeightsError(
                f"what {url} gives is not the file of that name: its sha256 does not begin with {digest}. "
                "It was thrown away",
                f"run it again; where that does not help, something between here and there answers: {by_hand(url)}",
            )
    validator.unlink(missing_ok=True)
    os.fsync(file.fileno())


def receive(file: FileIO, part: Path, url: str, validator: Path, progress: Progress) -> None:
    """Load what the part lacks."""
    with network_errors(url):
        response, start = request(url, file.seek(0, os.SEEK_END), read_version(validator))
    with response:
        total = None if response.length is None else start + response.length
        require_size(file, total or 0, url)
        if not start:
            file.seek(0)
            file.truncate()
            write_atomically(validator, version(response).encode("latin-1"))
        with progress.stage(f"download {part.name[1:-5]}", total) as stage:
            stage.note(f"{megabytes(total)} from {url}" + (f", on after {megabytes(start)}" if start else ""))
            done = start
            stage.advance(start)
            while total is None or done < total:  # a server may keep the connection open behind the end
                with network_errors(url):
                    block = response.read1(BLOCK)
                if not block:
                    break
                done += len(block)
                require_size(file, done, url)
                view = memoryview(block)
                while view:
                    view = view[file.write(view) :]
                if not stage.advance(len(block)):
                    raise Cancelled("stopped on request", "run the command again to go on where it stopped")
    if total is not None and done < total:
        raise WeightsError(
            f"the connection to {url} broke after {megabytes(done)} of {megabytes(total)}",
            f"run it again to go on from there; or {by_hand(url)}",
        )


def require_size(file: FileIO, count: int, url: str) -> None:
    """Refuse a file that is too large, and give back the room that its part takes."""
    if count > MAX_BYTES:
        file.truncate(0)
        raise WeightsError(f"{url} gives more than {MAX_BYTES / 1e6:,.0f} MB", by_hand(url))


def read_version(validator: Path) -> str:
    """The version that a part was begun with; empty where it is not known."""
    with suppress(OSError, UnicodeDecodeError):
        text = validator.read_bytes()[:1000].decode("latin-1")
        return text if text.isprintable() else ""
    return ""


def holds(path: Path, digest: str, progress: Progress) -> bool:
    """Whether a file is there and its sha256 begins so."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return False
        state = hashlib.sha256()
        with progress.stage(f"check {path.name.removeprefix('.')}", size) as stage:
            while block := file.read(BLOCK):
                state.update(block)
                if not stage.advance(len(block)):
                    raise Cancelled("stopped on request", "run the command again")
    return state.hexdigest().startswith(digest)


@contextmanager
def locked(part: Path, progress: Progress) -> Iterator[FileIO]:
    """Hold the part, made if it is not there, for the length of a `with` block; wait while another process does."""
    while True:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with FileIO(descriptor, "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with progress.stage(f"wait for another download of {part.name[1:-5]}"):
                    fcntl.flock(file, fcntl.LOCK_EX)
            if not same_file(part, descriptor):
                continue  # the other process was done with it between our two calls
            try:
                yield file
            finally:
                if same_file(part, descriptor) and not os.fstat(descriptor).st_size:
                    part.unlink()
            return


@contextmanager
def disk_errors(url: str, folder: Path) -> Iterator[None]:
    """What the disk raises, as a WeightsError."""
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"cannot keep {url} in {folder}: {error.strerror}",
            f"make room there or give another folder with --cache-dir, and run it again; or {by_hand(url)}",
        ) from error


def megabytes(count: int | None) -> str:
    """A number of bytes for people; a server need not tell it."""
    return "some MB" if count is None else f"{count / 1e6:.1f} MB"
