"""The page's process: it may die, hang or be flooded, and the reading goes on; when the reading ends, it ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError

from runtime.camera.controls import Controls
from runtime.camera.web import link, process
from runtime.camera.web.listen import bound
from runtime.camera.web.process import Page, Served
from runtime.camera.web.serve import BURST, MOST_CONNECTIONS, RATE
from runtime.camera.web.viewers import MOST_VIEWERS
from tests.command import environment
from tests.runtime.camera.page import (
    PATIENCE_S,
    Running,
    Talk,
    ask,
    hasten,
    is_gone,
    jpeg_of_square,
    live,
    running,
    until,
)


def kill(it: Running, number: int = signal.SIGKILL) -> None:
    """End the page's process, and wait until there is another that answers."""
    gone = it.process
    os.kill(gone.pid, number)
    gone.wait(PATIENCE_S)
    until(lambda: it.page.link and it.process is not gone, "it is started again")
    until(lambda: it.ask("/readyz").status == 200, "it is ready")


def things() -> tuple[int, int]:
    """Descriptors and threads that this process has."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def test_when_its_process_dies_that_is_told_and_it_is_started_again_at_the_same_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.05)
    with running(live(), served=Served(visitors=True)) as it:
        until(lambda: it.ask("/readyz").status == 200)
        with it.visit() as visitor:
            visitor.receive()
            visitor.send(jpeg_of_square(20))
            visitor.receive()
            assert len(it.page.visitors) == 1
            kill(it)
            assert visitor.ended() is None
        kill(it)
        until(lambda: len(it.said) >= 3)
        told = [line for line in it.said if "page's process" in line]
        assert told == ["the page's process died by signal 9 (SIGKILL); it is started again"] * 2
        assert it.page.visitors == {}
        before = it.frames
        with it.view() as viewer:
            viewer.frame()
        until(lambda: it.frames > before)
        until(lambda: len(it.feed.channels) == 1, "the visitor is read no more")
        time.sleep(0.5)
        start = things()
        for _ in range(3):
            kill(it)
        until(lambda: things()[0] <= start[0] and things()[1] <= start[1], "nothing is left of those that died")


def test_signals_that_end_the_toolkit_do_not_end_it() -> None:
    with running(live()) as it:
        until(lambda: it.ask("/healthz").status == 200)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            it.process.send_signal(number)
        with it.view() as viewer:
            viewer.frame()
        assert it.process.poll() is None


def test_when_it_hangs_the_reading_goes_on_and_the_end_is_soon() -> None:
    with running(live()) as it, it.view() as viewer:
        viewer.frame()
        viewer.say("next")
        os.kill(it.process.pid, signal.SIGSTOP)
        before = it.frames
        until(lambda: it.frames > before + 10)
        hung = it.process
        start = time.monotonic()
        it.stop()
        assert time.monotonic() - start < 20
        assert hung.wait(PATIENCE_S) == -signal.SIGKILL


def test_what_it_says_that_is_no_message_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "START", "import sys; sys.stdin.readline(); print('hello', flush=True); input() # {path}")
    with running(live()) as it:
        until(lambda: [line for line in it.said if "nobody understands" in line])
        before = it.frames
        until(lambda: it.frames > before, "the reading goes on")


def test_one_that_cannot_start_is_tried_again_after_longer_and_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.01)
    with running(live(), served=Served(certificate="/nowhere/cert.pem")) as it:
        until(lambda: len([line for line in it.said if "No such file" in line]) >= 3)
        assert "the page's process ended with exit code 1: FileNotFoundError" in it.said[-1]
        before = it.frames
        until(lambda: it.frames > before)
        assert it.page.failures >= 3


def test_where_no_process_can_be_started_the_reading_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.05)
    with monkeypatch.context() as without:
        without.setattr(link.subprocess, "Popen", refuse)
        page = Page(bound("127.0.0.1", 0), [], Served(), Controls(), print)
        page.close()
        without.undo()
    with running(live()) as it:
        monkeypatch.setattr(link.subprocess, "Popen", refuse)
        gone = it.process
        gone.kill()
        until(lambda: [line for line in it.said if "cannot be started: Resource temporarily unavailable" in line])
        before = it.frames
        until(lambda: it.frames > before)
        monkeypatch.undo()
        until(lambda: it.ask("/readyz").status == 200, "it is there when that is over")


def test_it_ends_with_the_process_that_reads_however_that_ends(tmp_path: Path) -> None:
    code = """
import time
from runtime.camera.controls import Controls
from runtime.camera.web.listen import bound
from runtime.camera.web.process import Page, Served
page = Page(bound("127.0.0.1", 0), [], Served(visitors=True), Controls(), print)
print(page.listener.getsockname()[1], page.link.process.pid, flush=True)
time.sleep(600)
"""
    reading = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment(), cwd=tmp_path)
    assert reading.stdout
    port, page = map(int, reading.stdout.readline().split())
    ask(port, "/healthz")
    with Talk(f"ws://127.0.0.1:{port}/socket") as viewer:
        reading.kill()
        reading.wait()
        assert viewer.until("bye")["reason"] == "the toolkit has ended"
        viewer.ended()
    until(lambda: is_gone(page), "it has gone")
    reading.stdout.close()


def test_the_end_is_soon_with_viewers_and_visitors() -> None:
    with running(live(), served=Served(visitors=True)) as it:
        viewers, visitor = [it.view() for _ in range(5)], it.visit()
        for viewer in viewers:
            viewer.frame()
        page = it.process
        start = time.monotonic()
        it.stop()
        assert time.monotonic() - start < 20  # two seconds, where nothing else is done
        assert page.returncode == 0
        it.page.close()  # again
        for one in [*viewers, visitor]:
            assert one.until("bye")["reason"] == "the toolkit has ended"
            one.close()
        with pytest.raises(ConnectionRefusedError):
            it.ask("/healthz")


def test_so_many_may_watch_and_others_are_told() -> None:
    with running(live()) as it:
        viewers = [it.view() for _ in range(MOST_VIEWERS)]
        with it.view() as late:
            assert late.ended() == 4429
        viewers[-1].frame()
        viewers.pop().close()
        until(lambda: f"toolkit_camera_viewers {MOST_VIEWERS - 1}.0" in it.ask("/metrics").text)
        with it.view() as another:
            another.frame()
        for viewer in viewers:
            viewer.close()
        until(lambda: "toolkit_camera_viewers 0.0" in it.ask("/metrics").text)


def closed_by_the_other(connection: socket.socket) -> bool:
    """Read to the end of a connection."""
    connection.settimeout(PATIENCE_S)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_connections_are_bounded_and_slow_ones_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch, serve__IDLE_S=5)
    with running(live()) as it:
        until(lambda: it.ask("/readyz").status == 200)
        slow = [socket.create_connection(("127.0.0.1", it.port)) for _ in range(MOST_CONNECTIONS)]
        for number, one in enumerate(slow):
            if number % 3 == 1:
                one.sendall(b"GET / HTTP/1.1\r\nHost: loc")
            if number % 3 == 2:
                one.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntok")
        with pytest.raises((ConnectionResetError, ConnectionAbortedError, HTTPClientError, OSError)):
            it.view()
        start = time.monotonic()
        while time.monotonic() < start + 2.5:  # a byte now and then is no excuse
            for one in slow[1::3]:
                try:
                    one.sendall(b"a")
                except OSError:
                    break
            time.sleep(0.25)
        assert all(map(closed_by_the_other, slow))
        for one in slow:
            one.close()
        with it.view() as viewer:
            viewer.frame()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address of loopback")
def test_one_address_keeps_no_other_out() -> None:
    with running(live()) as it:
        until(lambda: it.ask("/readyz").status == 200)
        greedy = [socket.create_connection(("127.0.0.1", it.port)) for _ in range(MOST_CONNECTIONS)]
        try:
            other = http.client.HTTPConnection("127.0.0.1", it.port, PATIENCE_S, source_address=("127.0.0.2", 0))
            for _ in range(3):
                other.request("GET", "/healthz")
                assert other.getresponse().read() == b"ok\n"
            other.close()
        finally:
            for one in greedy:
                one.close()


def test_a_flood_of_bad_requests_waits_its_turn() -> None:
    bad = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    with running(live()) as it:
        until(lambda: it.ask("/readyz").status == 200)
        start = time.monotonic()
        answered = 0
        while answered < BURST + RATE:
            with socket.create_connection(("127.0.0.1", it.port), timeout=10) as connection:
                connection.sendall(bad + bad)  # one at a time: an error ends the connection
                answer = b""
                with suppress(ConnectionResetError):
                    while piece := connection.recv(65536):
                        answer += piece
            assert answer.count(b"HTTP/1.1 403") == 1
            answered += 1
        assert answered <= BURST + RATE * (time.monotonic() - start) + 1
        assert it.ask("/healthz").status == 200


def test_floods_of_messages_and_pings_are_survived() -> None:
    with running(live()) as it, it.view() as viewer, it.view() as flood, it.view() as pinging:
        protocol = flood.connection.protocol
        for number in range(3000):
            protocol._write_frame(True, 1, b'{"type":"pause","paused":%s}' % (b"true" if number % 2 else b"false"))
            protocol._write_frame(True, 1, b'{"type":"watch","source":7}') if number % 100 == 0 else None
        for _ in range(500):
            if not pinging.connection.protocol.stream.closed():
                pinging.connection.protocol._write_frame(True, 9, b"x" * 125)
        assert pinging.ended() is None
        viewer.until("stats")
        assert it.ask("/healthz").status == 200
        flood.close()
        viewer.say("pause", paused=False)
        viewer.stats(lambda stats: not stats["paused"])
        before = it.frames
        until(lambda: it.frames > before)
