"""A process that has loaded PyTorch and ONNX once, and forks for each line that it reads, to run a module as a program.

A request is a line of JSON: `module`, `arguments`, `cwd` and `environment`. The answer, too: `code`, `out`, `err`,
`seconds`, and `rss`, the most memory that any of its processes had, in bytes.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 900  # rather than for ever


@dataclass(frozen=True)
class Done:
    """What a program did.

    Attributes:
        code: its exit code; negative where a signal ended it.
        rss: bytes.
    """

    code: int
    out: str
    err: str
    seconds: float
    rss: int


@cache
def zygote() -> subprocess.Popen[str]:
    """The one of this process: it ends when its input does."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.zygote"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},  # it may have no threads: they do not fork
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run(module: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> Done:
    """Run `python -m MODULE ARGUMENTS` in a folder, without standard input."""
    process = zygote()
    assert process.stdin is not None and process.stdout is not None
    request = {"module": module, "arguments": arguments, "cwd": str(cwd), "environment": environment}
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return Done(**json.loads(process.stdout.readline()))


def serve() -> None:
    """Answer every line."""
    keep_to_own_cores()
    load()
    assert len(os.listdir("/proc/self/task")) == 1
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


def keep_to_own_cores() -> None:
    """Each worker of pytest-xdist gets its share for its programs: threads on all of them would wait for each other."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[int(worker.removeprefix("gw")) % len(cores) :: int(workers)])


def load() -> None:
    """Import what programs import, as far as it is installed, and export once: that imports the most."""
    from runtime.backends.onnxruntime import onnxruntime
    from tests import torchlib

    onnxruntime()
    try:
        import torch
        import tqdm

        import toolkit.commands.build
        import toolkit.graphs  # noqa: F401
    except ModuleNotFoundError:
        return
    tqdm.tqdm.monitor_interval = 0  # it would start a thread
    torchlib.keep()
    model = torch.nn.Linear(1, 1).eval()
    torch.onnx.export(model, (torch.zeros(1, 1),), dynamo=True, verbose=False)


def become(request: dict[str, object], out: int, err: int) -> None:
    """Be the program."""
    import signal

    from toolkit import supervisor

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ  # Python looks as it starts
    tempfile.tempdir = None
    sys.argv[1:] = request["arguments"]  # type: ignore[assignment]
    signal.alarm(LIMIT_S)  # ends it, and its child with it
    wait = supervisor.wait
    supervisor.leave = leave
    supervisor.wait = lambda *given: leave(wait(*given))  # type: ignore[assignment]
    runpy.run_module(str(request["module"]), run_name="__main__")
    leave(0)


def leave(code: int) -> None:
    """End at once: to take PyTorch down in order costs a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
