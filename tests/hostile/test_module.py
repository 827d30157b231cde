"""`module:factory` is anybody's code: whatever it does instead of making a model is said in a line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import TOOLKIT, environment
from tests.hostile.test_corpus import run

GREY = ("--input-size", "8", "--color", "gray")
MODULE = """
import ctypes, os, signal, sys, threading, time
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))

def raises(): raise ValueError("no \\x1b[2J weights\\nand more")
def leaves(): raise SystemExit(3)
def leaves_well(): sys.exit()
def ends(): os._exit(0)
def ends_badly(): os._exit(7)
def crashes(): ctypes.string_at(0)
def aborts(): os.abort()
def is_killed(): os.kill(os.getpid(), signal.SIGKILL)
def recurses(): return recurses()
def takes_too_much(): return torch.zeros(1 << 50)
def none(): return None
def a_function(): return net
def a_class(): return nn.Linear
def needs(depth, width): return net()
def interrupts(): raise KeyboardInterrupt
def exits_generator(): raise GeneratorExit
def recursion_in_c():
    deep = []
    for _ in range(1_000_000): deep = [deep]
    return repr(deep)
class Wrong(nn.Module):
    def forward(self, images): os._exit(9)
class Crashes(nn.Module):
    def forward(self, images): ctypes.string_at(0)
class Gives:
    def __new__(cls): raise RuntimeError

def prints():
    print("this is no JSON")
    os.write(1, b"nor is this\\n") if False else None
    return net()
def moves():
    os.chdir("/")
    return net()
def forgets():
    for name in ("json", "numpy.random", "torch.nn", "toolkit.console", "runtime.spec"):
        sys.modules.pop(name, None)
    return net()
def leaves_threads():
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return net()
def closes():
    sys.stdout = None
    return net()
def ünï():
    return net()
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.py").write_text(MODULE)
    (tmp_path / "work" / "broken.py").write_text("def net(:\n")
    (tmp_path / "work" / "fails.py").write_text("raise ValueError('at import')\n")
    (tmp_path / "work" / "ends.py").write_text("import os; os._exit(5)\n")
    (tmp_path / "work" / "zeros.py").write_bytes(b"\0" * 100)
    (tmp_path / "work" / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine:raises", "mine:raises cannot be made: ValueError: no \\x1b[2J weights"),
        ("mine:leaves", "mine:leaves ended the process, with 3"),
        ("mine:leaves_well", "mine:leaves_well ended the process, with None"),
        ("mine:ends", "mine:ends ended the process, with exit code 0"),
        ("mine:ends_badly", "mine:ends_badly ended the process, with exit code 7"),
        ("mine:crashes", "SIGSEGV (mine:crashes)"),
        ("mine:aborts", "SIGABRT (mine:aborts)"),
        ("mine:is_killed", "SIGKILL (mine:is_killed)"),
        ("mine:recurses", "RecursionError"),
        ("mine:takes_too_much", "mine:takes_too_much cannot be made"),
        ("mine:none", "mine:none gives nothing"),
        ("mine:a_function", "mine:a_function gives a function, and not an nn.Module"),
        ("mine:a_class", "mine:a_class gives a type, and not an nn.Module"),
        ("mine:needs", "'depth' and 'width'"),
        ("mine:exits_generator", "mine:exits_generator"),
        ("mine:recursion_in_c", "mine:recursion_in_c"),
        ("mine:Wrong", "mine:Wrong ended the process, with exit code 9"),
        ("mine:Crashes", "SIGSEGV (mine:Crashes)"),
        ("mine:Gives", "mine:Gives cannot be made: RuntimeError"),
        ("broken:net", "SyntaxError"),
        ("fails:net", "fails:net cannot be made: ValueError: at import"),
        ("ends:net", "ends:net ended the process, with exit code 5"),
        ("zeros:net", "zeros:net cannot be made"),
        ("folder:net", "module 'folder' has no attribute 'net'"),
        ("../mine:net", "../mine"),
        ("mine.:net", "mine.:net"),
        ("ïï:net", "the module ïï"),
        ("mine:net.__class__.__mro__", "mine:net.__class__"),
        ("a b:c d", "a b"),
    ],
)
def test_what_makes_no_model_is_said_in_a_line(name: str, words: str, work: Path) -> None:
    done = run(work, "summary", name, *GREY, "--json", PYTHONDONTWRITEBYTECODE="1")
    assert (done.code, done.out) == (1, ""), done
    lines = [line for line in done.err.splitlines() if not line.endswith(" s")]
    assert [line[:6] for line in lines] == ["error:", "hint: "], done.err
    assert words in lines[0]


@pytest.mark.parametrize("name", ["prints", "moves", "forgets", "leaves_threads", "closes", "ünï"])
def test_strange_habits_do_no_harm(name: str, work: Path) -> None:
    done = run(work, "summary", f"mine:{name}", *GREY, "--json", PYTHONDONTWRITEBYTECODE="1")
    assert done.code == 0, done.err
    assert json.loads(done.out)["parameters"] == 260


def test_an_interrupt_of_its_own_is_one(work: Path) -> None:
    done = run(work, "summary", "mine:interrupts", *GREY, PYTHONDONTWRITEBYTECODE="1")
    assert (done.code, done.out) == (130, "") and "interrupted" in done.err


@pytest.mark.parametrize("name", ["runtime", "export", "onnx", "json", "click"])
def test_a_module_that_is_called_like_one_of_ours_is_not_taken_for_it(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text("import os; print('taken'); os._exit(9)\n")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("toolkit")), "verify", "nowhere"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "error: " in done.stderr and "nowhere" in done.stderr


def test_one_that_hangs_can_be_interrupted(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ndef net():\n    print('ready', flush=True)\n    time.sleep(1000)\n")
    process = subprocess.Popen(
        [*TOOLKIT, "summary", "slow:net", *GREY],
        cwd=tmp_path, env=environment(PYTHONDONTWRITEBYTECODE="1"), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    while process.stderr.readline() not in ("ready\n", ""):
        pass
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "") and "interrupted" in err and "Traceback" not in err
    assert os.listdir(tmp_path) == ["slow.py"]
