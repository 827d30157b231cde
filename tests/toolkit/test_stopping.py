"""An interrupt that a library swallows still stops the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import environment

SCRIPT = """
import os, signal
from contextlib import suppress
from runtime.errors import ExportError
from toolkit import cli, stopping
from toolkit.progress import make_progress

def swallow():
    with suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.{name})

def fails_otherwise(arguments):
    try:
        swallow()
        raise ExportError("a module has no attribute 'exc'", "none")
    except ExportError as error:
        raise error

def goes_on(*arguments, **settings):
    swallow()
    with make_progress().stage("next"):
        print("went on")

cli.cli.main = {function}
cli.main()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("function", ["goes_on", "lambda *a, **k: fails_otherwise(a)"])
def test_exit_code_is_that_of_the_signal(name: str, code: int, function: str) -> None:
    script = SCRIPT.format(name=name, function=function)
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupt_within_exec_gives_the_exit_code_all_the_same(tmp_path: Path) -> None:
    """As in a dataclass that is made while a module is imported."""
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from toolkit import cli\n"
        "def main(*_, **__):\n"
        "    exec('raise KeyboardInterrupt')\n"
        "cli.cli.main = main\n"
        "sys.exit(cli.run([]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_callback_that_may_raise_nothing_tells_of_no_signal_and_of_anything_else(tmp_path: Path) -> None:
    script = """
import os, signal, weakref
from toolkit import stopping

class Thing:
    pass

def stop(_):
    os.kill(os.getpid(), signal.SIGTERM)
    os.getpid()

def fail(_):
    raise OSError("something else")

stopping.install()
for callback in (stop, fail):
    thing = Thing()
    reference = weakref.ref(thing, callback)
    del thing
print("asked to stop:", stopping.exit_code())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment()
    )
    assert ended.stdout == "asked to stop: 143\n"
    assert "something else" in ended.stderr
    assert "KeyboardInterrupt" not in ended.stderr and "_remember" not in ended.stderr
