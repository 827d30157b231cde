"""From an ONNX file to a plan, by a child process: whatever ends it becomes a message, and no half-written file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from runtime.backends.tensorrt.events import Event, Failure, Finish, Log, Request, Start, Step, Success
from runtime.backends.tensorrt.failures import MOST_TEXT, hint_for
from runtime.backends.tensorrt.ladder import next_try
from runtime.backends.tensorrt.product import PRODUCTS
from runtime.child import CODE, ROOT
from runtime.errors import BackendError
from runtime.progress import Progress, Stage, advance_or_stop
from runtime.text import plain

WORKER = "runtime.backends.tensorrt.worker"
PARTS = 1000  # of the progress bar
LAST_WORDS = 4000  # bytes of what a child that crashed had printed


@dataclass(frozen=True)
class Built:
    """What came of a build.

    Attributes:
        success: what the child told.
        request: as it was in the end: the ladder may have changed it.
    """

    success: Success
    request: Request


def build_plan(
    request: Request, progress: Progress, *, note: str = "", verbose: bool = False, worker: str = WORKER
) -> Built:
    """Build; where memory or workspace does not suffice, build again with other settings, each step said.

    Args:
        request: what to build. A whole plan is at its path afterwards, or nothing.
        progress: told how far TensorRT is, as it tells itself.
        note: what to say first.
        verbose: note each warning rather than their number.
        worker: the module of the child process.

    Raises:
        BackendError: TensorRT refuses the graph or a name, or ended without a plan.
    """
    title = PRODUCTS[request.product].title
    for path in (request.model, request.plan, request.timing_cache):
        if plain(path) != path:
            raise BackendError(f"{title} takes no name that is not UTF-8, as that of {path}", "rename the folder")
    tried: list[Request] = []
    with progress.stage(f"build with {title}", PARTS) as stage:
        if note:
            stage.note(note)
        while True:
            run = Run(stage)
            outcome = run.run(request, worker)
            tell_warnings(run.warnings, stage, verbose)
            if isinstance(outcome, Success):
                if outcome.reformats:
                    stage.note(f"{outcome.reformats} layers of the engine only bring tensors into another form")
                return Built(outcome, request)
            tried.append(request)
            step = next_try(tried, outcome)
            if step is None:
                raise failed(title, outcome, request)
            request, why = step
            stage.note(why)


class Run:
    """One child process: its warnings, and how far it is."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.warnings: Counter[str] = Counter()
        self.phases: dict[str, tuple[int, int]] = {}  # those that are open, the outermost first: steps done, and of all
        self.shown = 0

    def run(self, request: Request, worker: str) -> Success | Failure:
        """Run it to its end. Whatever else ends this, ends it too."""
        outcome: Success | Failure | None = None
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as events, tempfile.TemporaryFile() as said:
            try:
                with start(request, worker, writer, said) as process:
                    try:
                        for event in map(msgspec.json.Decoder(Event).decode, events):
                            outcome = event if isinstance(event, Success | Failure) else outcome
                            self.take(event)
                    except msgspec.DecodeError:  # it was ended in the middle of a line
                        process.kill()
                    except BaseException:
                        process.kill()
                        raise
                return outcome or ended(process.returncode, said)
            finally:
                if not isinstance(outcome, Success):
                    Path(request.plan).unlink(missing_ok=True)

    def take(self, event: Event) -> None:
        """Keep a warning, or show how far the build is: a phase is one step of the phase around it."""
        if isinstance(event, Log):
            self.warnings[" ".join(event.text.split())] += 1
        elif isinstance(event, Start):
            self.phases[event.phase] = (0, max(event.steps, 1))
        elif isinstance(event, Finish):
            self.phases.pop(event.phase, None)
        elif isinstance(event, Step) and event.phase in self.phases:
            self.phases[event.phase] = (event.step + 1, self.phases[event.phase][1])
            share = 0.0
            for done, steps in reversed(self.phases.values()):
                share = min(1.0, (done + share) / steps)
            self.show(share)
        elif isinstance(event, Success):
            self.show(1.0)

    def show(self, share: float) -> None:
        """Advance the bar to a share of the whole; it never goes back."""
        reached = max(self.shown, int(PARTS * share))
        advance_or_stop(self.stage, reached - self.shown)
        self.shown = reached


def start(request: Request, worker: str, writer: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
    """The child, its request given; this process has no end of the pipe left to write into."""
    code = CODE.format(root=str(ROOT), module=worker)
    with tempfile.TemporaryFile() as given:
        given.write(msgspec.json.encode(request))
        given.seek(0)
        try:
            return subprocess.Popen(
                [sys.executable, "-c", code, str(writer)],
                stdin=given,
                stdout=said,
                stderr=said,
                pass_fds=[writer],
                env={**os.environ, **only_device(request.device)},
            )
        finally:
            os.close(writer)


def only_device(index: int | None) -> dict[str, str]:
    """What hides every other GPU from the child: TensorRT builds for the first one that it sees."""
    if not index:
        return {}
    shown = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return {"CUDA_VISIBLE_DEVICES": shown[index] if index < len(shown) else str(index)}


def ended(code: int, said: IO[bytes]) -> Failure:
    """A child that told neither success nor failure."""
    said.seek(0)
    words = said.read()[-LAST_WORDS:].decode(errors="replace").strip().splitlines() or ["it printed nothing"]
    if code == -signal.SIGKILL:
        return Failure("killed", "it was killed, as the kernel does where memory runs out (dmesg tells)")
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return Failure("crash", f"it ended with {name}: {words[-1]}")


def tell_warnings(warnings: Counter[str], stage: Stage, verbose: bool) -> None:
    """All of them, or how many there are."""
    if verbose:
        for text, count in warnings.items():
            stage.note(f"warning: {text}" + (f" ({count} times)" if count > 1 else ""))
    elif warnings:
        stage.note(f"{warnings.total()} warnings (-v shows them)")


def failed(title: str, failure: Failure, request: Request) -> BackendError:
    """The error for people."""
    text = " ".join(failure.text.split())[:MOST_TEXT]
    if failure.stage == "parse":
        where = f"node '{failure.node}' ({failure.operator})" if failure.node or failure.operator else "the graph"
        return BackendError(
            f"{title} does not take {where} of {request.model}: {text}",
            "build for openvino or onnxruntime, or change the model so that it does without that operator",
        )
    hints = {
        "start": "toolkit doctor says whether the GPU, its driver and TensorRT go together",
        "write": "there may be no space left for temporary files: free some, or set TMPDIR to another folder",
        "build": "try --fp16 or --int8 --fp16, another --optimization-level, or a larger --workspace",
        "killed": "close other programs, or give a smaller --workspace, --optimization-level or --batch",
        "crash": "try another version of the library; toolkit doctor says which ones are here",
    }
    return BackendError(f"{title} could not build {request.model}: {text}", hint_for(text, hints[failure.stage]))
