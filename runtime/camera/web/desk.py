"""Between those who look at the page and the process that reads: who waits for what, and what is there."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeAlias, TypeVar

import cv2
import numpy as np

from runtime.camera.frame import Frame, Picture
from runtime.camera.outputs.drawing import draw
from runtime.camera.outputs.seen import Seen
from runtime.camera.sources.memory import FrameMemory
from runtime.camera.web import messages
from runtime.camera.web.messages import Answered, Answers, AskFrame, AskStats, FromPage, Order, Shown, Stats, ToPage
from runtime.camera.web.sent import FrameText

STATS_S = 0.5  # between two looks at how it goes
LAST_SIGN_S = 10.0  # without an answer, after which the reading does not go on
FRAME_S = 0.04  # between two pictures of a source: no eye needs more, and each costs the reading a copy
LARGEST_SIDE = 1280  # of a picture on the page
QUALITY = 80
T = TypeVar("T")
Shot: TypeAlias = tuple[bytes, bytes]  # what was read on a frame, as JSON, and its picture, as JPEG


class Guest(Protocol):
    """Somebody who is connected."""

    async def bye(self, reason: str) -> None:
        """It is the end."""
        ...


class Visit(Guest, Protocol):
    """Somebody with a camera."""

    def answer(self, answers: Answers | None) -> None:
        """What was read on the latest frame; None where it was not."""
        ...


class Desk:
    """What the page's process knows.

    Attributes:
        order: what is served.
        stats: the latest; None before there are any.
        views: of each source that has pictures.
        visits: of visitors with a camera, by their numbers.
        places: numbers of the visitors' memories that are free; the one that has been free longest comes first.
        watching: those who watch.

    Args:
        order: what is served.
        output: descriptor of the way to the reading process.
    """

    def __init__(self, order: Order, output: int) -> None:
        self.order, self.output = order, output
        self.stats: Stats | None = None
        self.stats_at, self.started = 0.0, time.monotonic()
        self.workers = ThreadPoolExecutor(2, "pictures")
        memories = map(FrameMemory, order.memories)
        self.views = [View(number, memory, self) for number, memory in enumerate(memories)]
        self.visitor_memories = [FrameMemory(name) for name in order.visitors]
        self.places = deque(range(len(order.visitors)))
        self.visits: dict[int, Visit] = {}
        self.visits_so_far = 0
        self.watching: set[Guest] = set()
        self.tasks: set[asyncio.Task[object]] = set()

    def say(self, message: FromPage) -> None:
        """To the reading process, which takes all at once."""
        os.write(self.output, messages.encode(message) + b"\n")

    def hear(self, message: ToPage) -> None:
        """From the reading process."""
        if isinstance(message, Stats):
            self.stats, self.stats_at = message, time.monotonic()
        elif isinstance(message, Shown):
            self.begin(self.views[message.source].take(message))
        elif isinstance(message, Answered) and message.visitor in self.visits:
            self.visits[message.visitor].answer(message.answers)

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Let something be done meanwhile."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)  # asyncio itself would forget it
        task.add_done_callback(self.tasks.discard)

    async def keep_asking(self) -> None:
        """For stats, for ever."""
        while True:
            self.say(AskStats())
            await asyncio.sleep(STATS_S)

    def everybody(self) -> list[Guest]:
        """Who is connected."""
        return [*self.watching, *self.visits.values()]

    @property
    def alive(self) -> bool:
        """Whether the reading goes on: its loop has answered lately."""
        return time.monotonic() - max(self.stats_at, self.started) < LAST_SIGN_S


class View:
    """The pictures of one source. One is made for all who wait for it, and none that nobody waits for."""

    def __init__(self, number: int, memory: FrameMemory, desk: Desk) -> None:
        self.number, self.memory, self.desk = number, memory, desk
        self.frames: list[asyncio.Future[Shot | None]] = []
        self.snapshots: list[asyncio.Future[bytes | None]] = []
        self.asked, self.next_at = False, 0.0

    def frame(self) -> asyncio.Future[Shot | None]:
        """The next frame; None where it could not be had."""
        return self.wait(self.frames)

    def snapshot(self) -> asyncio.Future[bytes | None]:
        """The next frame with what was read drawn on it, as PNG; None where it could not be had."""
        return self.wait(self.snapshots)

    def wait(self, waiting: list[asyncio.Future[T]]) -> asyncio.Future[T]:
        """Join those who wait for a picture of that kind."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        self.ask()
        return future

    def ask(self) -> None:
        """For a frame, if somebody waits, none is on its way, and it is time."""
        self.frames[:] = [future for future in self.frames if not future.done()]
        self.snapshots[:] = [future for future in self.snapshots if not future.done()]
        if self.asked or not (self.frames or self.snapshots):
            return
        self.asked = True
        pause = max(0.0, self.next_at - time.monotonic())
        asyncio.get_running_loop().call_later(pause, self.desk.say, AskFrame(self.number))

    async def take(self, shown: Shown) -> None:
        """A frame is in the memory: make of it what was waited for."""
        self.next_at = time.monotonic() + FRAME_S
        frames, self.frames = self.frames, []
        snapshots, self.snapshots = self.snapshots, []
        try:
            if frames:
                jpeg = await self.work(jpeg_of, self.memory.view(shown.shape))
                give(frames, (messages.encode(FrameText.of(self.number, shown.answers)), jpeg))
            if snapshots:
                give(snapshots, await self.work(png_of, self.memory.view(shown.shape), shown.answers))
        finally:
            give(frames, None)  # whatever went wrong, nobody waits for ever
            give(snapshots, None)
            self.asked = False  # only now may the memory change
            self.ask()

    async def work(self, job: Callable[..., bytes], *arguments: object) -> bytes:
        """In another thread, so that nobody waits for a picture but those who want it."""
        return await asyncio.get_running_loop().run_in_executor(self.desk.workers, job, *arguments)


def give(futures: Sequence[asyncio.Future[T]], value: T) -> None:
    """To all who still wait."""
    for future in futures:
        if not future.done():
            future.set_result(value)


def jpeg_of(image: Picture) -> bytes:
    """A picture for the page, which is no larger than a screen shows."""
    scale = LARGEST_SIDE / max(image.shape[:2])
    if scale < 1:
        height, width = (max(1, round(scale * side)) for side in image.shape[:2])
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def png_of(image: Picture, answers: Answers) -> bytes:
    """A picture with what was read drawn on it."""
    frame = Frame(image, answers.frame, 0, 0, "")
    drawn = draw(Seen(frame, answers.digits, answers.numbers, answers.refused, answers.region))
    return bytes(cv2.imencode(".png", drawn)[1])
