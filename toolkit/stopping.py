"""Ctrl-C, SIGTERM, a closed terminal: remembered, since a library may swallow the KeyboardInterrupt."""

from __future__ import annotations

import signal
import time
from types import FrameType

EXIT_CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}

TWICE_S = 0.5  # `timeout` and a terminal signal a whole group, and a supervisor may pass on what came twice

_asked: list[int] = []
_last = -TWICE_S


def install() -> None:
    """Let these signals unwind the program like an error, so that nothing half-written stays behind."""
    for number in EXIT_CODES:
        signal.signal(number, _remember)


def _remember(number: int, _frame: FrameType | None) -> None:
    global _last
    _asked.append(number)
    again, _last = time.monotonic() - _last < TWICE_S, time.monotonic()
    if again:
        return  # a second interrupt could break off the tidying up of the first
    raise KeyboardInterrupt


def exit_code() -> int | None:
    """The exit code of the first signal that came; None where none came."""
    return EXIT_CODES[signal.Signals(_asked[0])] if _asked else None


def check() -> None:
    """Raise the KeyboardInterrupt again, if there was one."""
    if _asked:
        raise KeyboardInterrupt
