"""What is served by HTTP: the page and its parts, the way in, snapshots, health and metrics."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from runtime.camera.frame import State
from runtime.camera.web.desk import Desk
from runtime.camera.web.guard import Guard

STATIC = Path(__file__).parent / "static"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",  # with 'no-referrer' browsers do not say where a form was sent from
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SNAPSHOT_S = 5.0  # that a frame may take
SLOW_S = 30.0  # that an answer may take to be read
WRONG_S = 0.5  # that a wrong token waits for its answer
MOST_WRONG = 8  # that wait at the same time
COOKIE_DAYS = 30


class Plain(RequestHandler):
    """What all have in common: headers, errors in one line, and that strangers are refused."""

    def initialize(self, desk: Desk, guard: Guard) -> None:
        """Called by Tornado with what the application gives."""
        self.desk, self.guard = desk, guard

    def set_default_headers(self) -> None:
        """Of every answer, errors too."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Type", "text/plain; charset=utf-8")

    def prepare(self) -> None:
        """Refuse strangers before anything is done."""
        problem = refusal(self, self.guard)
        if problem:
            raise HTTPError(403, reason=problem)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """In one line; nothing of the request is repeated. The connection ends: the next one has to wait its turn."""
        if status_code == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        self.set_header("Connection", "close")
        stream = self.request.connection.stream  # type: ignore[union-attr]
        self.finish(f"{status_code} {self._reason}\n").add_done_callback(lambda _: stream.close())


class Handler(Plain):
    """What is served by HTTP.

    Attributes:
        for_all: whether those who do not know the token are let in, too.
    """

    for_all = False

    def prepare(self) -> None:
        """Refuse those, too, who do not know the token."""
        super().prepare()
        if not self.for_all and not lets_in(self, self.guard):
            self.refuse()

    def head(self, *arguments: str, **names: str) -> Awaitable[None] | None:
        """What `get` answers; Tornado leaves the content out."""
        return self.get(*arguments, **names)

    def refuse(self) -> None:
        """Someone who does not know the token: a program is told so, a person is shown the way in."""
        if self.request.method in ("GET", "HEAD") and "text/html" in self.request.headers.get("Accept", ""):
            self.redirect("/login", status=303)
        else:
            raise HTTPError(401, reason="The token is missing or wrong")

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> Future[None]:
        """Send the answer; nobody holds it for ever by not reading it."""
        stream = self.request.connection.stream  # type: ignore[union-attr]
        written = super().finish(chunk)
        cut = asyncio.get_running_loop().call_later(SLOW_S, stream.close)
        written.add_done_callback(lambda _: cut.cancel())
        return written


def refusal(handler: RequestHandler, guard: Guard) -> str:
    """Why a request is not served, whoever sends it; empty where it is."""
    request = handler.request
    if not guard.knows_host(request.host):
        return "This is not the host that you asked for"
    if not guard.knows_origin(request.headers.get("Origin"), request.protocol, request.host):
        return "Another site asks for this"
    followed = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"  # a link to here
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none") and not followed:
        return "Another site asks for this"
    return ""


def lets_in(handler: RequestHandler, guard: Guard) -> bool:
    """Whether whoever asks knows the token."""
    cookie = handler.get_cookie(cookie_name(handler)) or ""
    return guard.lets_in(cookie, handler.request.headers.get("Authorization", ""))


def cookie_name(handler: RequestHandler) -> str:
    """Other servers of this machine share its cookies: those on other ports have other names."""
    port = handler.request.host.rpartition(":")[2]
    return f"toolkit-camera-{port if port.isdecimal() else ''}"


class File(Handler):
    """A part of the page."""

    def initialize(self, desk: Desk, guard: Guard, name: str = "") -> None:
        """`name` is of a file that is served whatever is asked for."""
        super().initialize(desk, guard)
        self.name = name

    def get(self, name: str = "") -> None:
        path = STATIC / (self.name or name)  # the route lets no other characters through than those of our names
        if path.suffix not in KINDS or not path.is_file():
            raise HTTPError(404)
        self.set_header("Content-Type", f"{KINDS[path.suffix]}; charset=utf-8")
        self.finish(path.read_bytes())


class OpenFile(File):
    """What is needed for the way in."""

    for_all = True


class Start(File):
    """The live view, or a visitor's own camera where there is nothing else to see."""

    def get(self, name: str = "") -> None:
        if self.desk.order.sources:
            super().get(name)
        else:
            self.redirect("/visit", status=303)


class Login(File):
    """The way in."""

    for_all = True
    waiting = 0

    async def post(self) -> None:
        if self.guard.is_token(self.get_body_argument("token", "")):
            secure = self.request.protocol == "https"
            name = cookie_name(self)
            self.set_cookie(
                name,
                self.guard.cookie,
                expires_days=COOKIE_DAYS,
                httponly=True,
                samesite="Strict",
                secure=secure,
            )
            self.redirect("/", status=303)
            return
        if Login.waiting >= MOST_WRONG:
            raise HTTPError(429)
        Login.waiting += 1
        try:
            await asyncio.sleep(WRONG_S)
        finally:
            Login.waiting -= 1
        self.redirect("/login?wrong", status=303)


class Sources(Handler):
    """What there is to see."""

    def get(self) -> None:
        order = self.desk.order
        self.finish({"sources": list(order.sources), "browser": bool(order.visitors)})


class Snapshot(Handler):
    """A frame with what was read drawn on it."""

    async def get(self) -> None:
        number = self.get_query_argument("source", "0")
        if not number.isdecimal() or len(number) > 3 or int(number) >= len(self.desk.views):
            raise HTTPError(404, reason="There is no such source")
        try:
            data = await asyncio.wait_for(self.desk.views[int(number)].snapshot(), SNAPSHOT_S)
        except asyncio.TimeoutError:
            data = None
        if data is None:
            raise HTTPError(503, reason="No frame comes")
        self.set_header("Content-Type", "image/png")
        self.set_header("Content-Disposition", 'attachment; filename="camera.png"')
        try:
            await self.finish(data)
        except StreamClosedError:
            return


class Health(Handler):
    """Whether the reading goes on. It says nothing that is not for all to know."""

    for_all = True

    def get(self) -> None:
        self.set_status(200 if self.desk.alive else 503)
        self.finish("ok\n" if self.desk.alive else "the reading does not go on\n")


class Ready(Handler):
    """Whether every source gives frames, and one has been read."""

    for_all = True

    def get(self) -> None:
        problem = self.problem()
        self.set_status(503 if problem else 200)
        self.finish(f"{problem or 'ok'}\n")

    def problem(self) -> str:
        """What is missing; empty where nothing is."""
        stats = self.desk.stats
        if not self.desk.alive or not stats:
            return "the reading does not go on"
        own = [source for source in stats.sources if source.index >= 0]
        away = sum(source.state != State.STREAMING.value for source in own)
        if away:
            return f"{away} of {len(own)} sources give no frames"
        return "" if not own or any(source.frames for source in own) else "no frame has been read"
