"""A process that has loaded PyTorch and ONNX once, and forks a `toolkit` command for every line that it reads.

A request is a line of JSON: `arguments`, `cwd` and `environment`. The answer, too: `code`, `out`, `err`, `seconds`, and
`rss`, the most memory that any process of the command had, in bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.command import ROOT, environment

LIMIT_S = 90  # of a test, rather than for ever


@dataclass(frozen=True)
class Done:
    """What a command did.

    Attributes:
        code: its exit code; negative where a signal ended it.
        rss: bytes.
    """

    code: int
    out: str
    err: str
    seconds: float
    rss: int


class Zygote:
    """The process, from the outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def run(self, arguments: Sequence[object], cwd: Path, **extra: str) -> Done:
        """Run `toolkit ARGUMENTS` in a folder."""
        assert self.process.stdin is not None and self.process.stdout is not None
        request = {"arguments": [str(argument) for argument in arguments], "cwd": str(cwd), "environment": extra}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return Done(**json.loads(self.process.stdout.readline()))


@contextmanager
def zygote() -> Iterator[Zygote]:
    """Start one, and end it."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.zygote"],
        cwd=ROOT,
        env=environment(OMP_NUM_THREADS="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Zygote(process)
        assert process.stdin is not None
        process.stdin.close()


def serve() -> None:
    """Answer every line."""
    import toolkit.graphs  # noqa: F401  # loads everything, and starts no thread
    from runtime.backends.onnxruntime import onnxruntime

    onnxruntime()
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            start = time.monotonic()
            child = os.fork()
            if not child:
                become(request, out.fileno(), err.fileno())
            _, status, usage = os.wait4(child, 0)
            seconds = time.monotonic() - start
            out.seek(0), err.seek(0)
            texts = [file.read().decode(errors="replace") for file in (out, err)]
        answer = Done(os.waitstatus_to_exitcode(status), *texts, round(seconds, 2), 1024 * usage.ru_maxrss)
        print(json.dumps(vars(answer)), flush=True)


def become(request: dict[str, object], out: int, err: int) -> None:
    """Be the command."""
    import signal

    from toolkit import cli, supervisor

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(str(request["cwd"]))
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ  # Python looks as it starts
    tempfile.tempdir = None
    sys.argv[1:] = request["arguments"]  # type: ignore[assignment]
    signal.alarm(LIMIT_S)  # ends it, and its child with it
    wait = supervisor.wait
    supervisor.leave = leave
    supervisor.wait = lambda *given: leave(wait(*given))  # type: ignore[assignment]
    cli.main()


def leave(code: int) -> None:
    """End at once: to take PyTorch down in order costs a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
