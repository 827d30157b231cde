"""Reads Containerfiles, as far as tests look into them."""

from __future__ import annotations

import re
from pathlib import Path


def instructions(file: Path) -> list[tuple[str, str]]:
    """Each with its arguments on one line."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    found = re.findall(r"^([A-Z]+) +(.+)$", text, re.MULTILINE)
    return [(name, " ".join(rest.split())) for name, rest in found]


def sources(file: Path) -> list[str]:
    """What is copied from the repository."""
    copies = [rest.split() for name, rest in instructions(file) if name == "COPY" and not rest.startswith("--from")]
    return [source for *given, _ in copies for source in given]


def extras(file: Path) -> set[str]:
    """Those of the project that are installed."""
    (named,) = re.findall(r"'\.\[([\w,]+)\]'", " ".join(rest for name, rest in instructions(file) if name == "RUN"))
    return set(named.split(","))
