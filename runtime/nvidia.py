"""What an NVIDIA driver and a Jetson's system say of themselves in files, for any program that asks."""

from __future__ import annotations

import re
from pathlib import Path

TEGRA_RELEASE = Path("/etc/nv_tegra_release")
DRIVER = Path("/proc/driver/nvidia/version")
MEMORY = Path("/proc/meminfo")


def read_text(path: Path) -> str:
    """A file of the system; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def jetson_linux() -> str:
    """Such as `R36 (release), REVISION: 4.3`; empty on what is no Jetson."""
    return read_text(TEGRA_RELEASE).partition("\n")[0].strip("# ")[:100]


def driver_version() -> str:
    """The driver's own, such as 580.65.06; empty where it does not say."""
    return parse_driver(read_text(DRIVER))


def parse_driver(text: str) -> str:
    """The driver's version in /proc/driver/nvidia/version, which a container sees too."""
    match = re.search(r"^NVRM version:.*?\s(\d{3,}\.\d+(?:\.\d+)?)\s", text, re.MULTILINE)
    return match[1] if match else ""


def available_memory() -> int:
    """Bytes that the system could give to programs, what it caches included; 0 where it does not say."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", read_text(MEMORY), re.MULTILINE)
    return 1024 * int(match[1]) if match else 0
