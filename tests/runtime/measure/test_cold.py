"""Cold starts: real processes on a small bundle, and the turns that they take."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.errors import BackendError, Cancelled
from runtime.measure import cold
from runtime.measure.cold import Opening, Started, describe_cold, measure_cold, start_child
from tests.command import environment
from tests.fakes import RecordingProgress


def test_a_real_process_tells_what_it_took(tiny_bundle: Path, tmp_path: Path) -> None:
    opening = Opening(str(tiny_bundle), backend="onnxruntime", threads=1, cache_dir=str(tmp_path))
    before, started = start_child(opening)
    assert 0 < started.load_ns + started.first_call_ns < started.answered_ns - before
    assert started.answered_ns < time.monotonic_ns()
    assert started.peak_bytes is not None and started.peak_bytes > 10_000_000
    assert not started.error


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"bundle": "/nowhere"}, "/nowhere"), ({"backend": "tensorrt"}, "tensorrt"), ({"device": "NPU9"}, "NPU9")],
)
def test_what_a_process_cannot_open_it_says(tiny_bundle: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(BackendError) as caught:
        start_child(Opening(**{"bundle": str(tiny_bundle), **changes}))
    assert words in caught.value.message and "could not answer" in caught.value.message
    assert caught.value.hint


def test_a_name_that_is_no_utf8_is_a_name(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xe9")
    shutil.copytree(tiny_bundle, folder)
    assert not start_child(Opening(str(folder), backend="onnxruntime"))[1].error
    (folder / "model.onnx").unlink()
    with pytest.raises(BackendError, match=r"model\.onnx is missing"):
        start_child(Opening(str(folder), backend="onnxruntime"))


def test_a_process_takes_nothing_from_the_folder_that_it_is_in(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    before, started = start_child(Opening(os.path.relpath(tiny_bundle), backend="onnxruntime"))
    assert started.answered_ns > before


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
        ("raise SystemExit('no such luck')", "exits with 1: no such luck"),
        ("print('garbage')", "exits with 0"),
        ("import time; time.sleep(60)", "within 0.2 s"),
    ],
)
def test_a_process_that_ends_without_a_word(monkeypatch: pytest.MonkeyPatch, code: str, words: str) -> None:
    monkeypatch.setattr(cold, "CODE", code)
    if "0.2" in words:
        monkeypatch.setattr(cold, "MOST_SECONDS", 0.2)
    with pytest.raises(BackendError, match=words) as caught:
        start_child(Opening("some-bundle"))
    assert "some-bundle" in caught.value.message and "--cold" in caught.value.hint


def test_processes_take_turns_in_an_order_that_rotates() -> None:
    log: list[str] = []

    def start(opening: Opening) -> tuple[int, Started]:
        log.append(opening.bundle)
        return 1_000_000, Started(1_000_000 * len(log), 3_000_000, 2_000_000, 100 * len(log))

    progress = RecordingProgress()
    found = measure_cold({name: Opening(name) for name in "ab"}, 3, progress, start=start)
    assert "".join(log) == "ab" + "ba" + "ab"
    assert (found["a"].start_ms, found["a"].load_ms, found["a"].first_call_ms) == (3, 3, 2)  # of 0, 3 and 4
    assert (found["a"].peak_memory_bytes, found["b"].peak_memory_bytes, found["a"].starts) == (500, 600, 3)
    assert (progress.stages["start processes"].total, progress.stages["start processes"].done) == (6, 6)
    with pytest.raises(Cancelled):
        measure_cold({"a": Opening("a")}, 3, RecordingProgress(stop_after=1), start=start)


def test_memory_that_nothing_tells_of_is_null() -> None:
    assert describe_cold([(0, Started(1, 1, 1))]).peak_memory_bytes is None


INTERRUPTED = r"""
import sys
from runtime.measure import cold
work = "import os, time; print(os.getpid(), file=open({file!r}, 'w'), flush=True); time.sleep(600)"
assert "from {{module}} import main\nmain()" in cold.CODE
cold.CODE = cold.CODE.replace("from {{module}} import main\nmain()", work)
cold.start_child(cold.Opening("bundle"))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_child_ends_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "pid"
    code = INTERRUPTED.format(file=str(file))
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment(), stderr=subprocess.DEVNULL)
    child = int(wait_for(lambda: file.exists() and file.read_text().strip()))
    parent.send_signal(number)
    parent.wait(timeout=30)
    wait_for(lambda: not is_alive(child))


def wait_for(condition):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def is_alive(process: int) -> bool:
    """A zombie that nobody has waited for yet is not."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
