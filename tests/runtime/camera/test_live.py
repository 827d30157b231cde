"""Real streams on loopback that come, hang, go and come back; processes that are stopped and killed."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.camera.frame import State
from runtime.camera.sources.answers import CaptureOver
from runtime.camera.sources.child import MOST_MEMORY
from runtime.camera.sources.live import LONGEST_PAUSE_S, LiveSource
from runtime.camera.sources.open import open_source
from runtime.errors import SourceError
from tests.command import environment
from tests.runtime.camera.streams import (
    PATIENCE_S,
    MjpegCamera,
    free_port,
    make_video,
    next_frame,
    read_until,
    serve_rtsp,
    served,
    shown,
)


@pytest.fixture
def opened() -> Iterator[list[LiveSource]]:
    """Sources to close."""
    sources: list[LiveSource] = []
    yield sources
    for source in sources:
        source.close()


def connect(opened: list[LiveSource], url: str, timeout_s: float = 5.0) -> LiveSource:
    source = open_source(url, timeout_s=timeout_s)
    assert isinstance(source, LiveSource)
    opened.append(source)
    return source


def pid_of(source: LiveSource) -> int:
    assert source.process
    return source.process.process.pid


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_a_stream_over_udp_that_dies_is_opened_again(opened: list[LiveSource]) -> None:
    port = free_port()
    source = connect(opened, f"udp://127.0.0.1:{port}", timeout_s=2)
    target = f"udp://127.0.0.1:{port}?pkt_size=1316"
    assert source.live and source.state is State.CONNECTING
    with served(target):
        frame = next_frame(source)
        assert frame.image.shape == (120, 160, 3)
        assert source.state is State.STREAMING and source.status.startswith("160x120")
        assert source.problem == ""
    read_until(source, lambda _: source.state is State.LOST)
    assert "no frame for 2.0 s, trying again" in source.status
    with served(target):
        again = next_frame(source)
    assert again.index > frame.index and again.monotonic_ns > frame.monotonic_ns
    assert source.state is State.STREAMING and source.reconnects >= 1


def test_a_server_that_is_not_there_yet_is_waited_for(opened: list[LiveSource]) -> None:
    port = free_port()
    source = connect(opened, f"tcp://127.0.0.1:{port}")
    read_until(source, lambda _: source.state is State.LOST)
    assert "Connection refused" in source.status and "trying again" in source.status
    assert "Connection refused" in source.problem
    with served(f"tcp://127.0.0.1:{port}?listen=1"):
        next_frame(source)
    assert source.reconnects == 0  # it was never there before
    read_until(source, lambda _: source.state is State.LOST)  # a stream that was closed has not ended


def test_a_server_that_does_not_answer_is_told_to(opened: list[LiveSource]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = connect(opened, f"http://127.0.0.1:{silent.getsockname()[1]}/video", timeout_s=0.5)
        read_until(source, lambda _: source.state is State.LOST)
        assert source.problem in ("it does not answer", "it cannot be opened")  # OpenCV 4.5 gives no reason


def test_a_picture_at_an_address_is_told_to_be_no_stream(opened: list[LiveSource], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "now.png"), np.zeros((48, 64, 3), np.uint8))
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        source = connect(opened, f"http://127.0.0.1:{server.server_port}/now.png")
        read_until(source, lambda frame: source.state is State.LOST)
        assert "ended without a frame, as a file or a picture there does" in source.status
        server.shutdown()


def test_without_waiting_a_server_that_is_not_there_is_an_error() -> None:
    source = open_source(f"http://user:geheim@127.0.0.1:{free_port()}/", wait=False)
    with pytest.raises(SourceError, match="Connection refused") as caught:
        source.read(PATIENCE_S)
    assert "geheim" not in str(caught.value)
    assert source.state is State.ENDED and source.read(1) is None


def test_an_mjpeg_camera_gives_its_newest_picture(opened: list[LiveSource]) -> None:
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video")
        first = next_frame(source)
        ahead = shown(first) - first.index  # FFMPEG looks at the first pictures, and leaves them out
        time.sleep(1)
        later = next_frame(source)
        assert later.index > first.index + 3
        assert source.dropped == later.index - first.index - 1
        assert later.monotonic_ns - first.monotonic_ns > 0.5e9
        frame = next_frame(source)
        assert frame.index > later.index and shown(frame) == (frame.index + ahead) % 25


def test_a_frame_that_came_when_nobody_waited_any_more_gives_way_to_a_newer_one(opened: list[LiveSource]) -> None:
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video")
        first = next_frame(source)
        while source.read(0) is not None:  # until one is asked for and not there yet
            pass
        time.sleep(1)
        frame = next_frame(source)
        assert frame.index > first.index + 10


def test_polling_without_waiting_gives_frames(opened: list[LiveSource]) -> None:
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video")
        next_frame(source)
        end, count = time.monotonic() + PATIENCE_S, 0
        while count < 5 and time.monotonic() < end:
            count += source.read(0) is not None
            time.sleep(0.03)
        assert count == 5


def test_a_camera_that_comes_back_with_larger_and_smaller_pictures(opened: list[LiveSource]) -> None:
    port, last = 0, -1
    for size in ((160, 120), (640, 480), (96, 64)):
        with MjpegCamera(port, size) as camera:
            port = camera.port
            source = opened[0] if opened else connect(opened, f"http://127.0.0.1:{port}/video")
            frame = next_frame(source)
            assert frame.image.shape == (size[1], size[0], 3) and source.size == size
            assert frame.index > last
            last = frame.index
        read_until(source, lambda _: source.state is State.LOST)  # noqa: B023
    assert source.reconnects == 2


def test_pictures_that_change_their_size_in_mid_stream_stay_whole(opened: list[LiveSource]) -> None:
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video")
        first = next_frame(source)
        ahead = shown(first) - first.index
        for size in ((320, 240), (64, 48)):
            camera.size = size
            before = camera.sent
            frame = read_until(source, lambda frame: frame and frame.index > before + 5)  # noqa: B023
            assert frame and frame.image.std() < 2 and shown(frame) == (frame.index + ahead) % 25


def test_a_password_opens_the_camera_and_is_never_shown(opened: list[LiveSource]) -> None:
    with MjpegCamera(login="admin:ge heim") as camera:
        right = connect(opened, f"http://admin:ge%20heim@127.0.0.1:{camera.port}/video?token=verborgen")
        frame = next_frame(right)
        wrong = connect(opened, f"http://admin:falsch@127.0.0.1:{camera.port}/video")
        read_until(wrong, lambda _: wrong.state is State.LOST)
        assert "401" in wrong.status
        said = f"{right.name} {right.status} {frame.source} {wrong.name} {wrong.status}"
        assert "http://admin:***@" in said
        for secret in ("heim", "verborgen", "falsch"):
            assert secret not in said
        assert right.process
        command = Path(f"/proc/{pid_of(right)}/cmdline").read_bytes()
        assert b"heim" not in command and b"verborgen" not in command


def test_rtsp_over_tcp(opened: list[LiveSource], tmp_path: Path) -> None:
    stream = make_video(tmp_path / "stream.ts", 200).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_rtsp, args=(listener, stream), daemon=True).start()
        source = connect(opened, f"rtsp://user:geheim@127.0.0.1:{listener.getsockname()[1]}/live")
        frame = next_frame(source)
        assert frame.image.shape == (120, 160, 3) and frame.image.std() < 2
        assert "geheim" not in source.name + source.status


def test_a_server_that_never_sends_is_given_up_and_tried_again(opened: list[LiveSource]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = connect(opened, f"tcp://127.0.0.1:{listener.getsockname()[1]}", timeout_s=0.3)
        read_until(source, lambda _: source.state is State.LOST)
        assert "trying again" in source.status
        read_until(source, lambda _: source.failures > 1)


def test_the_memory_for_a_stream_has_an_end(opened: list[LiveSource]) -> None:
    """A picture that never ends took 3 GB."""
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video")
        next_frame(source)
        before = resource.prlimit(os.getpid(), resource.RLIMIT_DATA)[0]
        limit = resource.prlimit(pid_of(source), resource.RLIMIT_DATA)[0]
        assert MOST_MEMORY < limit < 2 * MOST_MEMORY
        assert resource.prlimit(os.getpid(), resource.RLIMIT_DATA)[0] == before  # of the child alone


def test_a_process_that_is_stopped_is_replaced(opened: list[LiveSource]) -> None:
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video", timeout_s=2)
        next_frame(source)
        pid = pid_of(source)
        os.kill(pid, signal.SIGSTOP)
        read_until(source, lambda _: source.state is State.LOST)
        assert "no frame for 2.0 s" in source.status and not is_alive(pid)
        next_frame(source)
        assert source.reconnects == 1 and pid_of(source) != pid


def test_a_crash_in_a_driver_is_a_loss(opened: list[LiveSource]) -> None:
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video")
        next_frame(source)
        os.kill(pid_of(source), signal.SIGSEGV)
        read_until(source, lambda _: source.state is State.LOST)
        assert "the capturing process died by signal 11 (SIGSEGV), trying again" in source.status
        next_frame(source)
        assert source.reconnects == 1


def test_ctrl_c_in_a_terminal_does_not_end_the_capture(opened: list[LiveSource]) -> None:
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video")
        next_frame(source)
        pid = pid_of(source)
        os.kill(pid, signal.SIGINT)
        time.sleep(0.2)
        next_frame(source)
        assert is_alive(pid) and source.reconnects == 0


@pytest.mark.parametrize("hang", [False, True])
def test_close_ends_the_process_and_a_read_that_waits(opened: list[LiveSource], hang: bool) -> None:
    with MjpegCamera() as camera:
        source = connect(opened, f"http://127.0.0.1:{camera.port}/video", timeout_s=60)
        next_frame(source)
        pid = pid_of(source)
        if hang:
            os.kill(pid, signal.SIGSTOP)
        frames: list[object] = [0]

        def read() -> None:
            while frames[-1] is not None:
                frames.append(source.read(PATIENCE_S))

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.1)
        source.close()
        reader.join(PATIENCE_S)
        assert not reader.is_alive() and not is_alive(pid)
        assert source.state is State.ENDED and source.status == "closed"
        source.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_parent_that_is_killed_leaves_nothing_behind() -> None:
    script = """
import sys, time
from runtime.camera.sources.open import open_source
source = open_source(sys.argv[1])
while not source.read(1):
    pass
print(source.process.process.pid, flush=True)
time.sleep(600)
"""
    with MjpegCamera() as camera:
        url = f"http://127.0.0.1:{camera.port}/video"
        parent = subprocess.Popen(
            [sys.executable, "-c", script, url], env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        end = time.monotonic() + PATIENCE_S
        while is_alive(pid) and time.monotonic() < end:
            time.sleep(0.05)
        assert not is_alive(pid)


def test_pauses_grow_to_half_a_minute_and_no_further(opened: list[LiveSource]) -> None:
    source = connect(opened, "udp://127.0.0.1:1")
    pauses = []
    for _ in range(200):
        source.lose(CaptureOver("gone"))
        pauses.append(source.retry_at - time.monotonic())
    assert pauses[0] <= 0.5 and pauses[1] <= 1
    assert 10 < max(pauses) <= LONGEST_PAUSE_S
    assert len({round(pause, 3) for pause in pauses}) > 100
