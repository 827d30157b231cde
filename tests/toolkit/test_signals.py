"""SIGTERM, SIGHUP and Ctrl-C in each stage of each command: its exit code, no traceback, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import runtime
from tests.command import ROOT, TOOLKIT, environment

DIGITS = Path(runtime.__file__).parent / "data" / "mnist"
DIGIT = ROOT / "examples" / "digits" / "3-dark-on-light.png"
CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}


def stop(
    arguments: list[object],
    folder: Path,
    number: signal.Signals,
    line: str,
    delay: float = 0.1,
    left: tuple[str, ...] = (),
) -> None:
    """Start a command in `folder / "work"`, send a signal once it has said a line, and look at what is left.

    Args:
        arguments: of `toolkit`.
        folder: where `work` and `tmp` are made.
        number: the signal.
        line: what it begins with, on either output; empty to wait for none.
        delay: seconds from the line to the signal: into the stage that begins then.
        left: the files that stay in `work`.
    """
    work, temporary = folder / "work", folder / "tmp"
    work.mkdir()
    temporary.mkdir()
    process = subprocess.Popen(
        [*TOOLKIT, *map(str, arguments)],
        cwd=work,
        env=environment(TMPDIR=str(temporary), OMP_NUM_THREADS="1"),  # more would only wait for each other
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(200, process.kill)  # a hang fails below, by the exit code
    watchdog.start()
    assert process.stdout is not None
    said: list[str] = []
    while line and not (said and said[-1].startswith(line)) and process.poll() is None:
        said.append(process.stdout.readline())
    time.sleep(delay)
    process.send_signal(number)
    said += process.stdout.readlines()
    watchdog.cancel()
    output = "".join(said)
    assert process.wait() == CODES[number], output
    assert "interrupted" in output
    assert "Traceback" not in output
    assert tuple(os.listdir(work)) == left
    assert os.listdir(temporary) == []


@pytest.mark.parametrize(
    ("line", "number", "delay"),
    [
        ("building lenet", signal.SIGINT, 0.1),
        ("load PyTorch", signal.SIGTERM, 0.1),
        ("export", signal.SIGHUP, 0),  # simplification: a child process, which needs no longer than that
        ("compare with PyTorch", signal.SIGINT, 0.1),
        ("look for a calibration", signal.SIGTERM, 0.1),  # calibration
        ("calibrate", signal.SIGINT, 0.1),  # the comparison of methods
        ("measure errors of int8", signal.SIGINT, 0.1),  # compilation
        ("measure latency", signal.SIGTERM, 0.1),  # evaluation
    ],
)
def test_in_each_stage_of_a_build(tmp_path: Path, line: str, number: signal.Signals, delay: float) -> None:
    build = ["build", "lenet", "--int8", "-o", "deep/out", "--cache-dir", tmp_path / "cache"]
    stop(build, tmp_path, number, line, delay)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("building from", signal.SIGINT),
        ("building from", signal.SIGTERM),
        ("building from", signal.SIGHUP),
        ("compile", signal.SIGTERM),
        ("measure latency", signal.SIGINT),
        ("measure latency", signal.SIGHUP),
    ],
)
def test_in_each_stage_of_a_build_from_a_bundle(
    lenet_bundle: Path, tmp_path: Path, line: str, number: signal.Signals
) -> None:
    stop(["build", lenet_bundle, "--eval-data", DIGITS, "-o", "deep/out"], tmp_path, number, line)


@pytest.mark.parametrize("number", CODES)
def test_while_pictures_are_classified(lenet_bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    stop(["classify", lenet_bundle, *[DIGIT] * 20_000, "--json"], tmp_path, number, "{")


@pytest.mark.parametrize("number", CODES)
def test_while_latency_is_measured(lenet_bundle: Path, tmp_path: Path, number: signal.Signals) -> None:
    stop(["bench", lenet_bundle, "--seconds", 60], tmp_path, number, "", delay=2)


def test_while_a_model_is_trained(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    count = 15_000
    rng = np.random.default_rng(0)
    for name, array in (
        ("images-idx3", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)),
        ("labels-idx1", rng.integers(0, 10, count, dtype=np.uint8)),
    ):
        header = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        (data / f"train-{name}-ubyte").write_bytes(header + array.tobytes())
    line = ["train", "lenet", "--data", data, "--epochs", 500]
    checkpoint = "lenet.safetensors.checkpoint.pt"  # from which --resume goes on
    stop(line, tmp_path, signal.SIGTERM, "  train: epoch 1/", left=(checkpoint,))
