"""What those who watch cost the reading: goal, that 50 viewers, slow ones or a flood of bad requests cost at most 10 %.

`python tests/benchmarks/camera_page.py BUNDLE [ROUNDS]` reads the same video with `toolkit camera --fast` again and
again, in turns without a page, with one that nobody looks at, and with each kind of visitor, who are processes of a
lower priority on this machine. The figures are the medians of what each stage takes, added up, and what one run takes,
over those without a page.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from statistics import median

import cv2
from tornado.websocket import WebSocketClosedError, websocket_connect

from runtime.camera.synthetic.source import open_synthetic
from tests.benchmarks.common import TOOLKIT, environment, publish

SECONDS, SCENES = 4, 5  # of drawn video
REPEATED = 5  # times, as to draw takes longer than to read
KINDS = (
    "no page",
    "nobody",
    "one viewer",
    "50 viewers",
    "a viewer that does not read",
    "bad requests",
    "slow requests",
)
VIEWERS, SLOW = 50, 100


def write_video(path: Path) -> int:
    """Digits on paper, 640x480; how many frames."""
    source = open_synthetic(f"synthetic://clean?digits=10&seconds={SECONDS * SCENES}&scene={SECONDS}&fps=15", fast=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (640, 480))
    pictures = []
    while frame := source.read(1.0):
        pictures.append(frame.image)
    for picture in pictures * REPEATED:
        writer.write(picture)
    writer.release()
    return len(pictures) * REPEATED


def read(bundle: str, video: Path, kind: str) -> tuple[float, float, dict[str, int]]:
    """Milliseconds of a frame, seconds of the run, and what visitors did, as they counted it."""
    command = [*TOOLKIT, "camera", bundle, "--source", str(video), "--fast", "--threads", "1", "--json"]
    command += ["--every-frame"]  # else most would only be compared, and their stages are not those that are read
    command += ["--view", "none"] if kind == "no page" else ["--view", "web", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        visitors = None
        if kind not in ("no page", "nobody"):
            while not (match := re.search(r"http://127.0.0.1:(\d+)/", process.stderr.readline())):
                pass
            arguments = [sys.executable, __file__, "--visit", kind, match[1]]
            visitors = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, text=True)
        summary = json.loads(process.stdout.read())
        process.stderr.read()
    done = json.loads(visitors.communicate()[0]) if visitors else {}
    stages = [times["p50"] for stage, times in summary["latency_ms"].items() if stage not in ("age", "total")]
    return sum(stages), summary["seconds"], done


async def visit(kind: str, port: int) -> dict[str, int]:
    """Be those visitors, until the page is gone."""
    counted = {"done": 0}
    while not await reachable(port):
        await asyncio.sleep(0.05)
    if kind == "one viewer":
        await watch(port, counted)
    elif kind == "50 viewers":
        await asyncio.gather(*(watch(port, counted) for _ in range(VIEWERS)))
    elif kind == "a viewer that does not read":
        await asyncio.gather(*(stare(port, counted) for _ in range(VIEWERS)))
    elif kind == "bad requests":
        await asyncio.gather(*(flood(port, counted) for _ in range(8)))
    else:
        await asyncio.gather(*(drip(port, counted) for _ in range(SLOW)))
    return counted


async def reachable(port: int) -> bool:
    """Whether the page answers."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    except OSError:
        return False
    return b"200 OK" in answer


async def watch(port: int, counted: dict[str, int]) -> None:
    """Show every frame that comes."""
    connection = await websocket_connect(f"ws://127.0.0.1:{port}/socket")
    with suppress(WebSocketClosedError):
        await connection.write_message('{"type":"next"}')
        while (message := await connection.read_message()) is not None:
            if isinstance(message, bytes):
                counted["done"] += 1
                await connection.write_message('{"type":"next"}')


async def stare(port: int, counted: dict[str, int]) -> None:
    """Ask for frames, and read none."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    handshake = "GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(f"{handshake}Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    counted["done"] += 1
    text = b'{"type":"next"}'
    try:
        while True:
            writer.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
            await writer.drain()
            await asyncio.sleep(0.03)
    except OSError:
        return


async def flood(port: int, counted: dict[str, int]) -> None:
    """One bad request after the other."""
    bad = (
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n",
        b"GET /socket HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nUpgrade: websocket\r\n\r\n",
    )
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        with suppress(OSError, asyncio.TimeoutError):
            writer.write(bad[counted["done"] % len(bad)])
            await asyncio.wait_for(reader.read(100), 1)
        writer.close()
        counted["done"] += 1


async def drip(port: int, counted: dict[str, int]) -> None:
    """A request that never ends, a byte at a time."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        counted["done"] += 1
        try:
            while True:
                writer.write(b"X")
                await writer.drain()
                await asyncio.sleep(0.2)
        except OSError:
            await asyncio.sleep(0.2)


def main() -> None:
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    done: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.avi"
        frames = write_video(video)
        for _ in range(rounds):
            for kind in KINDS:
                frame_ms, seconds, counted = read(sys.argv[1], video, kind)
                times[kind].append((frame_ms, seconds))
                done[kind] = counted.get("done", 0)
    rows, figures = [], {}
    for kind, pairs in times.items():
        frame_ms, seconds = median(ms for ms, _ in pairs), median(run for _, run in pairs)
        both = list(zip(pairs, times["no page"], strict=True))
        slower = [median(pair[at] / base[at] for pair, base in both) for at in (0, 1)]
        rows.append([kind, f"{frame_ms:.2f}", f"{slower[0]:.2f}", f"{seconds:.1f}", f"{slower[1]:.2f}"])
        rows[-1].append(f"{done[kind]:,}")
        figures[kind] = {"frame_ms": frame_ms, "times": slower[0], "seconds": seconds, "times_run": slower[1]}
    header = ["who watches", ">frame ms", ">times", ">run s", ">times", ">frames, requests"]
    publish("camera_page", header, rows, {"frames": frames, "rounds": rounds, "kinds": figures})


if __name__ == "__main__":
    if sys.argv[1] == "--visit":
        os.nice(19)
        print(json.dumps(asyncio.run(visit(sys.argv[2], int(sys.argv[3])))))
    else:
        main()
