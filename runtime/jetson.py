"""Which Jetson this is, its JetPack, and the TensorRT that belongs to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from runtime.nvidia import TEGRA_RELEASE, read_text

MODEL_FILE = Path("/proc/device-tree/model")

# From each release of Jetson Linux (L4T) on: JetPack, its TensorRT, its Python, the major version of its CUDA.
JETPACKS: tuple[tuple[tuple[int, ...], str, str, str, int | None], ...] = (
    ((0,), "JetPack 6.0 or older", "8", "", None),
    ((36, 4), "JetPack 6.1", "10.3", "3.10", 12),
    ((36, 4, 3), "JetPack 6.2", "10.3", "3.10", 12),
    ((36, 4, 4), "JetPack 6.2.1 or newer", "10.3", "3.10", 12),
    ((37,), "JetPack 7.0 or 7.1", "10.13", "3.12", 13),
    ((39,), "JetPack 7.2 or newer", "10.16 (7.2), 11.4.1 (7.2.2 and newer)", "3.12", 13),
)


@dataclass(frozen=True)
class Jetson:
    """An NVIDIA Jetson.

    Attributes:
        model: the board; empty where the device tree does not say.
        l4t: the release of Jetson Linux, such as 36.4.3; empty where it does not say.
        jetpack: the JetPack that it is part of.
        tensorrt: the TensorRT that belongs to it.
        python: the Python that its packages are for.
        cuda_major: of its CUDA; None where unknown.
        too_old: its TensorRT is older than what this toolkit can use.
    """

    model: str
    l4t: str
    jetpack: str = "unknown"
    tensorrt: str = "unknown"
    python: str = ""
    cuda_major: int | None = None
    too_old: bool = False


def find_jetson() -> Jetson | None:
    """The Jetson that this is, if it is one."""
    return parse_jetson(read_text(TEGRA_RELEASE), read_text(MODEL_FILE))


def parse_jetson(release: str, model: str) -> Jetson | None:
    """A Jetson from the text of both files; each may be empty, as they are in some containers."""
    model = model.strip("\0 \n")
    match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", release)
    if match is None:
        return Jetson(model, "") if "jetson" in model.lower() else None
    l4t = f"{match[1]}.{match[2].strip('.')}"
    version = tuple(int(part) for part in l4t.split(".") if part)
    _, jetpack, tensorrt, python, cuda = next(entry for entry in reversed(JETPACKS) if version >= entry[0])
    return Jetson(model, l4t, jetpack, tensorrt, python, cuda, too_old=version < JETPACKS[1][0])
