"""Ctrl-C, SIGTERM, a closed terminal: remembered, since a library may swallow the KeyboardInterrupt."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}

PATIENCE_S = 2.0  # a second signal, so long after one that was only noted, unwinds after all
TWICE_S = 0.5  # `timeout` and a terminal signal a whole group, and a supervisor may pass on what came twice

_asked: list[int] = []
_last = -TWICE_S


def heard() -> list[signal.Signals]:
    """These signals, but for a closed terminal that whoever started this has told it to survive, as `nohup` does."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in EXIT_CODES if not (ignored and number == signal.SIGHUP)]


def install() -> None:
    """Let these signals unwind the program like an error, so that nothing half-written stays behind."""
    for number in heard():
        signal.signal(number, _remember)
    sys.unraisablehook = _tell_of_others


def _tell_of_others(ignored: sys.UnraisableHookArgs) -> None:
    """But not of a signal that came while a callback ran which may raise nothing, as of a weak reference."""
    if ignored.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(ignored)


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


class Wish:
    """Whether a signal asked to stop; called, it tells."""

    def __init__(self) -> None:
        self.first: float | None = None

    def __call__(self) -> bool:
        return self.first is not None

    def remember(self, number: int, _frame: FrameType | None) -> None:
        """Take note of a signal. One that comes a good while after the first means that the note was not read."""
        now = time.monotonic()
        if self.first is not None and now - self.first > PATIENCE_S:
            _asked.append(number)
            raise KeyboardInterrupt
        self.first = now if self.first is None else self.first


@contextmanager
def only_noted() -> Iterator[Wish]:
    """Let the signals unwind nothing within a `with` block whose normal end they are: the block asks for them."""
    wish = Wish()
    before = {number: signal.signal(number, wish.remember) for number in heard()}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
