"""What is wrong or missing, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing to do.

    Attributes:
        broken: something that is there does not work; otherwise something is only missing or worth knowing.
        what: the thing and why, in a sentence.
        command: the exact next command; empty where there is none to give.
    """

    broken: bool
    what: str
    command: str = ""
