"""The child may be ended in any way: its parent says so in a line, exits with 1, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from export import limits
from runtime.errors import ModelError
from tests.command import environment
from toolkit import board, guard, supervisor

# What stands for a command: `work` runs in the child, with `toolkit export model.onnx` as the command line.
SCRIPT = """
import ctypes, os, signal, sys, tempfile, threading, time
from pathlib import Path
from export import limits
from toolkit import board, cli, guard, stopping, supervisor
from toolkit.progress import make_progress
from toolkit.output_file import place_for

def work(*_, **__):
    open(os.path.join(tempfile.mkdtemp(), "left"), "w").close()
    {work}

cli.cli.main = work
sys.argv[1:] = ["export", "model.onnx"]
cli.main()
"""


def start(work: str, folder: Path, **options: object) -> subprocess.Popen[str]:
    (folder / "tmp").mkdir()
    (folder / "work").mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(work=work.replace("\n", "\n    "))],
        cwd=folder / "work",
        env=environment(TMPDIR=str(folder / "tmp")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def end(process: subprocess.Popen[str], folder: Path) -> tuple[int, str, str]:
    """Exit code and both outputs, once nothing is left behind."""
    out, err = process.communicate(timeout=60)
    assert os.listdir(folder / "tmp") == []
    assert os.listdir(folder / "work") == []
    assert "Traceback" not in err
    return process.returncode, out, err


def run(work: str, folder: Path) -> tuple[int, str, str]:
    return end(start(work, folder), folder)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ("ctypes.string_at(0)", ("toolkit export model.onnx was ended by SIGSEGV",)),
        ("os.abort()", ("SIGABRT",)),
        ("os.kill(os.getpid(), signal.SIGBUS)", ("SIGBUS",)),
        ("os.kill(os.getpid(), signal.SIGKILL)", ("SIGKILL", "memory")),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 3)", ("was ended by signal 37",)),
        ("os._exit(7)", ("ended the process, with exit code 7",)),
        ("os._exit(0)", ("ended the process, with exit code 0",)),
        ("with board.saying('about', 'a:b'): os._exit(7)", ("error: a:b ended the process",)),
        ("with make_progress().stage('simplify'): os.abort()", ("while: simplify",)),
        ("with guard.guard('bad\\x1b.onnx', 0): ctypes.string_at(0)", ("(bad\\x1b.onnx)",)),
        ("with place_for(Path('a/b/c.onnx'), force=False): os.abort()", ("SIGABRT",)),
        ("with place_for(Path('a/b/c'), force=0): Path(f'a/b/.c.{os.getpid()}.tmp').touch(); os.abort()", ("SIGABRT",)),
        ("board.writes('d/out'); from runtime.folder import draft\nwith draft('d/out', force=False): os.abort()", ()),
    ],
)
def test_whatever_ends_the_child_is_said_in_a_line(work: str, words: tuple[str, ...], tmp_path: Path) -> None:
    code, out, err = run(work, tmp_path)
    assert (code, out) == (1, "")
    assert [line[:6] for line in err.splitlines()] == ["error:", "hint: "]
    for word in words:
        assert word in err


def test_what_ends_by_itself_keeps_its_exit_code_and_its_output(tmp_path: Path) -> None:
    assert run("print('answer'); return 3", tmp_path) == (3, "answer\n", "")


def test_a_traceback_of_ours_is_shown(tmp_path: Path) -> None:
    _, err = start("raise RuntimeError('ours')", tmp_path).communicate(timeout=60)
    assert "Traceback" in err and "RuntimeError: ours" in err and "error:" not in err


def test_a_thread_that_goes_on_for_ever_is_not_waited_for(tmp_path: Path) -> None:
    work = "threading.Thread(target=time.sleep, args=(1000,)).start(); print('answer')"
    assert run(work, tmp_path) == (0, "answer\n", "")


@pytest.mark.parametrize("loop", ["ctypes.CDLL(None).sleep(1000)", "exec('while True: pass')"])
def test_a_deadline_ends_native_code_too(loop: str, tmp_path: Path) -> None:
    code, _, err = run(f"limits.SECONDS = 0.5\nwith guard.guard('slow.onnx', 0): {loop}", tmp_path)
    assert code == 1 and "slow.onnx takes more than 0 seconds" in err


def test_a_deadline_ends_with_its_guard(tmp_path: Path) -> None:
    work = "limits.SECONDS = 0.2\nwith guard.guard('x', 0): pass\ntime.sleep(0.5); print('answer')"
    assert run(work, tmp_path) == (0, "answer\n", "")


def test_memory_is_limited_and_the_limit_lifted(tmp_path: Path) -> None:
    work = "with guard.guard('big.onnx', 0): bytearray(3_000_000_000)"
    code, _, err = run(work, tmp_path)
    assert code == 1 and "big.onnx needs more than 2.0 GB" in err and "hint:" in err


def test_without_a_parent_memory_alone_is_limited() -> None:
    assert not board.is_up()
    with pytest.raises(ModelError, match=r"big\.onnx needs more than 2\.0 GB"), guard.guard("big.onnx", 0):
        bytearray(3_000_000_000)
    with guard.guard("big.onnx", 0):
        guard.allow(1_000_000_000)
        assert len(bytearray(3_000_000_000)) == 3_000_000_000
    assert len(bytearray(2_500_000_000)) == 2_500_000_000
    guard.allow(0)  # no guard is open
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_limits_grow_with_the_model() -> None:
    assert limits.limits_of(100_000_000).memory == 2_000_000_000
    large = limits.limits_of(1_000_000_000)
    assert (large.memory, large.seconds) == (12_000_000_000, 260)


def signalled(process: subprocess.Popen[str], *numbers: int, gap: float = 0.0) -> None:
    """Send signals to the parent once the child has said a line."""
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for number in numbers:
        process.send_signal(number)
        time.sleep(gap)


READY = "print('ready', flush=True)\n"
# Python looks for signals between calls: one that comes just before a long sleep would be seen after it.
TIDIES = "try:\n  " + READY + "  while True: time.sleep(0.05)\nfinally: time.sleep(0.2); print('tidied')"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_to_the_parent_reaches_the_child(number: int, code: int, times: int, tmp_path: Path) -> None:
    work = TIDIES
    process = start(work, tmp_path)
    signalled(process, *[number] * times)
    assert end(process, tmp_path) == (code, "tidied\n", "interrupted\n")


@pytest.mark.parametrize("wish", ["stopping.exit_code", "wish"])
def test_a_terminal_that_is_closed_ends_nothing_that_nohup_has_started(wish: str, tmp_path: Path) -> None:
    work = "with stopping.only_noted() as wish:\n  " if wish == "wish" else ""
    work += f"print('ready', flush=True); sys.stdin.readline(); print('asked' if {wish}() else 'whole')"
    nohup = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    process = start(work, tmp_path, stdin=subprocess.PIPE, preexec_fn=nohup)
    signalled(process, signal.SIGHUP, signal.SIGHUP)
    out, err = process.communicate("go on\n", timeout=60)
    assert (process.returncode, out, err) == (0, "whole\n", "")


def test_a_signal_to_the_whole_group_interrupts_once(tmp_path: Path) -> None:
    process = start(TIDIES, tmp_path, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert end(process, tmp_path) == (130, "tidied\n", "interrupted\n")


def test_a_second_signal_later_ends_what_does_not_listen(tmp_path: Path) -> None:
    process = start(READY + "while True: ctypes.CDLL(None).sleep(1000)", tmp_path)
    signalled(process, signal.SIGINT, signal.SIGINT, gap=supervisor.PATIENCE_S + 0.2)
    assert end(process, tmp_path) == (130, "", "interrupted\n")


def test_a_parent_that_is_killed_takes_the_child_along(tmp_path: Path) -> None:
    process = start("print(os.getpid(), flush=True); time.sleep(1000)", tmp_path)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.communicate(timeout=60)  # ends when the child has closed its end, too
    watchdog.cancel()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            return
        time.sleep(0.05)
    pytest.fail("the child lives on")


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    others = ("toolkit-1-0123abcd.txt", "toolkit-notes", "bundle")
    killed = start("print('here', flush=True)\ntime.sleep(60)", tmp_path)
    running = subprocess.Popen(
        killed.args, cwd=tmp_path / "work", env=environment(TMPDIR=str(tmp_path / "tmp")), stdout=-1
    )
    assert killed.stdout and running.stdout and killed.stdout.readline() and running.stdout.readline()
    try:
        for name in others:
            (tmp_path / "tmp" / name).mkdir()
        (tmp_path / "tmp" / "toolkit-2-0123abcd").symlink_to(tmp_path / "work")
        killed.kill()
        killed.communicate(timeout=60)
        end = time.monotonic() + 60
        while len(left := set(os.listdir(tmp_path / "tmp")) - {*others, "toolkit-2-0123abcd"}) > 1:
            assert time.monotonic() < end, left  # the child holds the folder until the kernel has ended it
            supervisor.sweep_temporary(str(tmp_path / "tmp"))
        assert left.pop().startswith(f"toolkit-{running.pid}-")
        assert set(others) < set(os.listdir(tmp_path / "tmp")) and (tmp_path / "work").exists()
    finally:
        running.kill()
        running.communicate(timeout=60)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["build", "--help"], ["doctor"], ["train"], ["classify", "-h"]])
def test_what_runs_no_foreign_code_is_not_supervised(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    supervisor.supervise(arguments)
    assert not board.is_up()


def test_a_text_on_the_board_is_cut_and_kept_apart() -> None:
    board.put("about", "lost: there is no board")
    assert board.get("about") == ""
    board.put_up()
    try:
        board.put("about", "x" * 10_000)
        with board.saying("stage", "a\0b\udcff"):
            assert board.get("stage") == "a?b\udcff"
        assert (len(board.get("about")), board.get("stage"), board.get("limits")) == (board.SLOT - 1, "", "")
    finally:
        board.take_down()
