"""Ctrl-C, SIGTERM, a closed terminal: remembered, since a library may swallow the KeyboardInterrupt."""

from __future__ import annotations

import signal
from types import FrameType

EXIT_CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}

_asked: list[int] = []


def install() -> None:
    """Let these signals unwind the program like an error, so that nothing half-written stays behind."""
    for number in EXIT_CODES:
        signal.signal(number, _remember)


def _remember(number: int, _frame: FrameType | None) -> None:
    _asked.append(number)
    raise KeyboardInterrupt


def exit_code() -> int | None:
    """The exit code of the first signal that came; None where none came."""
    return EXIT_CODES[signal.Signals(_asked[0])] if _asked else None


def check() -> None:
    """Raise the KeyboardInterrupt again, if there was one."""
    if _asked:
        raise KeyboardInterrupt
