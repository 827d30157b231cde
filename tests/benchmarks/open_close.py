"""What a thousand opens and closes of a bundle leave behind: goal, no thread, no file, and no memory to speak of.

python tests/benchmarks/open_close.py [COUNT]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.common import environment, publish

BACKENDS = ("onnxruntime", "openvino")
WARM_UP = 200
SCRIPT = """
import gc, json, os, sys
import numpy as np
from runtime import open_session

def used():
    gc.collect()
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    memory, threads = int(status["VmRSS"].split()[0]), int(status["Threads"])
    return {"kilobytes": memory, "threads": threads, "files": len(os.listdir("/proc/self/fd"))}

bundle, backend, warm_up, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
images = np.zeros((3, 8, 8, 1), np.uint8)
for index in range(1, count + 1):
    with open_session(bundle, backend=backend, threads=2) as session:
        session.run(images)
        session.run(images[:1])
    if index in (warm_up, count):
        print(json.dumps(used()))
"""


def open_and_close(bundle: Path, backend: str, warm_up: int, count: int) -> tuple[dict[str, int], dict[str, int]]:
    """What a process of its own uses after `warm_up` and after `count` opens and closes."""
    command = [sys.executable, "-c", SCRIPT, str(bundle), backend, str(warm_up), str(count)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    first, last = map(json.loads, done.stdout.splitlines())
    return first, last


def main() -> None:
    from tests.tiny import write_tiny_bundle

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_tiny_bundle(Path(folder) / "tiny")
        for backend in BACKENDS:
            first, last = open_and_close(bundle, backend, WARM_UP, count)
            figures[backend] = {"first": first, "last": last}
            rows += [
                [backend, str(when), f"{used['kilobytes'] / 1024:.1f}", str(used["threads"]), str(used["files"])]
                for when, used in ((WARM_UP, first), (count, last))
            ]
    publish("open_close", ["backend", ">opens", ">RSS MiB", ">threads", ">open files"], rows, figures)


if __name__ == "__main__":
    main()
