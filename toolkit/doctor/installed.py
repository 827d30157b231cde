"""The distributions that are installed, from their metadata."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name


class Installed:
    """Distributions by canonical name; of one that is there twice, the first on the path is what Python imports.

    Args:
        path: folders to look into; None is this process's import path.
    """

    def __init__(self, path: Sequence[str] | None = None) -> None:
        self.distributions: dict[str, list[metadata.Distribution]] = defaultdict(list)
        found = metadata.distributions() if path is None else metadata.distributions(path=list(path))
        seen: set[tuple[str, str, str]] = set()
        for distribution in found:
            name, version = read_field(distribution, "Name"), read_field(distribution, "Version")
            key = (name, version, folder_of(distribution))
            if name and key not in seen:  # a folder can be on the path twice
                seen.add(key)
                self.distributions[canonicalize_name(name)].append(distribution)

    def has(self, name: str) -> bool:
        """Whether it is installed."""
        return canonicalize_name(name) in self.distributions

    def version(self, name: str) -> str:
        """Its version; empty where it is not installed, or where its metadata does not say."""
        found = self.distributions.get(canonicalize_name(name))
        return read_field(found[0], "Version") if found else ""

    def folder(self, name: str) -> str:
        """The folder that it is installed into."""
        return folder_of(self.distributions[canonicalize_name(name)][0])


def read_field(distribution: metadata.Distribution, name: str) -> str:
    """A field of the metadata; empty where an interrupted installation left none."""
    try:
        return str(distribution.metadata[name] or "")
    except Exception:
        return ""


def folder_of(distribution: metadata.Distribution) -> str:
    """The folder that a distribution is installed into."""
    return str(Path(str(distribution.locate_file(""))).resolve())
