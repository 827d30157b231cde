"""How much time and memory a model may take, by its size."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import dataclass

SECONDS, SECONDS_PER_GB = 20.0, 240.0
MEMORY, COPIES = 2_000_000_000, 12
STATUS = "/proc/{}/status"


@dataclass(frozen=True)
class Limits:
    """What one model may take.

    Attributes:
        seconds: from now on.
        memory: bytes of the whole process.
    """

    seconds: float
    memory: int

    def __str__(self) -> str:
        return f"{self.seconds:.0f} seconds or {self.memory / 1e9:.1f} GB of memory"


def limits_of(size: int) -> Limits:
    """20 seconds, and 2 GB for the whole process.

    A model above 167 MB may take twelve times its size: its file, message and serialization, the graph as it was found
    and as it is adopted, both in ONNX Runtime, and what that packs anew took up to 10.3 times. Each GB has 4 minutes
    more; it took 70 s on two busy cores.

    Args:
        size: bytes that it has on the disk.
    """
    return Limits(SECONDS + SECONDS_PER_GB * size / 1e9, max(MEMORY, COPIES * size))


def limit_memory(memory: int, process: int = 0) -> None:
    """Let a process write to so many bytes and no more, as far as the system counts them.

    Args:
        memory: bytes of the whole process.
        process: its number; 0 is this one.
    """
    # AttributeError: not every system has prlimit.
    with (
        suppress(OSError, KeyError, ValueError, AttributeError),
        open(STATUS.format(process or "self"), encoding="utf-8") as file,
    ):
        fields = dict(line.split(":", 1) for line in file if ":" in line)
        libraries = 1024 * int(fields["RssFile"].split()[0])  # resident, and not counted by the limit
        hard = resource.prlimit(process, resource.RLIMIT_DATA)[1]
        wanted = max(0, memory - libraries)
        resource.prlimit(process, resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
