"""No more time and memory for what somebody else's file makes us do than an honest one needs."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import click

from runtime.errors import ModelError, ToolkitError, first_line
from toolkit import board

SECONDS, SECONDS_PER_GB = 20.0, 240.0
MEMORY, COPIES = 2_000_000_000, 12
STATUS = "/proc/self/status"


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


_limits: Limits | None = None  # of the guard that is open


def limits_of(size: int) -> Limits:
    """20 seconds, and 2 GB for the whole process.

    A model above 167 MB may take twelve times its size: its file, message and serialization, the graph as it was found
    and as it is adopted, both in ONNX Runtime, and what that packs anew took up to 10.3 times. Each GB has 4 minutes
    more; it took 70 s on two busy cores.

    Args:
        size: bytes that it has on the disk.
    """
    return Limits(SECONDS + SECONDS_PER_GB * size / 1e9, max(MEMORY, COPIES * size))


@contextmanager
def guard(about: str, size: int) -> Iterator[None]:
    """Read and adopt a foreign model within `limits_of` its size.

    The deadline is the kernel's alarm, which ends the process even in the midst of native code. Its parent tells
    (toolkit/supervisor.py); without one, as from Python, nobody would, and there is no deadline. The limit of memory is
    on what may be written (RLIMIT_DATA): address space that is only reserved, as for threads, does not count.

    Args:
        about: the file.
        size: its bytes on the disk; `allow` adds what it keeps in other files.

    Raises:
        ModelError: the memory did not suffice, or reading it failed in a way that is not known.
    """
    global _limits
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with board.saying("about", about), board.saying("limits", ""):
        try:
            _limits = limits_of(size)
            allow(size)
            yield
        except MemoryError as error:
            raise ModelError(
                f"{about} needs more than {(_limits or limits_of(size)).memory / 1e9:.1f} GB of memory to be read",
                "give a smaller model",
            ) from error
        except (ToolkitError, click.ClickException, ImportError, OSError):
            raise
        except Exception as error:  # what nobody foresaw in a graph that nobody foresaw
            raise ModelError(
                f"{about} is not understood: {type(error).__name__}: {first_line(error)}",
                "export it again; --debug shows where that came up: report it, with the file",
            ) from error
        finally:
            _limits = None
            resource.setrlimit(resource.RLIMIT_DATA, before)
            if board.is_up():
                signal.setitimer(signal.ITIMER_REAL, 0)


def allow(size: int) -> None:
    """Let the guard that is open allow what a model of so many bytes needs; the deadline begins anew."""
    global _limits
    if _limits is None:
        return
    _limits = limits_of(size)
    board.put("limits", str(_limits))
    if board.is_up():
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _limits.seconds)
    limit_memory(_limits.memory)


def limit_memory(memory: int) -> None:
    """Let this process write to so many bytes and no more, as far as the system counts them."""
    with suppress(OSError, KeyError, ValueError), open(STATUS, encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
        libraries = 1024 * int(fields["RssFile"].split()[0])  # resident, and not counted by the limit
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        wanted = max(0, memory - libraries)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
