"""The names of classes, from a text file."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import DataError


def read_labels(path: Path) -> tuple[str, ...]:
    """The lines of a text file, without the empty ones.

    Raises:
        DataError: it cannot be read, or does not name two or more different classes.
    """
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the labels {path}: {error}", "give a text file with a name a line") from error
    if len(names) < 2 or len(set(names)) != len(names):
        raise DataError(f"{path} does not name two or more different classes", "give one name a line")
    return names
