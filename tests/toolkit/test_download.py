"""Downloads from a real server on this machine: whole, cut off, changed, wrong, too large, and two at once."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runtime.errors import Cancelled, WeightsError
from runtime.progress import SilentProgress
from tests.command import ROOT, environment
from tests.fakes import RecordingProgress
from toolkit.zoo import download, web
from toolkit.zoo.download import fetch

DATA = bytes(range(256)) * 12_000  # 3 MB


def name_of(data: bytes, digits: int = 8) -> str:
    return f"net-{hashlib.sha256(data).hexdigest()[:digits]}.pth"


NAME = name_of(DATA)


class Server(ThreadingHTTPServer):
    """Serves `data` under every path, as its switches say, and keeps what it was asked and what it sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.data = DATA
        self.tag = '"one"'
        self.ranges = True
        self.length = True
        self.cut_after: int | None = None  # bytes of an answer
        self.pause_s = 0.0  # between two blocks
        self.wrong_part = False
        self.status = 200
        self.location = ""
        self.asked: list[tuple[str | None, str | None]] = []  # Range and If-Range
        self.answers: list[tuple[int, int]] = []  # status and bytes

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def url(self, name: str = NAME) -> str:
        return f"{self.origin}/models/{name}"

    def sent(self) -> list[tuple[int, int]]:
        """Status and bytes of every answer. A client may be done with one before its thread here is."""
        deadline = time.monotonic() + 10
        while len(self.answers) < len(self.asked) and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.answers


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted, version = self.headers["Range"], self.headers["If-Range"]
        server.asked.append((wanted, version))
        if server.location and not self.path.startswith("/moved"):
            self.answer(302, b"", Location=server.location)
        elif server.status != 200:
            self.answer(server.status, b"no")
        elif wanted and server.ranges and version in (None, server.tag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.data):
                self.answer(416, b"")
                return
            first = 0 if server.wrong_part else start
            content_range = f"bytes {first}-{len(server.data) - 1}/{len(server.data)}"
            self.answer(206, server.data[first:], **{"Content-Range": content_range})
        else:
            self.answer(200, server.data)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        if self.server.length:
            self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        body = body[: self.server.cut_after]
        sent = 0
        try:
            for at in range(0, len(body), 1 << 18):
                sent += self.wfile.write(body[at : at + (1 << 18)])
                time.sleep(self.server.pause_s)
        except ConnectionError:
            pass
        self.server.answers.append((status, sent))

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def get(server: Server, folder: Path, name: str = NAME) -> Path:
    return fetch(server.url(name), folder, SilentProgress())


def refused(server: Server, folder: Path, *words: str, name: str = NAME) -> WeightsError:
    """The error, which tells the way round us."""
    with pytest.raises(WeightsError) as caught:
        get(server, folder, name)
    for word in words:
        assert word in caught.value.message
    assert server.url(name) in caught.value.hint
    assert "--weights FILE" in caught.value.hint
    return caught.value


def cut(server: Server, folder: Path, after: int) -> None:
    """A download that breaks, and leaves what came."""
    server.cut_after = after
    refused(server, folder, "broke", f"{after / 1e6:.1f} MB of 3.1 MB")
    server.cut_after = None
    assert (folder / f".{NAME}.part").read_bytes() == DATA[:after]
    assert not (folder / NAME).exists()


def assert_whole(folder: Path, data: bytes = DATA) -> None:
    """The file is there, and nothing else."""
    assert os.listdir(folder) == [name_of(data)]
    assert (folder / name_of(data)).read_bytes() == data


def test_a_whole_download_is_kept_and_not_repeated(server: Server, tmp_path: Path) -> None:
    progress = RecordingProgress()
    folder = tmp_path / "new" / "weights"
    assert fetch(server.url(), folder, progress) == folder / NAME
    assert_whole(folder)
    loaded, checked = progress.stages[f"download {NAME}"], progress.stages[f"check {NAME}.part"]
    assert (loaded.total, loaded.done) == (checked.total, checked.done) == (len(DATA), len(DATA))
    assert loaded.notes == [f"3.1 MB from {server.url()}"]
    assert folder.stat().st_mode & 0o777 == 0o700
    again = RecordingProgress()
    assert fetch(server.url(), folder, again) == folder / NAME
    assert server.asked == [(None, None)]
    assert list(again.stages) == [f"check {NAME}"]


@pytest.mark.parametrize("digits", [8, 64])
def test_the_digest_may_be_longer(server: Server, tmp_path: Path, digits: int) -> None:
    name = name_of(DATA, digits)
    assert get(server, tmp_path, name) == tmp_path / name


@pytest.mark.parametrize("damaged", [b"", DATA[:-1], b"x" + DATA[1:]], ids=["empty", "short", "changed"])
def test_a_kept_file_that_is_damaged_is_loaded_again(server: Server, tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / NAME).write_bytes(damaged)
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.sent() == [(200, len(DATA))]


def test_a_download_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    cut(server, tmp_path, 1_000_000)
    progress = RecordingProgress()
    fetch(server.url(), tmp_path, progress)
    assert_whole(tmp_path)
    assert server.asked == [(None, None), ("bytes=1000000-", '"one"')]
    assert server.sent() == [(200, 1_000_000), (206, len(DATA) - 1_000_000)]
    stage = progress.stages[f"download {NAME}"]
    assert (stage.total, stage.done) == (len(DATA), len(DATA))
    assert stage.notes == [f"3.1 MB from {server.url()}, on after 1.0 MB"]


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_strong_version_the_digest_alone_decides(server: Server, tmp_path: Path, tag: str) -> None:
    server.tag = tag
    cut(server, tmp_path, 1_000_000)
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.asked[1:] == [("bytes=1000000-", None)]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    cut(server, tmp_path, 1_000_000)
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.sent()[1:] == [(200, len(DATA))]


def test_a_file_that_changed_in_between_is_loaded_from_its_start(server: Server, tmp_path: Path) -> None:
    server.data, server.tag = DATA[::-1], '"old"'
    server.cut_after = 1_000_000
    refused(server, tmp_path, "broke")
    server.data, server.tag, server.cut_after = DATA, '"new"', None
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.asked[1:] == [("bytes=1000000-", '"old"')]
    assert server.sent()[1:] == [(200, len(DATA))]


def test_a_part_that_is_whole_needs_no_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.part").write_bytes(DATA)
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.asked == []


def test_a_part_that_is_too_long_is_begun_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.part").write_bytes(DATA + b"x")
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert [status for status, _ in server.sent()] == [416, 200]


def test_another_part_than_was_asked_for_is_not_used(server: Server, tmp_path: Path) -> None:
    cut(server, tmp_path, 1_000_000)
    server.wrong_part = True
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.asked[-1] == (None, None)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_wrong_digest_is_refused_and_leaves_nothing(server: Server, tmp_path: Path, resumed: bool) -> None:
    if resumed:
        (tmp_path / f".{NAME}.part").write_bytes(b"junk")
    else:
        server.data = b"<html>Welcome to our Wi-Fi</html>"
    refused(server, tmp_path, "sha256", NAME[4:12])
    assert os.listdir(tmp_path) == []
    server.data = DATA
    get(server, tmp_path)
    assert_whole(tmp_path)


@pytest.mark.parametrize("status", [404, 403, 503, 416])
def test_what_the_server_refuses_is_said(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    refused(server, tmp_path, str(status), server.url())
    assert os.listdir(tmp_path) == []


def test_a_server_that_fails_later_does_not_cost_the_part(server: Server, tmp_path: Path) -> None:
    cut(server, tmp_path, 1_000_000)
    server.status = 503
    refused(server, tmp_path, "503")
    server.status = 200
    get(server, tmp_path)
    assert server.sent()[-1] == (206, len(DATA) - 1_000_000)


def test_no_network_is_said(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/{NAME}"
        with pytest.raises(WeightsError, match=r"cannot reach 127\.0\.0\.1.*refused") as caught:
            fetch(url, tmp_path, SilentProgress())
    assert url in caught.value.hint
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("answers", [b"", b"220 smtp ready\r\n"])
def test_a_server_that_speaks_no_http_or_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bytes
) -> None:
    monkeypatch.setattr(web, "TIMEOUT_S", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answers)
                time.sleep(0 if answers else 0.6)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(WeightsError, match="smtp" if answers else "timed out"):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/{NAME}", tmp_path, SilentProgress())
        thread.join()


@pytest.mark.parametrize("length", [True, False])
def test_a_file_that_is_too_large_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: bool
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 2_000_000)
    server.length = length
    refused(server, tmp_path, "more than 2 MB")
    assert not (tmp_path / NAME).exists()
    assert not (tmp_path / f".{NAME}.part").exists()


def test_a_server_may_keep_the_length_to_itself(server: Server, tmp_path: Path) -> None:
    server.length = False
    get(server, tmp_path)
    assert_whole(tmp_path)


def test_a_redirect_keeps_the_range(server: Server, tmp_path: Path) -> None:
    cut(server, tmp_path, 1_000_000)
    server.location = f"{server.origin}/moved/elsewhere"
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.asked[-1] == ("bytes=1000000-", '"one"')


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
def test_a_redirect_to_what_is_not_https_is_refused(server: Server, tmp_path: Path, scheme: str) -> None:
    server.location = f"{scheme}://203.0.113.1/{NAME}"
    refused(server, tmp_path, server.location)
    assert len(server.asked) == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "url", [f"http://example.org/{NAME}", f"ftp://127.0.0.1/{NAME}", f"file:///tmp/{NAME}", NAME, f"HTTP://1/{NAME}"]
)
def test_plain_http_is_for_this_machine_alone(tmp_path: Path, url: str) -> None:
    with pytest.raises(WeightsError, match="not https"):
        fetch(url, tmp_path / "new", SilentProgress())
    assert os.listdir(tmp_path) == []


def test_a_redirect_from_elsewhere_to_this_machine_must_be_https_too() -> None:
    web.require_safe("https://127.0.0.1/x", "https://example.org/x")
    web.require_safe("http://[::1]/x", "http://localhost/x")
    with pytest.raises(WeightsError, match=r"example\.org/x redirects to http://127"):
        web.require_safe("http://127.0.0.1/x", "https://example.org/x")


@pytest.mark.parametrize("name", ["net.pth", "net-1234567.pth", "net-7BE5BE79.pth", "", "..", "-12345678.pth", "a%2fb"])
def test_a_name_without_a_digest_is_refused(server: Server, tmp_path: Path, name: str) -> None:
    refused(server, tmp_path / "new", "sha256", name=name)
    assert server.asked == []
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_said_and_what_came_stays(server: Server, tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; from toolkit.zoo.download import fetch; "
        "from runtime.progress import SilentProgress; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, -1)); "
        "fetch(sys.argv[1], Path(sys.argv[2]), SilentProgress())"
    )
    command = [sys.executable, "-c", code, server.url(), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    assert "WeightsError: cannot keep" in done.stderr
    assert "File too large" in done.stderr
    assert "make room" in done.stderr
    assert (tmp_path / f".{NAME}.part").read_bytes() == DATA[:1_500_000]
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.asked[-1] == ("bytes=1500000-", '"one"')


def test_a_folder_that_cannot_be_made_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(server, tmp_path / "file" / "weights", "Not a directory")


def test_a_request_to_stop_keeps_the_part(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Cancelled, match="go on"):
        fetch(server.url(), tmp_path, RecordingProgress(stop_after=1))
    kept = (tmp_path / f".{NAME}.part").stat().st_size
    assert 0 < kept < len(DATA)
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.asked[-1] == (f"bytes={kept}-", '"one"')


def start(server: Server, folder: Path) -> subprocess.Popen[str]:
    """A download in a process of its own, which prints where the file is."""
    code = (
        "import sys; from pathlib import Path; from toolkit.zoo.download import fetch; "
        "from runtime.progress import SilentProgress; print(fetch(sys.argv[1], Path(sys.argv[2]), SilentProgress()))"
    )
    command = [sys.executable, "-c", code, server.url(), str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)


def wait_for_bytes(part: Path) -> None:
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_keeps_the_part(server: Server, tmp_path: Path, number: int) -> None:
    server.pause_s = 0.2
    process = start(server, tmp_path)
    wait_for_bytes(tmp_path / f".{NAME}.part")
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == -number
    kept = (tmp_path / f".{NAME}.part").stat().st_size
    assert 0 < kept < len(DATA)
    server.pause_s = 0.0
    get(server, tmp_path)
    assert_whole(tmp_path)
    assert server.asked[-1] == (f"bytes={kept}-", '"one"')


def test_two_processes_at_once_load_it_once(server: Server, tmp_path: Path) -> None:
    server.pause_s = 0.1
    processes = [start(server, tmp_path) for _ in range(3)]
    assert {process.communicate(timeout=60)[0] for process in processes} == {f"{tmp_path / NAME}\n"}
    assert_whole(tmp_path)
    assert server.sent() == [(200, len(DATA))]


def test_one_that_waits_takes_over_from_one_that_is_killed(server: Server, tmp_path: Path) -> None:
    server.pause_s = 0.2
    first = start(server, tmp_path)
    wait_for_bytes(tmp_path / f".{NAME}.part")
    second = start(server, tmp_path)
    progress = RecordingProgress()
    threading.Timer(0.3, first.kill).start()
    fetch(server.url(), tmp_path, progress)
    assert f"wait for another download of {NAME}" in progress.stages
    for process in (first, second):
        process.communicate(timeout=60)
    assert second.returncode == 0
    assert_whole(tmp_path)
    assert [wanted is None for wanted, _ in server.asked] == [True, False]
