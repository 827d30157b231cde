"""The process that serves the page. It runs at a lower priority: the reading comes first.

Its first line of input is an `Order`, then messages come; the end of its input is the order to go, and comes also when
the reading process dies, whichever way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

import cv2
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application

from runtime.camera.web import messages
from runtime.camera.web.desk import Desk
from runtime.camera.web.guard import Guard
from runtime.camera.web.messages import Order, ToPage
from runtime.camera.web.metrics import Metrics, registry_for
from runtime.camera.web.pages import File, Handler, Health, Login, OpenFile, Ready, Snapshot, Sources, Start
from runtime.camera.web.viewers import ViewSocket
from runtime.camera.web.visits import VisitSocket

NICE = 10
MOST_CONNECTIONS = 128
RATE, BURST = 50, 200  # connections a second, and at once: a flood of them waits, as the reading comes first
LONGEST_HEADER, LONGEST_BODY = 8192, 4096  # bytes
IDLE_S = 20.0  # that a connection may take for its next request, and a request for its body
BYE_S = 0.3  # for those who watch to be told


class Server(HTTPServer):
    """Tornado's, with bounds on the connections that are open at the same time, and that come in a time."""

    def initialize(self, *arguments: Any, **settings: Any) -> None:
        """Called by Tornado in place of a constructor."""
        super().initialize(*arguments, **settings)
        self.streams = dict[IOStream, str]()  # the address that each is from; the oldest comes first

    async def accept(self, listener: socket.socket) -> None:
        """Take connections as they come, up to `RATE` a second in the long run; others wait in the system's queue."""
        loop = asyncio.get_running_loop()
        credit, counted_at = float(BURST), loop.time()
        while True:
            credit, counted_at = min(credit + RATE * (loop.time() - counted_at), BURST), loop.time()
            if credit < 1:
                await asyncio.sleep((1 - credit) / RATE)
                continue
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError:  # who came has left, or no descriptor is free
                await asyncio.sleep(1 / RATE)
                continue
            credit -= 1
            try:
                self._handle_connection(connection, address)
            except OSError:  # with TLS, who came has left
                connection.close()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        self.streams = {one: host for one, host in self.streams.items() if not one.closed()}
        if len(self.streams) >= MOST_CONNECTIONS and not self.make_room(address[0]):
            stream.close()
            return
        self.streams[stream] = address[0]
        super().handle_stream(stream, address)

    def make_room(self, newcomer: str) -> bool:
        """Close the oldest connection of the address that has most, if the newcomer has fewer; whether there is room.

        So nobody keeps others out, and many behind a proxy, who have one address, are kept out by nobody.
        """
        counts = Counter(self.streams.values())
        busiest, most = counts.most_common(1)[0]
        if counts[newcomer] + 1 >= most:
            return False
        oldest = next(one for one, host in self.streams.items() if host == busiest)
        oldest.close()
        del self.streams[oldest]
        return True


class NotFound(Handler):
    """Anything else."""

    def prepare(self) -> None:
        self.send_error(404)


def application(desk: Desk) -> Application:
    """All that is served."""
    guard = Guard(desk.order.token, desk.order.hosts)
    given = {"desk": desk, "guard": guard}
    routes: list[tuple[Any, ...]] = [
        ("/healthz", Health, given),
        ("/readyz", Ready, given),
        ("/metrics", Metrics, {**given, "registry": registry_for(desk)}),
    ]
    if desk.order.page:
        routes += [
            ("/", Start, {**given, "name": "index.html"}),
            ("/login", Login, {**given, "name": "login.html"}),
            (r"/static/(style\.css|login\.js|icon\.svg)", OpenFile, given),
            (r"/static/([a-z]+\.(?:js|css|svg))", File, given),
            (r"/sources\.json", Sources, given),
            (r"/snapshot\.png", Snapshot, given),
            ("/socket", ViewSocket, given),
        ]
    if desk.order.visitors:
        routes += [
            ("/visit", File, {**given, "name": "visit.html"}),
            ("/visit/socket", VisitSocket, given),
        ]
    return Application(
        routes,
        default_handler_class=NotFound,
        default_handler_args=given,
        log_function=lambda handler: None,  # addresses of requests may hold what is nobody's business
        websocket_ping_interval=20,
        websocket_ping_timeout=20,
    )


async def serve(order: Order, lines: Any, output: int) -> None:
    """Serve until the input ends."""
    desk = Desk(order, output)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    Thread(target=hear, args=(lines, desk.hear, loop, over), daemon=True).start()
    server = Server(
        application(desk),
        ssl_options=tls(order),
        max_header_size=LONGEST_HEADER,
        max_body_size=LONGEST_BODY,
        idle_connection_timeout=IDLE_S,
        body_timeout=IDLE_S,
    )
    listener = socket.socket(fileno=order.socket)
    listener.setblocking(False)
    tasks = [asyncio.ensure_future(work) for work in (server.accept(listener), desk.keep_asking())]
    await over.wait()
    for task in tasks:
        task.cancel()
    listener.close()
    goodbyes = [one.bye("the toolkit has ended") for one in desk.everybody()]
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.gather(*goodbyes), BYE_S)


def tls(order: Order) -> ssl.SSLContext | None:
    """For HTTPS, where there is a certificate."""
    if not order.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(order.certificate, order.key or None)
    return context


def hear(lines: Any, take: Callable[[ToPage], None], loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """In a thread: hand the reading process's messages to the loop."""
    with suppress(RuntimeError):  # the loop has ended
        try:
            for line in lines:
                loop.call_soon_threadsafe(take, messages.decode_to_page(line))
        finally:
            loop.call_soon_threadsafe(over.set)


def main() -> None:
    """The process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the reading process is told of the end, and ends this one
    with suppress(OSError):
        os.nice(NICE)
    cv2.setNumThreads(1)
    for name in ("tornado.access", "tornado.general"):  # they tell of every request that is no request
        logging.getLogger(name).disabled = True
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no message
    lines = sys.stdin.buffer
    order = messages.decode_order(lines.readline())
    code = 0
    try:
        asyncio.run(serve(order, lines, output))
    except Exception:
        traceback.print_exc()
        code = 1
    os._exit(code)  # Python itself would abort: the thread that hears holds the input
