"""Who may see the page: the names under which it is asked for, other sites, the token, and headers of all answers."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPClientError

from runtime.camera.web.guard import Guard
from runtime.camera.web.pages import MOST_WRONG, STATIC
from runtime.camera.web.process import Served
from tests.runtime.camera.page import BEARER, PATIENCE_S, TOKEN, Answer, Running, Talk, live, raw, running, until

UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSED = ["/", "/sources.json", "/snapshot.png", "/static/view.js", "/visit", "/metrics"]
OPEN = ["/healthz", "/readyz", "/login", "/static/style.css", "/static/login.js", "/static/icon.svg"]
OUTSIDE = [
    "/static/../serve.py",
    "/static/..%2fserve.py",
    "/static/%2e%2e/serve.py",
    "/static/....//serve.py",
    "/static//etc/passwd",
    "/static/",
    "/static",
    "/static/style.css%00.svg",
    "/static/index.html",
    "/static/styleXcss",
    "//static/style.css",
    "/nothing",
    "/metrics/",
]


@pytest.fixture(scope="module")
def page() -> Iterator[Running]:
    """One for which no token is needed."""
    with running(live(), served=Served(visitors=True, hosts=("camera.example", "Upper.Example"))) as it:
        until(lambda: it.ask("/readyz").status == 200)
        yield it


@pytest.fixture(scope="module")
def secret() -> Iterator[Running]:
    """One that asks for a token."""
    with running(live(), served=Served(visitors=True, token=TOKEN, hosts=())) as it:
        until(lambda: it.ask("/readyz").status == 200)
        yield it


def masked(data: bytes) -> bytes:
    """A WebSocket message, as browsers send it."""
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data


def login(page: Running, token: str, **headers: str) -> Answer:
    form = urlencode({"token": token}).encode()
    return page.ask("/login", "POST", form, Content_Type="application/x-www-form-urlencoded", **headers)


def assert_has_headers(answer: Answer) -> None:
    """Those that every answer has, whatever it is."""
    policy = answer.headers["Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Server"] is None
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", [*CLOSED, *OPEN])
def test_every_answer_has_the_headers_that_keep_other_sites_out(path: str, page: Running) -> None:
    answer = page.ask(path)
    assert answer.status == 200
    assert_has_headers(answer)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"):
        other = page.ask(path, method)
        assert other.status == 405
        assert_has_headers(other)
    assert "Traceback" not in other.text


def test_head_gives_the_headers_of_get_alone(page: Running, secret: Running) -> None:
    for path in ("/", "/visit", "/login", "/static/view.js", "/static/style.css", "/sources.json"):
        with_content, without = page.ask(path), page.ask(path, "HEAD")
        assert (without.status, without.body) == (200, b"")
        assert without.headers["Content-Length"] == str(len(with_content.body))
        assert {**without.headers, "Date": ""} == {**with_content.headers, "Date": ""}
    assert page.ask("/healthz", "HEAD").status == 200
    assert page.ask("/snapshot.png", "HEAD").headers["Content-Type"] == "image/png"
    assert page.ask("/static/none.js", "HEAD").status == 404
    assert secret.ask("/sources.json", "HEAD").status == 401
    assert secret.ask("/", "HEAD", Accept="text/html").headers["Location"] == "/login"


@pytest.mark.parametrize("path", ["/socket", "/visit/socket"])
def test_a_socket_that_is_asked_for_as_a_page_has_them_too(path: str, page: Running, secret: Running) -> None:
    for answer, status in (
        (page.ask(path), 400),
        (page.ask(path, "POST", b""), 405),
        (page.ask(path, Upgrade="websocket"), 400),
        (page.ask(path, Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="99"), 426),
        (page.ask(path, Upgrade="websocket", Connection="Upgrade", Origin="http://evil.example"), 403),
        (page.ask(path, Host="evil.example"), 403),
        (secret.ask(path), 400),
    ):
        assert answer.status == status
        assert_has_headers(answer)


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_is_served_but_the_page(path: str, page: Running) -> None:
    answer = page.ask(path)
    assert answer.status in (400, 404)
    assert_has_headers(answer)


def test_the_files_of_the_page_are_served_as_what_they_are(page: Running) -> None:
    for file in STATIC.iterdir():
        if file.suffix != ".html":
            answer = page.ask(f"/static/{file.name}")
            assert answer.body == file.read_bytes()
            kind = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}[file.suffix]
            assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert page.ask("/").body == (STATIC / "index.html").read_bytes()
    assert page.ask("/visit").body == (STATIC / "visit.html").read_bytes()


HOSTS = ["127.0.0.1", "127.0.0.1:PORT", "localhost", "LocalHost:PORT", "localhost.", "localhost.:1", "[::1]:PORT"]
HOSTS += ["192.168.1.7:PORT", "camera.example", "CAMERA.example:443", "upper.example", "[fe80::1]"]
STRANGE_HOSTS = ["evil.example", "evil.example:PORT", "localhost.evil.example", "127.0.0.1.evil.example"]
STRANGE_HOSTS += ["localhost@evil.example", "evil@localhost", "@localhost", "localhost:x", "localhost:99999999"]
STRANGE_HOSTS += ["localhost/evil", "localhost?x", "localhost#x", "[::1", "::1]", "local\thost", "localhost\\@evil"]
STRANGE_HOSTS += [
    "127.0.0.1.",
    "0x7f000001",
    "2130706433",
    "127.1",
    "\xff\xfe",
    "loc\xe4lhost",
    "localhost,evil",
    "[x]",
]
STRANGE_HOSTS += ["localhost localhost", "localhost%2eevil", "."]


@pytest.mark.parametrize("host", HOSTS)
def test_its_own_names_and_addresses_are_answered(host: str, page: Running) -> None:
    host = host.replace("PORT", str(page.port))
    assert page.ask("/healthz", Host=host).status == 200
    assert page.ask("/healthz", Host=host, Origin=f"http://{host}").status == 200


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_a_name_that_a_stranger_made_to_point_here_is_not(host: str, page: Running) -> None:
    host = host.replace("PORT", str(page.port))
    answer = raw(page.port, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin1"))
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"403")
    assert len(host) < 2 or host.encode("latin1") not in answer


def test_hosts_that_are_no_requests_are_refused_too(page: Running) -> None:
    for lines in ("", "Host: localhost\r\nHost: evil.example\r\n", "Host:\r\n", "Host: evil\0.example\r\n"):
        answer = raw(page.port, f"GET /snapshot.png HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
        assert answer == b"" or answer.split(b" ")[1] in (b"200", b"400", b"403")
        if "evil" in lines:
            assert b" 200 " not in answer


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "https://localhost:PORT",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:PORT",
        "http://127.0.0.1:PORT.evil.example",
        "http://127.0.0.1:PORT/",
        "http://evil@127.0.0.1:PORT",
        "file://",
    ],
)
def test_another_site_gets_nothing(origin: str, page: Running) -> None:
    origin = origin.replace("PORT", str(page.port))
    for path in ("/", "/sources.json", "/healthz", "/metrics"):
        answer = page.ask(path, Origin=origin)
        assert answer.status == 403
        assert_has_headers(answer)
    assert login(page, "x", Origin=origin).status == 403
    for connect in (page.view, page.visit):
        with pytest.raises(HTTPClientError, match="403"):
            connect(Origin=origin)


def test_the_page_itself_gets_its_socket(page: Running) -> None:
    with page.view(Origin=f"http://127.0.0.1:{page.port}", Sec_Fetch_Site="same-origin") as viewer:
        viewer.frame()


def test_the_page_may_come_by_a_proxy_that_ends_tls(page: Running) -> None:
    with page.view(Origin=f"https://127.0.0.1:{page.port}", Sec_Fetch_Site="same-origin") as viewer:
        viewer.frame()


def test_what_a_browser_says_of_the_site_that_asks_is_believed(page: Running) -> None:
    for site in ("cross-site", "same-site"):
        assert page.ask("/snapshot.png", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403
        assert page.ask("/static/view.js", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403
        assert page.ask("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200  # a link is followed
        assert login(page, "x", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 403
        with pytest.raises(HTTPClientError, match="403"):
            page.view(Sec_Fetch_Site=site, Sec_Fetch_Mode="websocket")
    assert page.ask("/sources.json", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors").status == 200
    assert page.ask("/", Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate").status == 200


def test_without_the_token_there_is_nothing_but_the_way_in(secret: Running) -> None:
    for path in CLOSED:
        answer = secret.ask(path)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert_has_headers(answer)
        person = secret.ask(path, Accept="text/html,*/*")
        assert (person.status, person.headers["Location"]) == (303, "/login")
        assert_has_headers(person)
        assert secret.ask(path, "PUT").status == 401
    for path in OPEN:
        assert secret.ask(path).status == 200
    for connect in (secret.view, secret.visit):
        with connect() as stranger:
            assert stranger.ended() == 4401


@pytest.mark.parametrize(
    "given",
    [
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer t\xf6ken"},
        {"Cookie": "toolkit-camera-PORT="},
        {"Cookie": f"toolkit-camera-PORT={TOKEN}"},
        {"Cookie": 'toolkit-camera-PORT="\\303\\377"; ;;=;'},
        {"Cookie": f"toolkit-camera-PORT={Guard('another-token-0123456789', ()).cookie}"},
        {"Cookie": f"toolkit-camera-={Guard(TOKEN, ()).cookie}"},
        {"Cookie": f"token={Guard(TOKEN, ()).cookie}"},
    ],
)
def test_what_is_not_quite_the_token_is_not_it(given: dict[str, str], secret: Running) -> None:
    given = {name: value.replace("PORT", str(secret.port)) for name, value in given.items()}
    assert secret.ask("/metrics", **given).status == 401
    with secret.view(**given) as stranger:
        assert stranger.ended() == 4401


def test_with_the_token_all_is_there(secret: Running) -> None:
    for path in CLOSED:
        assert secret.ask(path, **BEARER).status == 200
    assert secret.ask("/metrics", Authorization=f"bearer {TOKEN}").status == 200
    with secret.view(**BEARER) as viewer, secret.visit(**BEARER) as visitor:
        viewer.frame()
        assert visitor.receive()["type"] == "ready"


def test_a_browser_gets_a_cookie_for_the_token(secret: Running) -> None:
    answer = login(secret, TOKEN)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # by HTTP it would not be sent
    assert TOKEN not in answer.all
    sent = cookie.partition(";")[0]
    for path in CLOSED:
        answer = secret.ask(path, Cookie=sent)
        assert answer.status == 200
        assert TOKEN not in answer.all
    with secret.view(Cookie=sent) as viewer:
        viewer.frame()
    assert secret.ask("/", Cookie=sent, **{**BEARER, "Authorization": "Bearer wrong"}).status == 401


def test_a_wrong_token_is_said_to_be_wrong(secret: Running) -> None:
    for wrong in ("", "x", TOKEN[:-1], "t\xf6ken", "x" * 3000):
        answer = login(secret, wrong)
        assert (answer.status, answer.headers["Location"]) == (303, "/login?wrong")
        assert answer.headers["Set-Cookie"] is None
        assert_has_headers(answer)
    assert secret.ask("/login?wrong").status == 200
    assert secret.ask("/login", "POST", b"token=%ff%fe").status in (303, 400)
    assert secret.ask("/login", "POST", b"\xff" * 100, Content_Type="multipart/form-data").status in (303, 400)


def test_tokens_are_not_guessed_fast(secret: Running) -> None:
    body = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n" + (
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken=x"
    )
    guessing = [socket.create_connection(("127.0.0.1", secret.port), PATIENCE_S) for _ in range(MOST_WRONG + 6)]
    for one in guessing:
        one.sendall(body)
    answers = [one.recv(4096).split(b" ")[1] for one in guessing]
    assert set(answers) <= {b"303", b"429"}
    assert b"429" in answers
    for one in guessing:
        one.close()
    assert login(secret, TOKEN).headers["Location"] == "/"


def test_a_stranger_is_not_obeyed_while_the_door_closes(secret: Running) -> None:
    controls = secret.page.controls
    orders = (
        {"type": "pause", "paused": True},
        {"type": "threshold", "value": 0.99},
        {"type": "region", "source": 0, "region": [0, 0, 9, 9]},
        {"type": "next"},
    )
    with secret.view(**BEARER) as viewer:
        answer = raw(secret.port, UPGRADE + b"".join(masked(json.dumps(order).encode()) for order in orders))
        assert b" 101 " in answer
        assert b'"frame"' not in answer
        for _ in range(3):
            assert viewer.until("stats")["paused"] is False
    assert (controls.paused, controls.threshold, controls.regions) == (False, 0.5, {})


def test_the_token_is_in_nothing_that_is_said(secret: Running) -> None:
    for headers in ({}, BEARER, {**BEARER, "Accept": "text/html"}):
        for path in (*CLOSED, *OPEN, "/nothing", f"/{TOKEN}"):
            assert TOKEN not in secret.ask(path, **headers).all
    assert TOKEN not in login(secret, "wrong").all
    process = secret.process.pid
    for file in ("cmdline", "environ"):
        with open(f"/proc/{process}/{file}", "rb") as content:
            assert TOKEN.encode() not in content.read()
    assert not [line for line in secret.page.link.words if line]  # type: ignore[union-attr]  # nor anything at all
    assert not [line for line in secret.said if TOKEN in line]


def test_no_header_is_made_of_what_is_sent(page: Running) -> None:
    for path in ("/login?%0d%0aX-Evil:1", "/%0d%0aX-Evil:1", "/snapshot.png?source=%0d%0aX-Evil:1"):
        answer = page.ask(path)
        assert answer.headers["X-Evil"] is None
        assert "X-Evil" not in answer.text


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + b"x" * 5000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    ],
)
def test_requests_that_are_too_large_or_none_are_cut(data: bytes, page: Running) -> None:
    answer = raw(page.port, data)
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"413", b"431")
    assert page.ask("/healthz").status == 200


def test_the_guard_compares_whatever_it_is_given() -> None:
    guard = Guard(TOKEN, ())
    for text in ("", "\0", "\U0001f511" * 9, "x" * 100_000):
        assert not guard.is_token(text)
        assert not guard.lets_in(text, text)
        assert not guard.lets_in("", f"Bearer {text}")
    assert guard.lets_in(guard.cookie, "")
    assert TOKEN not in guard.cookie


def test_a_connection_refused_is_one_that_others_can_have(page: Running) -> None:
    """Those of strangers do not add up."""
    start = time.monotonic()
    for _ in range(150):
        with pytest.raises(HTTPClientError):
            Talk(f"ws://127.0.0.1:{page.port}/socket", {"Origin": "http://evil.example"})
        if time.monotonic() > start + PATIENCE_S:
            break
    assert page.ask("/healthz").status == 200
