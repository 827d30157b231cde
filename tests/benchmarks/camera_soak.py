"""What many frames leave behind: goal, memory, threads and open files that stay as they are, in all processes.

`python tests/benchmarks/camera_soak.py BUNDLE [FRAMES] [--all]` draws a small video with digits that move, reads all of
it with `toolkit camera`, and looks at its processes on the way; the goal for memory is 250 MiB. With --all it also
records, and serves the page to a viewer and metrics to a scraper; then it reads a camera that is too fast. In the end
each frame has to be accounted for.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Process
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClosedError, websocket_connect

from runtime.camera.synthetic.source import shipped_digits
from tests.benchmarks.common import publish

SIZE = (320, 240)
HEIGHT = 36  # pixels of a digit
LIVE_FPS, LIVE_S = 240, 100
SCRAPE_S, LOOK_S = 5, 0.1
SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.99)  # of the frames, after which to look


def write_video(path: Path, frames: int) -> None:
    """Ten digits on paper, each on a circle of its own."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, SIZE)
    images = shipped_digits()[0]
    for index in range(frames):
        picture = np.full((SIZE[1], SIZE[0]), 225, np.uint8)
        for place in range(10):
            ink = cv2.resize(images[(index // 300 + place) % len(images)], (HEIGHT, HEIGHT))
            x = round(place % 5 * 60 + 22 + 8 * np.cos(index / 40 + place))
            y = round(place // 5 * 110 + 40 + 8 * np.sin(index / 40 + place))
            part = picture[y : y + HEIGHT, x : x + HEIGHT]
            part -= np.minimum(part, ink)
        writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    writer.release()


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[int(name)] = int(Path("/proc", name, "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it has just ended
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def resident(pid: int) -> float:
    """MiB of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def count_in(pid: int, what: str) -> int:
    """Threads ("task") or open files ("fd") of a process."""
    return len(os.listdir(f"/proc/{pid}/{what}"))


def watch(url: str) -> None:
    """Watch the page, and fetch metrics every few seconds, until it is gone."""
    asyncio.run(look(url))


async def look(url: str) -> None:
    """Show every frame that comes."""
    connection = await websocket_connect(url.replace("http", "ws", 1) + "socket")
    frames, scraped = 0, time.monotonic()
    with suppress(WebSocketClosedError):
        await connection.write_message('{"type":"next"}')
        while (message := await connection.read_message()) is not None:
            if isinstance(message, bytes):
                frames += 1
                await connection.write_message('{"type":"next"}')
            if time.monotonic() - scraped > SCRAPE_S:
                scraped = time.monotonic()
                await AsyncHTTPClient().fetch(f"{url}metrics")
    print(f"{frames:,} frames were watched")


def lines_of(path: Path, process: subprocess.Popen[str]) -> Iterator[int]:
    """How many there are, whenever there are more, until the process has ended."""
    lines, ended = 0, False
    while not path.exists() and process.poll() is None:
        time.sleep(LOOK_S)
    with path.open("rb") as file:
        while not ended:
            ended = process.poll() is not None
            lines += sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
            yield lines
            time.sleep(LOOK_S)


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    everything = len(arguments) < len(sys.argv) - 1
    frames = int(arguments[1]) if len(arguments) > 1 else 100_000
    marks, rows = [max(1, round(share * frames)) for share in SHARES], []
    with tempfile.TemporaryDirectory() as folder:
        path, jsonl = Path(folder) / "video.avi", Path(folder) / "lines.jsonl"
        write_video(path, frames)
        command = [sys.executable, "-m", "toolkit", "camera", arguments[0], "--source", str(path), "--fast"]
        command += ["--jsonl", str(jsonl), "--threads", "1", "--json", "--every-frame"]
        if everything:
            command += ["--view", "web", "--listen", "127.0.0.1:0", "--record", str(Path(folder) / "read.mp4")]
        else:
            command += ["--view", "none"]
        start = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout and process.stderr
            viewer = None
            if everything:
                while not (match := re.search(r"http://\S+", process.stderr.readline())):
                    pass
                viewer = Process(target=watch, args=(match[0],))
                viewer.start()
            Thread(target=process.stderr.read, daemon=True).start()
            for lines in lines_of(jsonl, process):
                if marks and lines >= marks[0]:
                    marks.pop(0)
                    rows.append(row_of(lines, family(process.pid)))
            summary = json.loads(process.stdout.read())
        if viewer:
            viewer.join()
    seconds = time.monotonic() - start
    came = {source["source"]: source["frames"] + sum(source["dropped"].values()) for source in summary["sources"]}
    header = [">frames", ">RSS MiB", "of each process", ">threads", ">open files"]
    figures = {"rows": rows, "frames_per_second": round(frames / seconds, 1), "summary": summary, "lines": lines}
    publish("camera_soak", header, rows, figures)
    if everything:
        live = account(arguments[0])
        print(f"of a camera that is too fast: {live}")
        if live.pop("came") != sum(live.values()):
            sys.exit("these are not all its frames")
    if lines != summary["frames"] or came[str(path)] != frames:
        sys.exit(f"{came[str(path)]:,} of {frames:,} frames are accounted for, and {lines:,} lines written")


def account(bundle: str) -> dict[str, int]:
    """Of a camera that is too fast: frames by what became of them, and how many there were."""
    source = f"synthetic://clean?size=320x240&fps={LIVE_FPS}&seconds={LIVE_S}"
    command = [sys.executable, "-m", "toolkit", "camera", bundle, "--source", source, "--json"]
    command += ["--view", "web", "--listen", "127.0.0.1:0", "--threads", "1"]
    summary = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    (counted,) = summary["sources"]
    return {"came": LIVE_FPS * LIVE_S, "read": counted["frames"], **counted["dropped"]}


def row_of(frames: int, processes: list[int]) -> list[str]:
    """What they hold after so many frames."""
    memory = [resident(pid) for pid in processes]
    threads, files = ([str(count_in(pid, what)) for pid in processes] for what in ("task", "fd"))
    each = ", ".join(f"{used:.1f}" for used in memory)
    return [f"{frames:,}", f"{sum(memory):.1f}", each, ", ".join(threads), ", ".join(files)]


if __name__ == "__main__":
    main()
