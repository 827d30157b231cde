"""The cache folder: where it is, and what it holds."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Cache:
    """The user's cache folder. It may be deleted at any time.

    Attributes:
        folder: its path; empty where the user has none.
        files: how many lie in it.
        bytes: their size together.
        reason: why nothing can be kept; empty where it can.
    """

    folder: str = ""
    files: int = 0
    bytes: int = 0
    reason: str = ""


def look() -> Cache:
    """Weigh the folder, without making it."""
    try:
        from runtime.cache import user_folder

        folder = user_folder()
    except Exception as error:  # whatever a broken package raises; the table of packages names it
        return Cache(reason=str(error))
    if folder is None:
        return Cache(reason="this user has no home")
    sizes = []
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.lstat(os.path.join(place, name)).st_size)
            except OSError:  # deleted just now
                continue
    existing = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))
    reason = "" if os.access(existing, os.W_OK) else f"{existing} cannot be written"
    return Cache(str(folder), len(sizes), sum(sizes), reason)
