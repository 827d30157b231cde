"""A cold start: opens an engine, answers once, and tells how long that took. `cold.py` starts it."""

from __future__ import annotations

import json
import signal
import sys
import time

import msgspec
import numpy as np

from runtime.backend import require_backend
from runtime.bundle import Bundle
from runtime.child import peak_bytes
from runtime.errors import ToolkitError
from runtime.measure.cold import Opening, Started
from runtime.text import plain

CALLS = 10  # after the first: some engines take memory only then


def main() -> None:
    """Do what the command line says; the answer is the last line of standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the parent, who ends this
    try:
        told = start(msgspec.convert(json.loads(sys.argv[1]), type=Opening))
    except ToolkitError as error:
        told = Started(error=plain(error.message), hint=plain(error.hint))
    print(f"\n{msgspec.json.encode(told).decode()}", flush=True)


def start(opening: Opening) -> Started:
    """One answer to one image, then a few more."""
    bundle = Bundle.open(opening.bundle)
    require_backend(opening.backend or bundle.manifest.target)  # imports the library
    before = time.perf_counter_ns()
    with opening.open(bundle) as session:
        loaded = time.perf_counter_ns()
        image = np.ascontiguousarray(bundle.probe.images[:1])
        session.run(image)
        answered, answered_ns = time.perf_counter_ns(), time.monotonic_ns()
        for _ in range(CALLS):
            session.run(image)
        return Started(answered_ns, loaded - before, answered - loaded, peak_bytes())
