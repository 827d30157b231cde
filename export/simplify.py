"""onnxsim in a child process: it takes a second to import, and a native crash or a hang must not take us along.

The process is started before the export, and imports while that goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import numpy as np
import onnx
from numpy.typing import NDArray

from export.limits import limit_memory, limits_of
from export.reference import open_reference
from runtime.backends.onnxruntime import TELEMETRY_SWITCH

TOLERANCE = 1e-4
#: Imports onnxsim, waits for two paths on standard input, and does what `python -m onnxsim IN OUT` does.
#: The kernel ends it with us, who may be killed. Where PyTorch and SymPy are installed, onnxsim would import them for
#: what is not done here, which takes three times as long as all the rest.
ONNXSIM = """
import ctypes, os, runpy, sys
getattr(ctypes.CDLL(None), "prctl", lambda *_: None)(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
sys.path[:] = filter(None, sys.path)  # nothing from the folder that the user happens to be in
sys.modules.update(torch=None, sympy=None)
import onnxsim
sys.argv[1:] = map(os.fsdecode, sys.stdin.buffer.read().split(b"\\0"))
runpy.run_module("onnxsim", run_name="__main__")
"""


class Simplifier:
    """The child process, which has the limits of a model's size; a context manager, which ends it.

    Args:
        code: what it runs.
    """

    def __init__(self, code: str = ONNXSIM) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        if code is not ONNXSIM or find_spec("onnxsim") is not None:
            pipe = subprocess.PIPE
            # onnxsim imports ONNX Runtime, which is given no chance to send telemetry there either.
            environment = {**os.environ, TELEMETRY_SWITCH: "1"}
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, env=environment
            )

    def run(self, source: Path, target: Path) -> str:
        """Simplify one file into another; once only.

        Returns:
            What went wrong; empty where nothing did.
        """
        if self.process is None:
            return "onnxsim is not installed"
        limits = limits_of(source.stat().st_size)
        limit_memory(limits.memory, self.process.pid)
        try:
            _, errors = self.process.communicate(os.fsencode(source) + b"\0" + os.fsencode(target), limits.seconds)
        except subprocess.TimeoutExpired:
            return f"onnxsim took over {limits.seconds:.1f} s"
        if self.process.returncode:
            lines = errors.decode(errors="replace").strip().splitlines() or ["no message"]
            return f"onnxsim ended with {self.process.returncode} ({lines[-1]})"
        return ""

    def __enter__(self) -> Simplifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.__exit__(kind, error, trace)  # closes the pipes and waits


def simplify(
    model: onnx.ModelProto, images: NDArray[np.float32], simplifier: Simplifier
) -> tuple[onnx.ModelProto, str]:
    """Simplify a graph, and compare its answers with the original's.

    Args:
        model: with one float input and one output.
        images: float32 (N, C, H, W), N >= 2, to compare with.
        simplifier: that has not run yet.

    Returns:
        The simplified graph and an empty text; or the original one and why it was kept.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        onnx.save(model, source)
        wrong = simplifier.run(source, target)
        try:
            simplified = model if wrong else onnx.load(target)
        except Exception as error:  # protobuf's and the file system's, all meaning the same
            wrong = f"onnxsim wrote no model ({error})"
    if not wrong:
        difference = largest_difference(model, simplified, images)
        if not difference <= TOLERANCE:
            wrong = f"onnxsim changed the answers by {difference:.2g}"
    return (model, f"{wrong}: the graph was not simplified") if wrong else (simplified, "")


def largest_difference(one: onnx.ModelProto, other: onnx.ModelProto, images: NDArray[np.float32]) -> float:
    """Largest |difference| over largest |answer| at batch 1 and 2; infinity where the other one does not run."""
    worst = 0.0
    try:
        sessions = [open_reference(model) for model in (one, other)]
        for batch in (1, 2):
            first, second = (
                session.run(None, {session.get_inputs()[0].name: images[:batch]})[0] for session in sessions
            )
            error = np.abs(first - second).max() / max(np.abs(first).max(), 1e-30)
            worst = float(np.maximum(worst, error))  # which keeps a NaN, as max() does not
    except Exception:  # a graph that ONNX Runtime refuses is no simplification
        return float("inf")
    return worst
