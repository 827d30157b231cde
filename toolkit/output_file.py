"""A single file that a command writes: whether it can be is found out before the work."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.errors import ToolkitError
from runtime.folder import why
from toolkit import board


@contextmanager
def place_for(output: Path, *, force: bool, option: str = "-o", named: str = "file") -> Iterator[None]:
    """Find out before the work whether a file can be written, and leave no folder behind where it was not.

    Args:
        output: the file, to be written within the `with` block.
        force: it may be there already.
        option: that names the file on the command line.
        named: what the option takes: a file, or the folder of several.

    Raises:
        ToolkitError: it is there, is a folder, or cannot be written.
    """
    if output.is_dir():
        raise ToolkitError(f"{output} is a folder", f"give a file with {option}")
    if os.path.lexists(output) and not force:
        raise ToolkitError(
            f"{output} is there already", f"give --force to replace it, or another {named} with {option}"
        )
    board.writes(output)
    made = [parent for parent in output.absolute().parents if not parent.exists()]
    try:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", suffix=".tmp"):
                pass
        except OSError as error:
            raise ToolkitError(f"cannot write {output}: {why(error)}", f"give another {named} with {option}") from error
        yield
    finally:
        for parent in made:
            with suppress(OSError):  # it holds the output, or something of somebody else's
                parent.rmdir()
