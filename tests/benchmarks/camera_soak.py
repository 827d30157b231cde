"""What many frames leave behind: goal, memory that stays as it is, in all processes, and at most 250 MiB of it.

`python tests/benchmarks/camera_soak.py BUNDLE [FRAMES]` draws a small video with digits that move, reads all of it with
`toolkit camera`, and looks at the memory on the way.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from runtime.camera.synthetic.source import shipped_digits
from tests.benchmarks.common import publish

SIZE = (320, 240)
HEIGHT = 36  # pixels of a digit
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


def main() -> None:
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    marks, rows = [max(1, round(share * frames)) for share in SHARES], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.avi"
        write_video(path, frames)
        command = [sys.executable, "-m", "toolkit", "camera", sys.argv[1], "--source", str(path), "--fast"]
        command += ["--view", "none", "--jsonl", "-", "--threads", "1"]
        start = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout
            for number in count(1):
                if not process.stdout.readline():
                    break
                if number in marks:
                    memory = [resident(pid) for pid in family(process.pid)]
                    rows.append([f"{number:,}", f"{sum(memory):.1f}", ", ".join(f"{used:.1f}" for used in memory)])
    rate = frames / (time.monotonic() - start)
    header = [">frames", ">RSS MiB", "of each process"]
    publish("camera_soak", header, rows, {"rows": rows, "frames_per_second": round(rate, 1)})


if __name__ == "__main__":
    main()
