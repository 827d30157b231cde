"""Stand-ins for the child process of a build, which end in ways that the real one seldom does. Not TensorRT."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from runtime.backends.tensorrt.events import Event, Failure, Request, Start, Step, Success


def begin() -> tuple[Request, int]:
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    Path(request.plan).write_bytes(b"half a pl")
    return request, int(sys.argv[1])


def tell(pipe: int, *events: Event) -> None:
    for event in events:
        os.write(pipe, msgspec.json.encode(event) + b"\n")


def killed() -> None:
    """By the kernel, where memory runs out."""
    begin()
    os.kill(os.getpid(), signal.SIGKILL)


def crashed() -> None:
    """By a native library, in the middle of an event."""
    _, pipe = begin()
    print("Internal Error: something native", flush=True)
    tell(pipe, Start("Building engine", 3), Step("Building engine", 0))
    os.write(pipe, b'{"type": "step", "pha')
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


def silent() -> None:
    """With an exit code, and nothing to say."""
    begin()
    os._exit(3)


def out_of_memory() -> None:
    """Until it may use 64 MiB alone."""
    request, pipe = begin()
    if (request.options.workspace_mib or 1 << 20) > 64:
        tell(pipe, Failure("build", "Error Code 2: OutOfMemory (no device memory)"))
    else:
        Path(request.plan).write_bytes(b"a plan")
        tell(pipe, Success("9.9", {"fc": f"level {request.options.optimization_level}"}, 1))


def never_enough() -> None:
    """Whatever it is given."""
    _, pipe = begin()
    tell(pipe, Failure("build", "no tactics to implement the operation within workspace limit"))


def too_small() -> None:
    """On a device whose memory no tactic fits into."""
    _, pipe = begin()
    tell(pipe, Failure("build", "Could not find any implementation for node conv1", short_of_memory=True))


def aborted() -> None:
    """By C++, where an allocation fails."""
    begin()
    print("terminate called after throwing an instance of 'std::bad_alloc'", flush=True)
    os.kill(os.getpid(), signal.SIGABRT)


def hangs() -> None:
    """For ever, once it has said who it is."""
    request, pipe = begin()
    written = Path(f"{request.plan}.new")
    written.write_text(str(os.getpid()))
    written.rename(f"{request.plan}.pid")
    tell(pipe, Start("Building engine", 2), Step("Building engine", 0))
    time.sleep(600)
