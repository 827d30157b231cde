"""Where the page is served: addresses, TLS, and files with tokens."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from runtime.camera.web import listen
from runtime.camera.web.process import Served
from runtime.errors import InputError, OptionError, ToolkitError
from tests.runtime.camera.page import BEARER, PATIENCE_S, TOKEN, Talk, live, raw, running


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8765", "127.0.0.1", 8765),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::1]:65535", "::1", 65535),
        ("localhost:80", "localhost", 80),
        ("camera-1.example:8000", "camera-1.example", 8000),
    ],
)
def test_addresses_that_are_understood(text: str, host: str, port: int) -> None:
    assert listen.parse_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    (
        *("", "8765", "127.0.0.1", ":8765", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http", "[::1"),
        *("::1:8765", "[::1:8765", "http://127.0.0.1:8765", "127.0.0.1:8765/", "a b:80", "[x]:80", "h:\u0661", "h:8\n"),
    ),
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="no address") as caught:
        listen.parse_address(text)
    assert "127.0.0.1:8765" in str(caught.value.hint)


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", "a..b", "x" * 64, "[2001:db8::1]"])
def test_an_address_that_is_not_of_this_machine(host: str) -> None:
    with pytest.raises(ToolkitError, match="nothing can be served at") as caught:
        listen.listen(f"{host}:0")
    assert "None" not in caught.value.message


def test_a_port_that_is_taken_is_told_of_and_where_none_was_asked_for_another_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with listen.listen("127.0.0.1:0") as first:
        port = first.getsockname()[1]
        with pytest.raises(ToolkitError, match=f"127.0.0.1:{port}: Address already in use"):
            listen.listen(f"127.0.0.1:{port}")
        monkeypatch.setattr(listen, "PORT", port)
        with listen.listen() as other:
            assert other.getsockname()[0] == "127.0.0.1"
            assert other.getsockname()[1] != port


@pytest.mark.parametrize(
    ("address", "private", "url"),
    [
        ("127.0.0.1:0", True, "http://127.0.0.1:PORT/"),
        ("127.0.0.2:0", True, "http://127.0.0.2:PORT/"),
        ("[::1]:0", True, "http://[::1]:PORT/"),
        ("0.0.0.0:0", False, f"http://{socket.gethostname()}:PORT/"),
        ("[::]:0", False, f"http://{socket.gethostname()}:PORT/"),
    ],
)
def test_the_url_and_whether_others_reach_it(address: str, private: bool, url: str) -> None:
    try:
        listener = listen.listen(address)
    except ToolkitError:
        assert "[" in address
        pytest.skip("needs IPv6")
    with listener:
        assert listen.is_private(listener) is private
        assert listen.url_of(listener, tls=False) == url.replace("PORT", str(listener.getsockname()[1]))
        assert listen.url_of(listener, tls=True).startswith("https://")


def test_the_page_by_ipv6() -> None:
    try:
        listen.bound("::1", 0).close()
    except OSError as error:
        pytest.skip(f"needs IPv6: {error}")
    with running(live(), host="::1") as it:
        viewer = Talk(f"ws://[::1]:{it.port}/socket", {"Origin": f"http://[::1]:{it.port}"})
        viewer.frame()
        viewer.close()


def test_its_own_names_have_no_other_in_them() -> None:
    names = listen.own_names()
    assert socket.gethostname() in names
    assert all(names)


@pytest.mark.parametrize(
    ("content", "good"),
    [
        (b"0123456789abcdef", True),
        (b"  0123456789abcdef\r\n", True),
        (b"x" * 1024, True),
        (b"x" * 1023 + b"\n", True),
        (b"", False),
        (b"\n", False),
        (b"short", False),
        (b"0123456789abcde", False),
        (b"x" * 1025, False),
        (b"x" * 100_000, False),
        (b"two words of a token", False),
        (b"0123456789abcdef\n0123456789abcdef\n", False),
        (b"\xff\xfe0123456789abcdef", False),
        ("schlüssel-0123456789".encode(), False),
        (b"0123456789abcdef\0", False),
    ],
)
def test_what_a_file_with_a_token_may_hold(content: bytes, good: bool, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    if good:
        assert listen.read_token(path) == content.decode().strip()
        return
    with pytest.raises(InputError) as caught:
        listen.read_token(path)
    assert "chmod 600" in caught.value.hint
    secret = content.decode("latin1").strip()
    assert not secret or secret not in f"{caught.value}{caught.value.hint}"


def test_a_file_with_a_token_that_cannot_be_read(tmp_path: Path) -> None:
    for path, word in ((tmp_path / "gone", "No such file"), (tmp_path, "directory")):
        with pytest.raises(InputError, match=word):
            listen.read_token(path)


def test_a_token_is_made_once_and_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    token, path = listen.own_token()
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700  # else others could put another one in its place
    assert listen.own_token() == (token, path)
    assert os.listdir(path.parent) == ["camera-token"]
    path.write_text("short")
    with pytest.raises(InputError):
        listen.own_token()
    monkeypatch.setenv("XDG_STATE_HOME", str(path))  # no folder
    with pytest.raises(ToolkitError, match="no token can be kept") as caught:
        listen.own_token()
    assert "--token-file" in str(caught.value.hint)


def make_certificate(folder: Path, name: str = "page", *options: str) -> tuple[Path, Path]:
    """A certificate of localhost and its key."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("needs openssl")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2")
    files = ("-keyout", str(key), "-out", str(certificate))
    command = [openssl, "req", *kind, *subject, *files, *(options or ("-nodes",))]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_https(certificate: tuple[Path, Path]) -> None:
    listen.check_certificate(*certificate)
    served = Served(certificate=str(certificate[0]), key=str(certificate[1]), token=TOKEN)
    client = ssl.create_default_context(cafile=str(certificate[0]))
    with running(live(), served=served) as it:

        def ask(request: str) -> bytes:
            plain = socket.create_connection(("127.0.0.1", it.port), PATIENCE_S)
            with client.wrap_socket(plain, server_hostname="localhost") as connection:
                connection.sendall(request.replace("\n", "\r\n").encode())
                answer = b""
                while piece := connection.recv(65536):
                    answer += piece
                return answer

        head = f"Host: localhost:{it.port}\nConnection: close\n"
        assert b" 200 OK" in ask(f"GET /healthz HTTP/1.1\n{head}\n")
        assert b" 200 OK" in ask(f"GET /healthz HTTP/1.1\n{head}Origin: https://localhost:{it.port}\n\n")
        assert b" 403 " in ask(f"GET /healthz HTTP/1.1\n{head}Origin: http://localhost:{it.port}\n\n")
        form = f"token={TOKEN}"
        kind = "Content-Type: application/x-www-form-urlencoded\n"
        answer = ask(f"POST /login HTTP/1.1\n{head}{kind}Content-Length: {len(form)}\n\n{form}")
        assert b"; Secure" in answer
        assert b" 303 " in answer
        # who speaks HTTP learns nothing
        assert b"HTTP" not in raw(it.port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(ssl.SSLError):  # nor does who does not know the certificate
            plain = socket.create_connection(("127.0.0.1", it.port), PATIENCE_S)
            with plain:
                ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
        with Talk(f"wss://localhost:{it.port}/socket", BEARER, ssl_options=client) as viewer:
            viewer.frame()


def test_who_leaves_a_connection_before_it_is_taken_does_not_end_the_page(certificate: tuple[Path, Path]) -> None:
    served = Served(certificate=str(certificate[0]), key=str(certificate[1]))
    client = ssl.create_default_context(cafile=str(certificate[0]))
    with running(live(), served=served) as it:
        address = ("127.0.0.1", it.port)
        for _ in range(20):  # some are gone when their turn comes, with data that nobody will read
            with socket.create_connection(address, 10) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(b"hello")
        with client.wrap_socket(socket.create_connection(address, 30), server_hostname="localhost") as secure:
            secure.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert secure.recv(100).startswith(b"HTTP/1.1 200")


def test_files_that_are_no_certificate(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    own, other = certificate, make_certificate(tmp_path, "other")
    locked = make_certificate(tmp_path, "locked", "-passout", "pass:secret")
    text = tmp_path / "text.pem"
    text.write_text("no certificate\n")
    pairs = [
        (tmp_path / "gone.pem", None),
        (own[0], tmp_path / "gone.key"),
        (own[0], None),
        (own[0], other[1]),
        (own[1], own[0]),
        (text, own[1]),
        (own[0], text),
        locked,
        (tmp_path, None),
    ]
    for one, key in pairs:
        with pytest.raises(InputError, match="cannot be used for TLS") as caught:
            listen.check_certificate(one, key)
        assert "PEM" in caught.value.hint
    both = tmp_path / "both.pem"
    both.write_bytes(own[0].read_bytes() + own[1].read_bytes())
    listen.check_certificate(both, None)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listen.missing_package() is None
    find = listen.importlib.util.find_spec
    monkeypatch.setattr(listen.importlib.util, "find_spec", lambda name: None if name == "tornado" else find(name))
    missing = listen.missing_package()
    assert missing
    assert missing.message == "the page needs tornado"
    assert missing.hint == "pip install 'tornado>=6.5' 'prometheus-client>=0.20'"
