"""Two sessions of one thread each, in two Python threads against two processes: goal, the same throughput within 10 %.

python tests/benchmarks/threads.py [ROUNDS]

Every pair is opened once and waits; a round lets one pair after the other run for a moment, so that a machine that
drifts favours none. Batch 1.
"""

from __future__ import annotations

import multiprocessing as mp
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np

from runtime.backend import EngineFile, EngineOptions
from runtime.bundle import Bundle
from runtime.session import Session, session_on
from runtime.spec import ModelSpec, Precision
from tests.benchmarks import alexnet
from tests.benchmarks.common import ROOT, TOOLKIT, environment, publish

GOAL = 10.0
SECONDS = 0.5
WAYS = ("one", "threads", "processes")
Case = tuple[str, Path, ModelSpec, Precision]


def open_case(case: Case) -> Session:
    backend, model, spec, precision = case
    return session_on(
        backend, EngineFile(model, {}, None), spec, EngineOptions(precision, threads=1, reduced_range=True)
    )


def images_per_second(session: Session, wait: Callable[[], object]) -> float:
    """Of one session, running for `SECONDS` from the end of `wait`."""
    image = np.zeros((1, *session.spec.image_shape), np.uint8)
    out = np.empty((1, session.spec.classes), np.float32)
    session.run(image, out)
    wait()
    start = now = time.perf_counter()
    count = 0
    while now - start < SECONDS:
        session.run(image, out)
        count += 1
        now = time.perf_counter()
    return count / (now - start)


def in_threads(sessions: list[Session]) -> float:
    """All at once; the sum."""
    rates: list[float] = []
    barrier = threading.Barrier(len(sessions))
    threads = [
        threading.Thread(target=lambda session: rates.append(images_per_second(session, barrier.wait)), args=(session,))
        for session in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def serve(pipe: Connection, case: Case, sessions: int, barrier: threading.Barrier) -> None:
    """A process with one session or two, which measures whenever it is asked to."""
    opened = [open_case(case) for _ in range(sessions)]
    pipe.send("ready")
    while pipe.recv():
        together = len(opened) == 1 and barrier.parties > 1
        pipe.send(images_per_second(opened[0], barrier.wait) if together else in_threads(opened))
    for session in opened:
        session.close()


class Way:
    """One process with one session, one with two in threads, or two with one each."""

    def __init__(self, way: str, case: Case) -> None:
        context = mp.get_context("spawn")
        count = 2 if way == "processes" else 1
        barrier = context.Barrier(count)
        self.pipes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            sessions = 2 if way == "threads" else 1
            context.Process(target=serve, args=(theirs, case, sessions, barrier), daemon=True).start()
            theirs.close()  # so that a process that dies is noticed here
            self.pipes.append(ours)
        for pipe in self.pipes:
            pipe.recv()

    def measure(self) -> float:
        """Images per second, of all sessions together."""
        for pipe in self.pipes:
            pipe.send(True)
        return sum(pipe.recv() for pipe in self.pipes)

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.send(False)


def cases(folder: Path) -> dict[str, Case]:
    """What is measured, by name."""
    lenet = folder / "lenet"
    build = [*TOOLKIT, "build", "lenet", "--int8", "-o", str(lenet)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT, env=environment())
    fp32, int8 = folder / "fp32.onnx", folder / "int8.onnx"
    alexnet.write_fp32(fp32)
    alexnet.write_int8(fp32, int8)
    spec = alexnet.make_spec()
    return {
        "AlexNet's size, INT8, openvino": ("openvino", int8, spec, "int8"),
        "AlexNet's size, FP32, openvino": ("openvino", fp32, spec, "fp32"),
        "AlexNet's size, FP32, onnxruntime": ("onnxruntime", fp32, spec, "fp32"),
        "lenet, INT8, openvino": ("openvino", lenet / "model.onnx", Bundle.open(lenet).spec, "int8"),
        "lenet, INT8, onnxruntime": ("onnxruntime", lenet / "model.onnx", Bundle.open(lenet).spec, "int8"),
    }


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rows, figures = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases(Path(folder)).items():
            ways = {way: Way(way, case) for way in WAYS}
            rates: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way in random.sample(WAYS, len(WAYS)):
                    rates[way].append(ways[way].measure())
            for open_way in ways.values():
                open_way.close()
            medians = {way: median(values) for way, values in rates.items()}
            behind = 100 * (1 - medians["threads"] / medians["processes"])
            figures[name] = {**medians, "behind_percent": behind}
            rows.append([name, *(f"{medians[way]:,.1f}" for way in WAYS), f"{behind:.1f}", f"{GOAL:g}"])
    columns = ["model", ">one/s", ">two threads/s", ">two processes/s", ">threads behind %", ">goal"]
    publish("threads", columns, rows, figures)


if __name__ == "__main__":
    main()
