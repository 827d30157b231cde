"""JSON in one form: sorted keys, two spaces, shortest floats, no NaN, a final newline. Equal values, equal bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runtime.errors import ToolkitError

T = TypeVar("T")


def to_bytes(value: Any) -> bytes:
    """The canonical form of a value that `msgspec` knows.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    plain = msgspec.to_builtins(value)
    return (json.dumps(plain, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def digest(value: Any) -> str:
    """sha256 of the canonical form."""
    return hashlib.sha256(to_bytes(value)).hexdigest()


def digest_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def from_bytes(data: bytes, kind: type[T], name: str | Path, error: type[ToolkitError], hint: str) -> T:
    """Read a value and hold it to its canonical form, byte for byte.

    Args:
        data: the file's content.
        kind: the type to read.
        name: the file's name, for the message.
        error: what to raise.
        hint: its hint.
    """
    try:
        value = msgspec.json.decode(data, type=kind)
        canonical = to_bytes(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise error(f"{name}: {problem}", hint) from problem
    if canonical != data:
        raise error(f"{name} is not in canonical form: it was edited, or written by something else", hint)
    return value
