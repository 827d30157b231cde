"""Frames at the pace at which they were taken."""

from __future__ import annotations

import time
from threading import Event

LATE_S = 0.1  # who is later than that is not handed the frames that follow in a burst


class Pacer:
    """Says when a frame is due. A slow reader slows the film down: no frame is left out."""

    def __init__(self) -> None:
        self.due: float | None = None

    def schedule(self, interval: float) -> None:
        """The next frame comes so many seconds after the last one; the first one at once."""
        now = time.monotonic()
        self.due = now if self.due is None else max(self.due + interval, now - LATE_S)

    def wait(self, deadline: float, closed: Event) -> bool:
        """Wait until it is due, but no longer than to the deadline; whether it is due."""
        due = self.due or 0.0
        closed.wait(max(min(due, deadline) - time.monotonic(), 0))
        return time.monotonic() >= due
