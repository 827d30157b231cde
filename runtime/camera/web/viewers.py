"""Those who watch: each is sent the newest frame when it has shown the one before, and what it asks for is done."""

from __future__ import annotations

import asyncio
import time

import msgspec
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from runtime.camera.web import messages, sent
from runtime.camera.web.desk import Desk, Shot, View
from runtime.camera.web.guard import Guard
from runtime.camera.web.messages import SetPaused, SetRegion, SetThreshold
from runtime.camera.web.pages import Plain, lets_in
from runtime.camera.web.sent import Asked, ByeText, ErrorText, Next, Pause, Region, StatsText, Threshold, Watch

MOST_VIEWERS = 64
STATS_S = 0.5  # between two messages on how it goes
SLOW_S = 10.0  # that a message may take, before the viewer is dropped
LONGEST = 4096  # bytes of what a viewer says
PACE_S = 0.005  # between two messages of a viewer: the reading has each of them to take
MOST_WRONG = 20  # messages that are not understood, or ask for what cannot be
MOST_PINGS = 20  # at once; then one a second
NO_TOKEN, TOO_MANY = 4401, 4429


class Socket(Plain, WebSocketHandler):
    """What viewers and visitors have in common.

    Attributes:
        admitted: whether what the other side says counts: a connection that is being closed goes on for a while.
    """

    admitted = False

    def initialize(self, desk: Desk, guard: Guard) -> None:
        """Called by Tornado with what the application gives."""
        super().initialize(desk, guard)
        self.wrong, self.pings, self.pinged_at = 0, 0.0, 0.0
        self.tasks = list[asyncio.Task[None]]()

    @property
    def max_message_size(self) -> int:
        """In bytes; a longer one ends the connection."""
        return LONGEST

    def check_origin(self, origin: str) -> bool:
        """Was done before: see `refusal`."""
        return True

    async def send_all(self, *texts: bytes | str | msgspec.Struct) -> bool:
        """Send messages one after the other, bytes as they are; False where the other side is gone, or too slow."""
        try:
            for text in texts:
                binary = isinstance(text, bytes)
                data = messages.encode(text).decode() if isinstance(text, msgspec.Struct) else text
                await asyncio.wait_for(self.write_message(data, binary=binary), SLOW_S)
        except (WebSocketClosedError, StreamClosedError):
            return False
        except asyncio.TimeoutError:
            self.drop()
            return False
        return True

    def drop(self) -> None:
        """Close without a word: the other side does not read."""
        connection = self.ws_connection
        stream = getattr(connection, "stream", None)
        if stream:
            stream.close()

    async def misunderstood(self) -> None:
        """Count; who goes on like that is sent away."""
        self.wrong += 1
        if self.wrong > MOST_WRONG:
            self.admitted = False
            self.close(1008, "not understood")
        await asyncio.sleep(PACE_S)

    def on_ping(self, data: bytes) -> None:
        """Drop who sends more than anybody needs: Tornado before 6.6 keeps an answer to each until it is read."""
        now = time.monotonic()
        self.pings = max(0.0, self.pings - (now - self.pinged_at)) + 1
        self.pinged_at = now
        if self.pings > MOST_PINGS:
            self.drop()


class ViewSocket(Socket):
    """One viewer."""

    async def open(self, *arguments: str, **names: str) -> None:
        if not lets_in(self, self.guard):
            self.close(NO_TOKEN, "token")
        elif len(self.desk.watching) >= MOST_VIEWERS:
            self.close(TOO_MANY, "too many viewers")
        else:
            self.admitted = True
            self.desk.watching.add(self)
            self.view: View | None = next(iter(self.desk.views), None)
            self.coming: asyncio.Future[Shot | None] | None = None
            self.wanted, self.writing = asyncio.Event(), asyncio.Lock()
            self.tasks = [asyncio.ensure_future(work()) for work in (self.send_frames, self.send_stats)]

    async def on_message(self, message: str | bytes) -> None:
        if not self.admitted:
            return
        try:
            problem = self.obey(sent.decode(message))
        except (msgspec.MsgspecError, RecursionError):
            await self.misunderstood()
            return
        if problem:
            await self.tell(ErrorText(problem))
            await self.misunderstood()
        await asyncio.sleep(PACE_S)

    def obey(self, asked: Asked) -> str:
        """Do what a viewer asks for; why not, where that cannot be."""
        problem = ""
        if isinstance(asked, Next):
            self.wanted.set()
        elif isinstance(asked, Watch):
            if 0 <= asked.source < len(self.desk.views):
                self.watch(self.desk.views[asked.source])
            else:
                problem = "there is no such source"
        elif isinstance(asked, Pause):
            self.desk.say(SetPaused(asked.paused))
        elif isinstance(asked, Region):
            problem = asked.problem(len(self.desk.views))
            if not problem:
                self.desk.say(SetRegion(asked.source, asked.region))
        elif isinstance(asked, Threshold):
            if 0 <= asked.value <= 1:
                self.desk.say(SetThreshold(asked.value))
            else:
                problem = "a threshold is 0 to 1"
        return problem

    def watch(self, view: View) -> None:
        """Wait no more for a frame of another source: it may be one that has no more of them."""
        self.view = view
        if self.coming and not self.coming.done():
            self.coming.set_result(None)

    async def send_frames(self) -> None:
        """One for each time that the viewer wants one."""
        while self.admitted:
            await self.wanted.wait()
            self.wanted.clear()
            view = self.view
            if not view:  # there are visitors only
                continue
            self.coming = view.frame()
            shot = await self.coming
            if not shot or view is not self.view:
                self.wanted.set()
                continue
            text, jpeg = shot
            async with self.writing:
                if not await self.send_all(text.decode(), jpeg):
                    return

    async def send_stats(self) -> None:
        """Twice a second."""
        while self.admitted:
            if self.desk.stats and not await self.tell(StatsText.of(self.desk.stats)):
                return
            await asyncio.sleep(STATS_S)

    async def tell(self, text: msgspec.Struct) -> bool:
        """A message between frames."""
        async with self.writing:
            return await self.send_all(text)

    async def bye(self, reason: str) -> None:
        """It is the end."""
        await self.tell(ByeText(reason))
        self.close(1001, "the end")

    def on_close(self) -> None:
        self.admitted = False  # `wait_for` of Python before 3.12 may swallow what follows
        self.desk.watching.discard(self)
        for task in self.tasks:
            task.cancel()
