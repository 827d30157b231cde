"""onnxsim in a child process: it takes two seconds to import, and a native crash or a hang must not take us along."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from export.reference import open_reference

TIME_LIMIT_S = 120.0
TOLERANCE = 1e-4
COMMAND = (sys.executable, "-m", "onnxsim")


def simplify(
    model: onnx.ModelProto,
    images: NDArray[np.float32],
    *,
    command: Sequence[str] = COMMAND,
    time_limit_s: float = TIME_LIMIT_S,
) -> tuple[onnx.ModelProto, str]:
    """Simplify a graph, and compare its answers with the original's.

    Args:
        model: with one float input and one output.
        images: float32 (N, C, H, W), N >= 2, to compare with.
        command: what to run with an input and an output path.
        time_limit_s: after that the child is killed.

    Returns:
        The simplified graph and an empty text; or the original one and why it was kept.
    """
    if command is COMMAND and find_spec("onnxsim") is None:
        return model, "onnxsim is not installed: the graph was not simplified"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        onnx.save(model, source)
        try:
            done = subprocess.run(
                [*command, str(source), str(target)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=time_limit_s,
                stdin=subprocess.DEVNULL,
            )
            simplified = onnx.load(target) if done.returncode == 0 else None
        except subprocess.TimeoutExpired:
            return model, f"onnxsim took over {time_limit_s:g} s: the graph was not simplified"
        except Exception as error:  # protobuf's and the file system's, all meaning the same
            return model, f"onnxsim wrote no model ({error}): the graph was not simplified"
    if simplified is None:
        lines = done.stderr.strip().splitlines() or ["no message"]
        return model, f"onnxsim ended with {done.returncode} ({lines[-1]}): the graph was not simplified"
    difference = largest_difference(model, simplified, images)
    if not difference <= TOLERANCE:
        return model, f"onnxsim changed the answers by {difference:.2g}: the graph was not simplified"
    return simplified, ""


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
