"""What many frames of a video leave behind: goal, memory that stays as it is, in both processes, and no file or thread.

python tests/benchmarks/camera_soak.py [FRAMES]
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from runtime.camera.frame import State
from runtime.camera.sources.video import VideoSource
from tests.benchmarks.common import publish

LENGTH, SIZE = 5000, (160, 120)
WARM_UP = 500


def write_video(path: Path) -> None:
    """`LENGTH` frames of noise that moves."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, SIZE)
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1] * 2, SIZE[0], 3), np.uint8)
    for index in range(LENGTH):
        writer.write(np.ascontiguousarray(noise[index % SIZE[1] :][: SIZE[1]]))
    writer.release()


def resident(pid: int) -> float:
    """MiB of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    marks, taken, rows = [WARM_UP, count // 2, count], 0, []
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.avi"
        write_video(path)
        while taken < count:
            source = VideoSource(str(path), fast=True, timeout_s=60)
            while source.state is not State.ENDED and taken < count:
                taken += source.read(60) is not None
                if marks and taken >= marks[0] and source.process:
                    memory = (resident(os.getpid()), resident(source.process.process.pid))
                    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
                    rows.append([str(marks.pop(0)), *(f"{used:.1f}" for used in memory), str(files), str(threads)])
            source.close()
    rate = count / (time.monotonic() - start)
    figures = {"rows": rows, "frames_per_second": round(rate, 1)}
    header = [">frames", ">RSS MiB", ">child's RSS MiB", ">open files", ">threads"]
    publish("camera_soak", header, rows, figures)
    print(f"{rate:.0f} frames per second")


if __name__ == "__main__":
    main()
