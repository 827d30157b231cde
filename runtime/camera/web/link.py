"""A process that serves the page, and the threads that carry messages to it and from it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

from runtime.camera.sources.answers import last_words, of_exit
from runtime.camera.web import messages
from runtime.camera.web.messages import FromPage, Order

START = "import sys; sys.path[:] = {path!r}; from runtime.camera.web.serve import main; main()"
GO_S, KILL_S = 0.6, 0.3  # how long to wait for it to end: asked to, and killed
LOOK_S = 0.1
LAST_WORDS = 20


class Link:
    """One process, and the threads that talk with it.

    Args:
        order: what it is to do.
        inherited: file descriptors that it gets.
        hear: takes its messages, in a thread.

    Attributes:
        start: when, by `time.monotonic()`.
        over: whether it has ended, or said what is no message.
        outgoing: lines for it; None ends the thread that sends them.
    """

    def __init__(self, order: Order, inherited: Sequence[int], hear: Callable[[FromPage], None]) -> None:
        self.start, self.over, self.outgoing = time.monotonic(), False, SimpleQueue[bytes | None]()
        self.words: deque[str] = deque(maxlen=LAST_WORDS)
        self.process = subprocess.Popen(
            [sys.executable, "-c", START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=inherited,
        )
        self.outgoing.put(messages.encode(order))
        self.threads = [
            Thread(target=self.hear, args=(hear,), daemon=True),
            Thread(target=self.tell, daemon=True),
            Thread(target=self.overhear, daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def hear(self, take: Callable[[FromPage], None]) -> None:
        """In a thread: take its messages."""
        assert self.process.stdout
        with suppress(Exception), self.process.stdout as lines:  # what is no message ends it: it is started again
            for line in lines:
                take(messages.decode_from_page(line))
        self.over = True

    def tell(self) -> None:
        """In a thread: send what is to be sent."""
        assert self.process.stdin
        with suppress(OSError, ValueError), self.process.stdin as lines:
            while (line := self.outgoing.get()) is not None:
                lines.write(line + b"\n")
                lines.flush()

    def overhear(self) -> None:
        """In a thread: keep the last lines that it prints."""
        assert self.process.stderr
        with self.process.stderr as lines:
            for line in lines:
                self.words.append(line.decode(errors="replace").rstrip())

    def why(self) -> str:
        """It ended, for people."""
        try:
            return of_exit(self.process.wait(LOOK_S), last_words(self.words), "the page's process")
        except subprocess.TimeoutExpired:
            return "the page's process said what nobody understands"

    def stop(self) -> None:
        """End it: politely, then by force."""
        self.outgoing.put(None)
        try:
            self.process.wait(GO_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(KILL_S)
        for thread in self.threads:
            thread.join(KILL_S)
