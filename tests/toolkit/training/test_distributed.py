"""Two processes on gloo: the same training as one, and what happens when one of them is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.command import TOOLKIT, environment, toolkit
from tests.toolkit.training.bars import write_bars
from toolkit.training.distributed import World, from_a_collective

OPTIONS = ["--held-out", "100", "--rotate", "5", "--ema", "0.9", "--precision", "fp32"]


def torchrun(*options: str) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *options, "-m", "toolkit"]


def train_arguments(data: Path, epochs: int) -> list[str]:
    return ["train", "lenet", "--data", str(data), "--epochs", str(epochs), *OPTIONS, "--json"]


def own_environment(**extra: str) -> dict[str, str]:
    return environment(OMP_NUM_THREADS="1", **extra)


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def wait_for(path: Path, processes: list[subprocess.Popen[str]]) -> None:
    for _ in range(600):
        if path.exists():
            return
        assert all(process.poll() is None for process in processes), processes[0].communicate()[1]
        time.sleep(0.1)
    raise AssertionError(f"no {path}")


def test_the_parts_of_a_batch_are_the_batch() -> None:
    batch = torch.arange(11)
    parts = [World(rank, 3).part(batch) for rank in range(3)]
    assert torch.equal(torch.cat(parts), batch)
    assert [len(part) for part in parts] == [4, 4, 3]


def test_only_errors_of_collectives_speak_of_lost_processes() -> None:
    assert from_a_collective(RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"))
    assert from_a_collective(torch.distributed.DistNetworkError("timed out"))
    assert not from_a_collective(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_two_processes_train_as_one_does(bars: Path, tmp_path: Path) -> None:
    alone = toolkit(*train_arguments(bars, 3), cwd=tmp_path, OMP_NUM_THREADS="1")
    assert alone.returncode == 0, alone.stderr
    together = subprocess.run(
        [*torchrun("--standalone"), *train_arguments(bars, 3), "-o", "two.safetensors"],
        cwd=tmp_path, env=own_environment(), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert together.returncode == 0, together.stderr
    one, two = json.loads(alone.stdout), json.loads(together.stdout)  # the second process prints nothing
    losses = [[epoch["loss"] for epoch in result["history"]] for result in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert len(losses[0]) == 3 and losses[0][2] < losses[0][0]
    assert two["held_out_top1"] == pytest.approx(one["held_out_top1"], abs=1)
    assert two["test_top1"] == pytest.approx(one["test_top1"], abs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lenet.safetensors", "two.safetensors"]


@pytest.mark.parametrize(("killed", "number"), [(1, signal.SIGKILL), (1, signal.SIGSTOP)])
def test_a_lost_process_ends_the_other_and_leaves_the_checkpoint(
    bars: Path, tmp_path: Path, killed: int, number: signal.Signals
) -> None:
    """Without torchrun's agent, which would end the other one by a signal: it has to notice by itself."""
    port, checkpoint = free_port(), tmp_path / "lenet.safetensors.checkpoint.pt"
    processes = [
        subprocess.Popen(
            [*TOOLKIT, *train_arguments(bars, 2000), "--worker-timeout", "4"],
            cwd=tmp_path,
            env=own_environment(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port),
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        wait_for(checkpoint, processes)
        processes[killed].send_signal(number)
        _, error = processes[1 - killed].communicate(timeout=60)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert processes[1 - killed].returncode == 1, error
    assert "Traceback" not in error
    assert "another of the 2 processes ended or did not answer within 4 s" in error and "--resume" in error
    assert torch.load(checkpoint, weights_only=True)["epoch"] >= 1


def test_torchrun_starts_anew_from_the_checkpoint(tmp_path: Path) -> None:
    """A worker is killed once; with --max-restarts the training ends as an unbroken one."""
    bars = write_bars(tmp_path / "bars", training=400, test=50)
    checkpoint = tmp_path / "lenet.safetensors.checkpoint.pt"
    job = subprocess.Popen(
        [*torchrun("--standalone", "--max-restarts", "1"), *train_arguments(bars, 20)],
        cwd=tmp_path, env=own_environment(TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1"),
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(checkpoint, [job])
        children = subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True).stdout.split()
        os.kill(int(children[-1]), signal.SIGKILL)
        output, error = job.communicate(timeout=200)
    finally:
        job.kill()
    assert job.returncode == 0, error
    assert "resumed after epoch" in error
    assert "process 0 was told to stop" in error or "another of the 2 processes" in error
    history = json.loads(output)["history"]
    assert [epoch["epoch"] for epoch in history] == list(range(1, 21))


def test_a_batch_that_cannot_be_shared_out_is_refused(bars: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [*torchrun("--standalone"), *train_arguments(bars, 1), "--batch", "33"],
        cwd=tmp_path, env=own_environment(), capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode != 0
    assert "a batch of 33, of 800 images, cannot be shared out to 2 processes" in done.stderr
    assert "--batch" in done.stderr
    assert list(tmp_path.iterdir()) == []
