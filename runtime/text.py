"""Text that can be told to others, whatever it came from."""

from __future__ import annotations


def plain(text: str) -> str:
    """A text that can be encoded: names of files may hold what is no character."""
    return text.encode("utf-8", "replace").decode()
