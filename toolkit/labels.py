"""The names of classes, from a text file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from runtime.errors import DataError
from runtime.folder import read_at_most

MOST_BYTES = 64 << 20


def read_labels(path: Path) -> tuple[str, ...]:
    """The lines of a text file, without the empty ones.

    Raises:
        DataError: it cannot be read, names fewer than two classes, or one twice.
    """
    try:
        # utf-8-sig: editors on Windows put a mark in front, which is no part of the first name.
        text = read_at_most(path, MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the labels {path}: {error}", "give a text file with a name a line") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) < 2:
        raise DataError(f"{path} does not name two or more classes", "give one name a line")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(
            f"{path} names the class '{twice}' {names.count(twice)} times",
            "give each class a name of its own: folders of pictures, and answers, are told apart by it",
        )
    return names
