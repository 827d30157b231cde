"""How long to wait for something, with a signal that may cut it short."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """An end of waiting that comes nearer when somebody asks to stop.

    Args:
        seconds: from now.
        hurried: seconds that are left, at most, from when `stop` is first seen to be true.
        stop: whether to hurry.
    """

    def __init__(self, seconds: float, hurried: float, stop: Callable[[], bool]) -> None:
        self.end, self.hurried, self.stop = time.monotonic() + seconds, hurried, stop
        self._hurries = False

    @property
    def left(self) -> float:
        """Seconds, 0 when it is over. Whoever waits asks again every now and then."""
        if not self._hurries and self.stop():
            self._hurries, self.end = True, min(self.end, time.monotonic() + self.hurried)
        return max(0.0, self.end - time.monotonic())
