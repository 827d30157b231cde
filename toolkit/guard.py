"""No more time and memory for what somebody else's file makes us do than an honest one needs."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from export.limits import Limits, limit_memory, limits_of
from runtime.errors import ModelError, ToolkitError, first_line
from toolkit import board

_limits: Limits | None = None  # of the guard that is open


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
