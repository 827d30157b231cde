"""Cold starts: processes of their own that open an engine for one answer (`child.py`), in turns over the engines."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from msgspec import Struct

from runtime.bundle import Bundle
from runtime.child import CODE, ROOT
from runtime.errors import BackendError
from runtime.latency import rotated
from runtime.measure.result import ColdStart
from runtime.measure.statistics import milliseconds
from runtime.progress import Progress, advance_or_stop
from runtime.session import Session, open_session

CHILD = "runtime.measure.child"
MOST_SECONDS = 600.0  # a plan may be compiled on the way


class Opening(Struct, frozen=True):
    """How an engine is opened: what `open_session` is given.

    Attributes:
        bundle: its folder.
        backend, device, threads, cache_dir, trust: as there.
    """

    bundle: str
    backend: str | None = None
    device: str | None = None
    threads: int | None = None
    cache_dir: str | None = None
    trust: bool = False

    def open(self, bundle: Bundle | None = None) -> Session:
        """A session; `bundle` is the one of that folder, where it is open already."""
        return open_session(
            bundle or self.bundle,
            backend=self.backend,
            device=self.device,
            threads=self.threads,
            cache_dir=self.cache_dir,
            trust=self.trust,
        )


class Started(Struct, frozen=True):
    """What a child tells.

    Attributes:
        answered_ns: when it had its first answer, by the system's monotonic clock, which all processes share.
        load_ns: of opening the engine.
        first_call_ns: of the first call.
        peak_bytes: the most memory that it had; null where the system does not tell.
        error: why there was no answer; empty where there was.
        hint: what to do about it.
    """

    answered_ns: int = 0
    load_ns: int = 0
    first_call_ns: int = 0
    peak_bytes: int | None = None
    error: str = ""
    hint: str = ""


Start = Callable[[Opening], tuple[int, Started]]


def measure_cold(
    openings: Mapping[str, Opening], starts: int, progress: Progress, *, start: Start | None = None
) -> dict[str, ColdStart]:
    """Start a process for every engine in turn, and again.

    Args:
        openings: by the engine's name.
        starts: of each.
        progress: told of every process.
        start: of one process; left out, `start_child`.

    Raises:
        BackendError: a process gave no answer.
    """
    begin = start or start_child
    found: dict[str, list[tuple[int, Started]]] = {name: [] for name in openings}
    with progress.stage("start processes", starts * len(openings)) as stage:
        for turn in range(starts):
            for name in rotated(openings, turn):
                found[name].append(begin(openings[name]))
                advance_or_stop(stage)
    return {name: describe_cold(told) for name, told in found.items()}


def describe_cold(told: list[tuple[int, Started]]) -> ColdStart:
    """The values of one engine, of the times before the start of each process and what it told."""
    peaks = [started.peak_bytes for _, started in told if started.peak_bytes is not None]
    return ColdStart(
        start_ms=median_ms([started.answered_ns - before for before, started in told]),
        load_ms=median_ms([started.load_ns for _, started in told]),
        first_call_ms=median_ms([started.first_call_ns for _, started in told]),
        peak_memory_bytes=max(peaks, default=None),
        starts=len(told),
    )


def median_ms(nanoseconds: list[int]) -> float:
    """In milliseconds."""
    return milliseconds(max(float(np.median(nanoseconds)) / 1e6, 0.0))


def start_child(opening: Opening) -> tuple[int, Started]:
    """One process: the time just before it was started, and what it told.

    Raises:
        BackendError: it gave no answer.
    """
    code = CODE.format(root=str(ROOT), module=CHILD)
    # msgspec takes no name of a file that is no UTF-8.
    command = [sys.executable, "-c", code, json.dumps(msgspec.to_builtins(opening))]
    before = time.monotonic_ns()
    # Left by any way, also by Ctrl-C, `run` ends the child.
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise failed(opening, f"it does not answer within {MOST_SECONDS:g} s") from error
    try:
        started = msgspec.json.decode(done.stdout.strip().rpartition(b"\n")[2], type=Started)
    except msgspec.MsgspecError as error:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        by = f"it was ended by signal {-done.returncode}" if done.returncode < 0 else f"it exits with {done.returncode}"
        raise failed(opening, f"{by}: {words[-1]}" if words else by) from error
    if started.error:
        raise failed(opening, started.error, started.hint)
    return before, started


def failed(opening: Opening, why: str, hint: str = "") -> BackendError:
    """What to raise for a process that gave no answer."""
    return BackendError(
        f"a process of its own could not answer with {opening.bundle}: {why}",
        hint or "leave --cold out to measure the rest",
    )
