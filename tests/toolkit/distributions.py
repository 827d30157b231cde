"""Folders of installed packages, as far as their metadata goes."""

from __future__ import annotations

from pathlib import Path

from toolkit.doctor.installed import Installed


def site_packages(folder: Path, *distributions: str) -> Installed:
    """Metadata as pip writes it, of `name version` each."""
    for distribution in distributions:
        name, version = distribution.split()
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return Installed([str(folder)])
