"""Small texts for people."""

from __future__ import annotations

from collections.abc import Iterable


def plain(text: str) -> str:
    """A text that can be encoded: names of files may hold what is no character."""
    return text.encode("utf-8", "replace").decode()


def by(sides: Iterable[int]) -> str:
    """`6x28x28`."""
    return "x".join(map(str, sides))


def counted(number: int, noun: str) -> str:
    """`1 frame`, `2,000 frames`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
