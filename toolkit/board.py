"""What a supervised process says of itself: a page of memory that its parent sees too, and reads when it has died.

Without a parent there is no board, and nothing is written.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Whether it ended by itself; the stage that it is in, and on what; the limits it works under; what it writes, and the
# topmost folder that it makes for that.
SLOTS = ("ended", "stage", "about", "limits", "output", "made")
SLOT = 4096  # bytes: a path is no longer

_board: mmap.mmap | None = None


def put_up() -> None:
    """Make the board, before a child is forked that shall share it."""
    global _board
    _board = mmap.mmap(-1, len(SLOTS) * SLOT)


def take_down() -> None:
    """Go on without."""
    global _board
    _board = None


def is_up() -> bool:
    """Whether there is a parent to read it."""
    return _board is not None


def put(slot: str, text: str) -> None:
    """Write a text, cut where it is too long."""
    if _board is not None:
        start, data = SLOTS.index(slot) * SLOT, os.fsencode(text).replace(b"\0", b"?")[: SLOT - 1]
        _board[start : start + len(data) + 1] = data + b"\0"


def get(slot: str) -> str:
    """Read a text; empty where none was written."""
    if _board is None:
        return ""
    start = SLOTS.index(slot) * SLOT
    return os.fsdecode(_board[start : start + SLOT].partition(b"\0")[0])


@contextmanager
def saying(slot: str, text: str) -> Iterator[None]:
    """Say for the length of a `with` block what is being done."""
    before = get(slot)
    put(slot, text)
    try:
        yield
    finally:
        put(slot, before)


def writes(output: str | os.PathLike[str]) -> None:
    """Say what will be written, and so what has to be removed if it never is: its draft, and folders made for it."""
    path = os.path.abspath(output)
    made, parent = "", os.path.dirname(path)
    while not os.path.lexists(parent):
        made, parent = parent, os.path.dirname(parent)
    put("output", path)
    put("made", made)
