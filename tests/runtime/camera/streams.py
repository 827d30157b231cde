"""Real streams on loopback: ffmpeg as a server, and tiny servers of MJPEG over HTTP and of RTSP."""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.camera.frame import Frame, Source, State

PATIENCE_S = 60.0  # on a busy machine; no test needs a tenth of it
FPS, SIZE = 25, (160, 120)
TEST_PICTURE = ["-f", "lavfi", "-i", "testsrc=size={}x{}:rate=25"]
H264 = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "5"]


def ffmpeg() -> str:
    """The program; a test that needs it is skipped without."""
    return str(pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_video(path: Path, frames: int = 50, size: tuple[int, int] = SIZE, *options: str) -> Path:
    """A video whose frame N has the brightness that `brightness(N)` says."""
    width, height = size
    command = [ffmpeg(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}"]
    command += ["-r", str(FPS), "-i", "-", *H264, "-qp", "5", *options, str(path)]
    pixels = b"".join(bytes([brightness(index)]) * (width * height) for index in range(frames))
    subprocess.run(command, input=pixels, check=True)
    return path


def brightness(index: int) -> int:
    return 20 + index * 8 % 200


def shown(frame: Frame) -> int:
    """The number of the frame below 25, by its brightness."""
    return round((float(frame.image.mean()) - 20) / 8)


@contextmanager
def served(target: str, size: tuple[int, int] = SIZE) -> Iterator[subprocess.Popen[bytes]]:
    """A test picture as MPEG-TS, at 25 frames per second, to a URL of ffmpeg, until it is killed."""
    source = [part.format(*size) for part in TEST_PICTURE]
    command = [ffmpeg(), "-v", "quiet", "-re", *source, *H264, "-f", "mpegts", target]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def read_until(source: Source, wanted: Callable[[Frame | None], object]) -> Frame | None:
    """Read until something is so, which it has to be some time."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        frame = source.read(0.1)
        if wanted(frame):
            return frame
        assert source.state is not State.ENDED, source.status
    raise AssertionError(f"not in {PATIENCE_S:.0f} s: {source.state}, {source.status}")


def next_frame(source: Source) -> Frame:
    frame = read_until(source, lambda frame: frame is not None)
    assert frame
    return frame


def read_all(source: Source) -> list[Frame]:
    """Of a source that ends."""
    frames = []
    while source.state is not State.ENDED:
        if frame := source.read(PATIENCE_S):
            frames.append(frame)
    return frames


class MjpegCamera:
    """A camera of the cheap kind: `multipart/x-mixed-replace` over HTTP, with basic authentication if it is asked for.

    Args:
        port: to listen on; 0 takes any.
        size: of its pictures.
        login: `user:password`.
    """

    def __init__(self, port: int = 0, size: tuple[int, int] = SIZE, login: str = "") -> None:
        self.size, self.running, self.sent = size, True, 0
        wanted = "Basic " + base64.b64encode(login.encode()).decode()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if login and self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                self.end_headers()
                with suppress(OSError):
                    while camera.running:
                        self.wfile.write(camera.part())
                        time.sleep(0.02)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def part(self) -> bytes:
        """One picture: its brightness is `brightness` of how many came before it."""
        picture = np.full((self.size[1], self.size[0], 3), brightness(self.sent % 25), np.uint8)
        jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
        self.sent += 1
        return b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n"

    def __enter__(self) -> MjpegCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.running = False
        self.server.shutdown()
        self.server.server_close()


def serve_rtsp(listener: socket.socket, transport_stream: bytes) -> None:
    """RTSP for one client, with MPEG-TS in RTP in the same connection; then it hangs up.

    What a camera does, as far as FFMPEG asks for it: OPTIONS, DESCRIBE, SETUP and PLAY.
    """
    connection, _ = listener.accept()
    sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
    answers = {
        "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}",
        "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n",
        "PLAY": "Session: 1\r\n\r\n",
    }
    with connection, suppress(OSError):
        lines = connection.makefile("rb")
        method = ""
        while method != "PLAY":
            method, number = lines.readline().split()[0].decode(), 0
            while line := lines.readline().strip():
                if line.lower().startswith(b"cseq:"):
                    number = int(line.split(b":")[1])
            connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{answers[method]}".encode())
        for sequence, start in enumerate(range(0, len(transport_stream), 7 * 188)):
            payload = transport_stream[start : start + 7 * 188]
            packet = struct.pack(">BBHII", 0x80, 33, sequence & 0xFFFF, sequence * 3600, 1) + payload
            connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            time.sleep(0.01)
