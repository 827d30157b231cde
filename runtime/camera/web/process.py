"""The page's process, seen from the one that reads. The reading gives it what it asks for, and never waits for it."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread

from runtime.camera.controls import Controls
from runtime.camera.feed import Channel, Feed
from runtime.camera.frame import Source
from runtime.camera.outputs.seen import Seen
from runtime.camera.sources.memory import FrameMemory
from runtime.camera.sources.visitor import VisitorSource
from runtime.camera.summary import Tally
from runtime.camera.web import messages
from runtime.camera.web.link import LAST_WORDS, Link
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
from runtime.text import plain

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # before it is started again
STILL_S = 1.0  # without another frame, after which the latest is handed over again: to who came late, or saves it
LIVED_S = 60.0  # after which its end is the first of its kind


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
        self.latest: dict[int, tuple[Seen, float]] = {}  # of each source, and when it was handed over, or came
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
        elif self.memories:
            number = self.sources.index(source.name)
            self.latest[number] = (seen, time.monotonic())
            if number in self.asked:
                self.give(number)

    def give(self, number: int) -> None:
        """Hand the latest frame of a source over to those who wait for it."""
        seen, _ = self.latest[number]
        self.asked.discard(number)
        self.latest[number] = (seen, time.monotonic())
        self.memories[number].write(seen.frame.image)
        self.send(Shown(number, seen.frame.image.shape, answers_of(seen)))

    def attend(self, feed: Feed, tally: Tally) -> None:
        """Tell how it goes, if that was asked for; start the process again, if it has ended."""
        while self.lines:
            self.say(self.lines.popleft())
        for number in [*self.asked]:  # while the reading is paused, or the source has no other frame
            if number in self.latest and time.monotonic() - self.latest[number][1] > STILL_S:
                self.give(number)
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
            self.link = Link(self.order(), self.inherited(), self.hear)
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
            sources=tuple(map(plain, self.sources)),
            memories=tuple(memory.name for memory in self.memories),
            visitors=tuple(memory.name for memory in self.visitor_memories),
            page=served.page,
            token=served.token,
            hosts=served.hosts,
            certificate=served.certificate,
            key=served.key,
            parent=os.getpid(),
        )

    def inherited(self) -> list[int]:
        """File descriptors that the process gets: the socket, and the memory of pictures."""
        return [self.listener.fileno(), *(memory.file for memory in [*self.memories, *self.visitor_memories])]

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
