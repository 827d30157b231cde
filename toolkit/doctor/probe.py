"""Asks a process of its own about packages, so that one which crashes, hangs or prints harms nothing."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

BUDGET = 3  # the whole may take as long as this many tasks that hang
# The child gets this process's import path: with -c alone, a folder `onnx` where the user stands would be imported.
START = "import sys; sys.path[:] = {path!r}; from toolkit.doctor.child import main; main()"


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    Attributes:
        value: what it gave.
        error: the first line of why it gave nothing; empty where it did.
        missing: the module that was not found, where that is why.
        tried: it was; False when the time was up before.
    """

    value: Any = None
    error: str = ""
    missing: str = ""
    tried: bool = True


def ask(tasks: Sequence[str], timeout_s: float) -> dict[str, Answer]:
    """Do tasks (see `toolkit.doctor.child`) in a child process; when one ends it, go on in a new one.

    Args:
        tasks: in their order.
        timeout_s: for each task, in seconds; all together get three times as much.

    Returns:
        An answer for each task.
    """
    answers: dict[str, Answer] = {}
    deadline = time.monotonic() + BUDGET * timeout_s
    while (left := [task for task in tasks if task not in answers]) and time.monotonic() < deadline:
        answers |= ask_once(left, timeout_s, deadline)
    return answers | {task: Answer(error="not tried: the time was up", tried=False) for task in left}


def ask_once(tasks: Sequence[str], timeout_s: float, deadline: float) -> dict[str, Answer]:
    """Do tasks in one child, up to the first that ends it: the last answer is then that one's."""
    answers: dict[str, Answer] = {}
    current = tasks[0]  # what a child that dies at once is blamed on
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", START.format(path=sys.path), str(writer), *tasks],
        pass_fds=[writer],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a group to end, with all that a package may have started
    )
    os.close(writer)
    try:
        for line in lines(reader, timeout_s, deadline):
            told = json.loads(line)
            current = told.pop("task")
            if told:
                answers[current] = Answer(**told)
            if len(answers) == len(tasks):
                return answers
        ended = child.poll() is not None or closed(child)
        error = how_it_ended(child.returncode) if ended else f"still not done after {timeout_s:g} s"
        return answers | {current: Answer(error=error)}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        os.close(reader)


def closed(child: subprocess.Popen[bytes]) -> bool:
    """Whether the child is about to be gone: its pipe can close a moment earlier."""
    try:
        child.wait(0.5)
    except subprocess.TimeoutExpired:
        return False
    return True


def lines(reader: int, timeout_s: float, deadline: float) -> Iterator[bytes]:
    """Lines as they come, up to the end, or until none came for so long."""
    waiting = b""
    while True:
        limit = min(timeout_s, deadline - time.monotonic())
        if not select.select([reader], [], [], max(limit, 0))[0]:
            return
        if not (chunk := os.read(reader, 65536)):
            return
        *whole, waiting = (waiting + chunk).split(b"\n")
        yield from whole


def how_it_ended(code: int) -> str:
    """The end of a process, in words."""
    if code >= 0:
        return f"ends the process with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    why = {"SIGILL": ": it needs instructions that this CPU does not have", "SIGKILL": ": memory may be short"}
    return f"kills the process ({name}{why.get(name, '')})"
