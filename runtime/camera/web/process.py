"""The page's process, seen from the one that reads. The reading gives it what it asks for, and never waits for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread

from runtime.camera.controls import Controls
from runtime.camera.feed import Channel, Feed
from runtime.camera.frame import Source
from runtime.camera.outputs.seen import Seen
from runtime.camera.sources.answers import last_words, of_exit
from runtime.camera.sources.memory import FrameMemory
from runtime.camera.sources.visitor import VisitorSource
from runtime.camera.summary import Tally
from runtime.camera.web import messages
from runtime.camera.web.messages import (
    MOST_VISITORS,
    Answered,
    Answers,
    AskFrame,
    AskStats,
    Came,
    FromPage,
    Left,
    Offered,
    Order,
    SetPaused,
    SetRegion,
    SetThreshold,
    Shown,
    ToPage,
)
from runtime.camera.web.stats import stats_of

START = "import sys; sys.path[:] = {path!r}; from runtime.camera.web.serve import main; main()"
GO_S, KILL_S = 0.6, 0.3  # how long to wait for it to end: asked to, and killed
LOOK_S = 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # before it is started again
LIVED_S = 60.0  # after which its end is the first of its kind
LAST_WORDS = 20


@dataclass(frozen=True)
class Served:
    """What is served, and to whom.

    Attributes:
        page: whether there is a page; else health and metrics alone.
        visitors: whether visitors may bring a camera of their own.
        token: that a visitor has to know; empty where none is needed.
        hosts: names of this machine, beside its addresses.
        certificate: PEM file for TLS; empty without.
        key: PEM file of its key.
    """

    page: bool = True
    visitors: bool = False
    token: str = ""
    hosts: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""


class Page:
    """The page, or metrics and health alone. It meets `Output`.

    Should its process end, it is started again, and the reading goes on.

    Args:
        listener: a socket that listens; it is closed with the page.
        sources: names of those that have pictures, by their numbers.
        served: what, and to whom.
        controls: what visitors change.
        say: takes a line for people.
    """

    def __init__(
        self,
        listener: socket.socket,
        sources: Sequence[str],
        served: Served,
        controls: Controls,
        say: Callable[[str], None],
    ) -> None:
        self.listener, self.sources, self.served = listener, list(sources), served
        self.controls, self.say = controls, say
        self.memories = [FrameMemory() for _ in sources if served.page]
        self.visitor_memories = [FrameMemory() for _ in range(MOST_VISITORS if served.visitors else 0)]
        self.asked: set[int] = set()
        self.stats_asked = False
        self.visitors: dict[int, VisitorSource] = {}
        self.lines: deque[str] = deque(maxlen=LAST_WORDS)
        self.failures, self.retry_at = 0, 0.0
        self.link: Link | None = None
        self.start()

    def newcomers(self) -> list[Source]:
        """Visitors who came with a camera since this was called last, and are still there."""
        found: list[Source] = []
        for source in list(self.visitors.values()):  # which another thread changes
            if not source.met:
                source.met = True
                found.append(source)
        return found

    def show(self, channel: Channel, seen: Seen) -> None:
        """Hand a frame with its answers over, if somebody waits for it."""
        source = channel.source
        if isinstance(source, VisitorSource):
            source.answered()
            self.answer(source, answers_of(seen))
            return
        number = self.sources.index(source.name)
        if number in self.asked:
            self.asked.discard(number)
            self.memories[number].write(seen.frame.image)
            self.send(Shown(number, seen.frame.image.shape, answers_of(seen)))

    def attend(self, feed: Feed, tally: Tally) -> None:
        """Tell how it goes, if that was asked for; start the process again, if it has ended."""
        while self.lines:
            self.say(self.lines.popleft())
        if self.stats_asked:
            self.stats_asked = False
            self.send(stats_of(feed, tally, self.controls))
        if self.link and self.link.over:
            Thread(target=self.bury, args=(self.link,), daemon=True).start()
            if time.monotonic() - self.link.start > LIVED_S:
                self.failures = 0
            self.forget()
            self.wait()
        if not self.link and time.monotonic() >= self.retry_at:
            self.start()

    def start(self) -> None:
        """Start the process, or try again later."""
        try:
            self.link = Link(self)
        except OSError as error:  # there is no memory left, or no descriptor
            self.lines.append(f"the page's process cannot be started: {error.strerror}; it is tried again")
            self.wait()

    def wait(self) -> None:
        """Let some time pass before the process is started again, and more each time."""
        self.retry_at = time.monotonic() + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self.failures)
        self.failures = min(self.failures + 1, 10)

    def bury(self, link: Link) -> None:
        """In a thread, since the reading does not wait for it: say why a process has ended, and clear up."""
        self.lines.append(f"{link.why()}; it is started again")
        link.stop()

    def send(self, message: ToPage) -> None:
        """To the process, whenever it takes it."""
        if self.link:
            self.link.outgoing.put(messages.encode(message))

    def hear(self, message: FromPage) -> None:
        """In the link's thread: do what a message asks for, or note it for the thread that reads."""
        if isinstance(message, AskFrame):
            self.asked.add(message.source)
        elif isinstance(message, AskStats):
            self.stats_asked = True
        elif isinstance(message, SetPaused):
            self.controls.paused = message.paused
        elif isinstance(message, SetThreshold):
            self.controls.threshold = message.value
        elif isinstance(message, SetRegion):
            self.controls.regions[self.sources[message.source]] = message.region
        elif isinstance(message, Came):
            self.welcome(message)
        elif isinstance(message, Offered):
            self.visitors[message.visitor].offer(message.shape, message.monotonic_ns, message.utc_ns)
        elif isinstance(message, Left):
            self.visitors.pop(message.visitor).close()

    def welcome(self, message: Came) -> None:
        """A visitor's camera becomes a source."""
        memory = self.visitor_memories[message.place]
        source = VisitorSource(message.visitor, memory, lambda: self.answer(source, None))
        self.visitors[message.visitor] = source

    def answer(self, source: VisitorSource, answers: Answers | None) -> None:
        """To a visitor who is still there."""
        if self.visitors.get(source.number) is source:
            self.send(Answered(source.number, answers))

    def order(self) -> Order:
        """For the process."""
        served = self.served
        return Order(
            socket=self.listener.fileno(),
            sources=tuple(map(messages.plain, self.sources)),
            memories=tuple(memory.name for memory in self.memories),
            visitors=tuple(memory.name for memory in self.visitor_memories),
            page=served.page,
            token=served.token,
            hosts=served.hosts,
            certificate=served.certificate,
            key=served.key,
            parent=os.getpid(),
        )

    def forget(self) -> None:
        """The process is gone, and with it all who waited."""
        self.link = None
        self.asked.clear()
        self.stats_asked = False
        for source in list(self.visitors.values()):
            source.close()
        self.visitors.clear()

    def close(self) -> None:
        """End it; may be called twice."""
        if self.link:
            self.link.stop()
        self.forget()
        self.retry_at = float("inf")
        self.listener.close()
        for memory in [*self.memories, *self.visitor_memories]:
            memory.close()


def answers_of(seen: Seen) -> Answers:
    """What was read on a frame, for the page."""
    frame, (height, width) = seen.frame, seen.frame.image.shape[:2]
    age_ms = (time.monotonic_ns() - frame.monotonic_ns) / 1e6
    return Answers(frame.index, round(age_ms, 2), (width, height), seen.digits, seen.refused, seen.numbers, seen.region)


class Link:
    """One process, and the threads that talk with it.

    Attributes:
        start: when, by `time.monotonic()`.
        over: whether it has ended, or said what is no message.
        outgoing: lines for it; None ends the thread that sends them.
    """

    def __init__(self, page: Page) -> None:
        self.start, self.over, self.outgoing = time.monotonic(), False, SimpleQueue[bytes | None]()
        self.words: deque[str] = deque(maxlen=LAST_WORDS)
        inherited = [page.listener.fileno(), *(memory.file for memory in [*page.memories, *page.visitor_memories])]
        self.process = subprocess.Popen(
            [sys.executable, "-c", START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=inherited,
        )
        self.outgoing.put(messages.encode(page.order()))
        self.threads = [
            Thread(target=self.hear, args=(page,), daemon=True),
            Thread(target=self.tell, daemon=True),
            Thread(target=self.overhear, daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def hear(self, page: Page) -> None:
        """In a thread: take its messages."""
        assert self.process.stdout
        with suppress(Exception), self.process.stdout as lines:  # what is no message ends it: it is started again
            for line in lines:
                page.hear(messages.decode_from_page(line))
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
