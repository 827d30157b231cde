"""However the child process of a build ends: a message, no half-written plan, nobody left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.backends.tensorrt import build, worker
from runtime.backends.tensorrt.build import build_plan, only_device
from runtime.backends.tensorrt.events import Event, Failure, Finish, Request, Start, Step, Success
from runtime.backends.tensorrt.failures import construct, failed
from runtime.backends.tensorrt.ladder import next_try
from runtime.backends.tensorrt.logger import make_logger
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.errors import BackendError, Cancelled
from runtime.progress import SilentProgress, SilentStage
from tests.command import ROOT
from tests.runtime.tensorrt.stand_in import ILogger


def request(folder: Path, *, device_mib: int = 0, **options: int) -> Request:
    asked = TensorRtOptions(**options)  # type: ignore[arg-type]
    plan = str(folder / "plan")
    return Request("tensorrt", "model.onnx", plan, (8, 8, 1), (1, 1, 4), device_mib=device_mib, options=asked)


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `worker` be the name of a function of workers.py."""
    source = "from tests.runtime.tensorrt.workers import {module} as main"
    monkeypatch.setattr(build, "CODE", build.CODE.replace("from {module} import main", source))


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Notes]:
        yield self

    def advance(self, n: int = 1) -> bool:
        return True

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        ("crashed", ("SIGSEGV", "Internal Error: something native")),
        ("silent", ("exit code 3", "it printed nothing")),
    ],
)
def test_an_end_without_a_word_becomes_a_message(worker: str, words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(BackendError) as caught:
        build_plan(request(tmp_path), SilentProgress(), worker=worker)
    assert "TensorRT could not build model.onnx" in caught.value.message and "toolkit doctor" in caught.value.hint
    assert [word for word in words if word not in caught.value.message] == []
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_utf8_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xe9")
    with pytest.raises(BackendError, match="TensorRT takes no name that is not UTF-8, as that of") as caught:
        build_plan(request(folder), SilentProgress())
    assert caught.value.hint == "rename the folder"


class WithoutCuda:
    """TensorRT where it finds no driver for its CUDA: it warns of that, and makes nothing."""

    ILogger = ILogger

    @staticmethod
    def Builder(logger: Any) -> Any:
        logger.log(ILogger.WARNING, "Unable to determine GPU memory usage")
        logger.log(ILogger.WARNING, "CUDA initialization failure with error: 35. Please check\n your CUDA")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    Runtime = Builder


def test_a_builder_that_cannot_be_made_is_told_with_what_tensorrt_warned_of(tmp_path: Path) -> None:
    asked, events = request(tmp_path), list[Event]()
    failure = worker.build(WithoutCuda, asked, events.append)
    assert failure == Failure("start", "CUDA initialization failure with error: 35. Please check your CUDA")
    assert next_try([asked], failure) is None
    error = build.failed("TensorRT", failure, asked)
    assert "error: 35" in error.message and "update NVIDIA's driver" in error.hint


def test_a_runtime_that_cannot_be_made_is_told_with_it_too() -> None:
    log = make_logger(WithoutCuda)
    with pytest.raises(BackendError, match=r"makes no Builder .*nullptr.*error: 35") as caught:
        construct(log, WithoutCuda.Runtime, log)
    assert "update NVIDIA's driver" in caught.value.hint
    assert log.take() == []


def test_of_many_errors_the_last_is_told_first_and_few_are_kept() -> None:
    log: Any = make_logger(WithoutCuda)
    for number in range(100):
        log.log(ILogger.ERROR, f"skipping tactic {number}")
    log.log(ILogger.ERROR, "could not find any implementation")
    message = failed(log, "no").message
    assert message.startswith("no: could not find any implementation; skipping tactic 99") and len(message) < 610


def test_one_that_is_killed_is_tried_again_with_less_and_then_told(tmp_path: Path) -> None:
    told = Notes()
    with pytest.raises(BackendError, match="it was killed, as the kernel does where memory runs out") as caught:
        build_plan(request(tmp_path), told, worker="killed")
    assert "--workspace" in caught.value.hint
    assert told.notes == [
        f"out of memory: trying {workspace} MiB of workspace and optimization level {level}"
        for workspace, level in ((1024, 2), (256, 1), (64, 0))
    ]
    assert list(tmp_path.iterdir()) == []


def test_out_of_memory_goes_down_the_ladder_until_it_fits(tmp_path: Path) -> None:
    told = Notes()
    built = build_plan(request(tmp_path, workspace_mib=4096), told, worker="out_of_memory")
    assert (built.request.options.workspace_mib, built.success.layers) == (64, {"fc": "level 0"})
    assert len(told.notes) == 3 and (tmp_path / "plan").read_bytes() == b"a plan"


def test_a_workspace_that_is_never_enough_ends(tmp_path: Path) -> None:
    told = Notes()
    with pytest.raises(BackendError, match="no tactics"):
        build_plan(request(tmp_path, workspace_mib=2), told, worker="never_enough")
    assert told.notes == [
        f"{limit} MiB of workspace do not suffice: trying {more}"
        for limit, more in ((2, 64), (64, 256), (256, 1024), (1024, 4096))
    ]
    with pytest.raises(BackendError, match="no tactics"):
        build_plan(request(tmp_path), told, worker="never_enough")
    assert len(told.notes) == 4


def test_a_small_workspace_does_not_grow_where_memory_runs_out(tmp_path: Path) -> None:
    told = Notes()
    with pytest.raises(BackendError):
        build_plan(request(tmp_path, workspace_mib=32, optimization_level=1), told, worker="killed")
    assert told.notes == ["out of memory: trying 32 MiB of workspace and optimization level 0"]


def test_more_workspace_than_the_device_has_is_not_tried(tmp_path: Path) -> None:
    told = Notes()
    with pytest.raises(BackendError, match="no tactics"):
        build_plan(request(tmp_path, workspace_mib=2000, device_mib=3800), told, worker="never_enough")
    assert told.notes == ["2000 MiB of workspace do not suffice: trying 3800"]


def test_a_tactic_that_the_device_is_too_small_for_wants_less(tmp_path: Path) -> None:
    told = Notes()
    with pytest.raises(BackendError, match="Could not find any implementation"):
        build_plan(request(tmp_path, workspace_mib=3000, device_mib=3800), told, worker="too_small")
    assert [note.partition(":")[0] for note in told.notes] == ["out of memory"] * len(told.notes) and told.notes


def test_an_abort_for_want_of_memory_is_one(tmp_path: Path) -> None:
    told = Notes()
    with pytest.raises(BackendError, match="std::bad_alloc"):
        build_plan(request(tmp_path), told, worker="aborted")
    assert told.notes[0].startswith("out of memory: trying 1024 MiB")


def test_a_stop_ends_the_child(tmp_path: Path) -> None:
    class Stop(SilentProgress):
        @contextmanager
        def stage(self, name: str, total: int | None = None) -> Iterator[SilentStage]:
            stage = SilentStage()
            stage.advance = lambda n=1: False  # type: ignore[method-assign]
            yield stage

    with pytest.raises(Cancelled):
        build_plan(request(tmp_path), Stop(), worker="hangs")
    assert_gone(tmp_path)


def test_the_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom runtime.backends.tensorrt import build\n"
        "from runtime.progress import SilentProgress\nfrom tests.runtime.tensorrt.test_build import request\n"
        "build.CODE = build.CODE.replace('{module} import', 'tests.runtime.tensorrt.workers import hangs as main #')\n"
        f"build.build_plan(request(Path({str(tmp_path)!r})), SilentProgress())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 60
    while not (tmp_path / "plan.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert_gone(tmp_path)


def assert_gone(folder: Path) -> None:
    """The child that hangs has ended."""
    number = int((folder / "plan.pid").read_text())
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{number}/stat").read_text().split()[2]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("it still runs")


def test_a_phase_is_one_step_of_the_phase_around_it() -> None:
    seen = []

    class Stage(SilentStage):
        def advance(self, n: int = 1) -> bool:
            seen.append(n)
            return True

    run = build.Run(Stage())
    for event in (
        Start("whole", 2),
        Step("whole", 0),
        Start("part", 4),
        Step("part", 0),
        Step("part", 1),
        Finish("part"),
        Step("nobody", 3),
        Step("whole", 1),
        Success("1", None, 0),
    ):
        run.take(event)
    assert seen == [500, 125, 125, 250, 0]


def test_other_gpus_are_hidden_from_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert only_device(None) == only_device(0) == {}
    assert only_device(2) == {"CUDA_VISIBLE_DEVICES": "2"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8f")
    assert only_device(1) == {"CUDA_VISIBLE_DEVICES": "GPU-8f"}
