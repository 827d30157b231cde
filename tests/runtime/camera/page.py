"""The camera's page with stand-ins behind it, and those who ask it for something."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("tornado")
pytest.importorskip("prometheus_client")

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from runtime.camera.controls import Controls
from runtime.camera.feed import Feed
from runtime.camera.frame import Reading, Tracked
from runtime.camera.outputs.outputs import Outputs
from runtime.camera.pipeline import Limits, run
from runtime.camera.stages import Stages
from runtime.camera.web import link
from runtime.camera.web.listen import bound
from runtime.camera.web.process import Page, Served
from tests.runtime.camera.stand_ins import SIDE, DrawnSource, SquareReader, each_a_number

PATIENCE_S = 60.0
TOKEN = "a-token-for-tests-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Counting:
    """A tracker that gives its digits the number of its frames: those of another tracker are told apart."""

    def __init__(self) -> None:
        self.frames = 0

    def update(self, reading: Reading, now_ns: int) -> tuple[Tracked, ...]:
        self.frames += 1
        return tuple(Tracked(digit.box, digit.label, digit.probability, self.frames) for digit in reading.digits)


class Gate(SquareReader):
    """A reader that stands still while it is shut.

    Attributes:
        waiting: whether it does, with pictures in its hands.
    """

    def __init__(self) -> None:
        super().__init__()
        self.open, self.waiting = threading.Event(), False
        self.open.set()

    def read_all(self, images: Sequence[Any]) -> list[Reading]:
        self.waiting = True
        self.open.wait()
        self.waiting = False
        return super().read_all(images)


class Running:
    """A page and the loop that reads, in a thread."""

    def __init__(self, page: Page, feed: Feed, reader: SquareReader, said: list[str], limits: Limits) -> None:
        self.page, self.feed, self.reader, self.said, self.limits = page, feed, reader, said, limits
        self.port = page.listener.getsockname()[1]
        self.failures: list[BaseException] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        stages = Stages(self.reader, lambda source: Counting(), each_a_number)
        outputs = Outputs(others=[self.page], say=self.said.append)
        try:
            run(self.feed, stages, outputs, self.page.controls, self.limits, self.over.is_set)
        except BaseException as error:
            self.failures.append(error)

    @property
    def frames(self) -> int:
        """That were read."""
        return sum(self.reader.together)

    @property
    def process(self) -> Any:
        """The page's."""
        until(lambda: self.page.link, "the page's process is there")
        return self.page.link.process  # type: ignore[union-attr]

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        """By HTTP; `_` in a header's name stands for `-`."""
        return ask(self.port, path, method, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def view(self, **headers: str) -> Talk:
        return Talk(f"ws://127.0.0.1:{self.port}/socket", headers)

    def visit(self, **headers: str) -> Talk:
        return Talk(f"ws://127.0.0.1:{self.port}/visit/socket", headers)

    def stop(self) -> None:
        self.over.set()
        if isinstance(self.reader, Gate):
            self.reader.open.set()
        self.thread.join(PATIENCE_S)
        self.feed.close()
        self.page.close()


@contextmanager
def running(
    *sources: DrawnSource,
    served: Served | None = None,
    reader: SquareReader | None = None,
    host: str = "127.0.0.1",
    max_age_s: float = 60.0,
) -> Iterator[Running]:
    """A page that answers, however busy the machine is."""
    served, said = served or Served(), list[str]()
    page = Page(bound(host, 0), [source.name for source in sources], served, Controls(threshold=0.5), said.append)
    feed = Feed(sources, page.newcomers if served.visitors else None)
    it = Running(page, feed, reader or SquareReader(), said, Limits(max_age_s=max_age_s))
    try:
        yield it
    finally:
        it.stop()
    assert it.failures == []


def live(name: str = "drawn") -> DrawnSource:
    """A camera of 20 frames a second."""
    return DrawnSource(None, live=True, fps=20, name=name)


def hasten(monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    """Give the page's processes that start from now on limits of fewer seconds: `serve__IDLE_S=5` is `serve.IDLE_S`."""
    for name, seconds in limits.items():
        module, _, constant = name.partition("__")
        first = f"import runtime.camera.web.{module} as module; assert module.{constant} > {seconds}; "
        first += f"module.{constant} = {seconds}; "
        monkeypatch.setattr(link, "START", link.START.replace("main()", first + "main()"))


class Answer:
    """What an HTTP server answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.reason, self.headers = response.status, response.reason, response.headers
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def all(self) -> str:
        """Whatever can be read of it."""
        return f"{self.reason}{self.headers}{self.body.decode('latin1')}"


def ask(
    port: int, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def raw(port: int, data: bytes) -> bytes:
    """What a server answers to any bytes, until it closes the connection or has nothing to say for a moment."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                answer += piece
                connection.settimeout(0.2)
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        return answer


class Talk:
    """A WebSocket, one step after the other: between two of them nothing is read."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        headers = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        limits = {"connect_timeout": PATIENCE_S, "request_timeout": PATIENCE_S}
        request = HTTPRequest(url, headers=headers, **limits, **options)
        try:
            self.connection: WebSocketClientConnection = self.wait(self.connect(request))
        except BaseException:
            self.loop.close()
            raise

    async def connect(self, request: HTTPRequest) -> WebSocketClientConnection:
        return await websocket_connect(request)

    def wait(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE_S))

    def say(self, kind: str, **values: object) -> None:
        self.send(json.dumps({"type": kind, **values}))

    def send(self, data: str | bytes) -> None:
        async def write() -> None:
            await self.connection.write_message(data, binary=isinstance(data, bytes))

        self.wait(write())

    def receive(self) -> Any:
        """The next message: an object, or bytes; None at the end."""
        message = self.wait(self.read())
        return json.loads(message) if isinstance(message, str) else message

    async def read(self) -> str | bytes | None:
        return await self.connection.read_message()

    def until(self, kind: str) -> Any:
        """The next message of that kind; binary ones are passed over."""
        while True:
            message = self.receive()
            assert message is not None, f"closed with {self.code} before {kind}"
            if isinstance(message, dict) and message["type"] == kind:
                return message

    def frame(self) -> tuple[dict[str, Any], np.ndarray]:
        """Ask for the next frame: what was read on it, and its picture."""
        self.say("next")
        text = self.until("frame")
        jpeg = self.receive()
        assert isinstance(jpeg, bytes)  # at once: nothing comes between the two
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return text, picture

    def stats(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first ones of which something is true."""
        end = time.monotonic() + PATIENCE_S
        while not wanted(stats := self.until("stats")):
            assert time.monotonic() < end, stats
        return stats

    def ended(self) -> int | None:
        """Read to the end; the code with which it was closed."""
        while self.receive() is not None:
            pass
        return self.code

    def settle(self) -> None:
        """Wait until the server has taken all that was sent."""
        pongs: list[bytes] = []
        self.connection.on_pong = pongs.append  # type: ignore[method-assign]
        self.connection.protocol.write_ping(b"")

        async def wait() -> None:
            while not pongs:
                await asyncio.sleep(0.01)

        self.wait(wait())

    @property
    def code(self) -> int | None:
        return self.connection.close_code

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        async def leave() -> None:
            self.connection.close()
            await asyncio.sleep(0)
            if self.connection.protocol and self.connection.protocol.stream:
                self.connection.protocol.stream.close()
            await asyncio.sleep(0.01)

        if not self.loop.is_closed():
            self.wait(leave())
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()


def until(wanted: Callable[[], object], what: str = "") -> None:
    """Wait for what has to be so some time."""
    end = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < end, f"not in {PATIENCE_S:.0f} s: {what or wanted}"
        time.sleep(0.05)


def jpeg_of_square(x: int, size: tuple[int, int] = (160, 120)) -> bytes:
    """A visitor's picture, with a dark square that begins at this column."""
    picture = np.full((size[1], size[0], 3), 220, np.uint8)
    picture[30 : 30 + SIDE, x : x + SIDE] = 20
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def is_gone(process: int) -> bool:
    """Whether a process that is no child of this one has ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False
