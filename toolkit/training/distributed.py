"""Several processes that train one model, as torchrun starts them: torch.distributed, and nothing of our own.

`torchrun --nproc-per-node 2 -m toolkit train ...` on one machine; on several, torchrun's --nnodes and --rdzv-endpoint,
and a folder that all of them see for data, output and checkpoint.

With `--max-restarts N`, torchrun starts the processes anew when one has failed, and they go on from the checkpoint. It
needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment: without, PyTorch 2.13 lets the new processes read the
addresses of the old ones (https://github.com/pytorch/pytorch/issues/135712), and they do not find each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as dist

from runtime.errors import ToolkitError

TIMEOUT_S = 60.0
CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """The processes of a training.

    Attributes:
        rank: of this one, from 0.
        size: how many there are.
        device: what this one computes with.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    def part(self, values: Tensor) -> Tensor:
        """This process's share of a global batch: a run of it, as long as the others' or by one shorter."""
        return torch.tensor_split(values, self.size)[self.rank]

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def copy_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers of the first."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return bool(self.sum(torch.tensor(int(flag), device=self.device)))


def world_of_environment() -> tuple[int, int]:
    """Rank and number of processes that torchrun gives; 0 and 1 without it."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def restarted() -> bool:
    """Whether torchrun has started this process anew after a failure on this machine (--max-restarts)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


@contextmanager
def join(timeout_s: float = TIMEOUT_S) -> Iterator[World]:
    """Join the other processes for the length of a `with` block; alone where torchrun started none.

    Args:
        timeout_s: how long to wait for another process before it counts as lost.

    Raises:
        ToolkitError: another process is lost. What was raised in this one passes through.
    """
    rank, size = world_of_environment()
    if not torch.cuda.is_available():
        device = torch.device("cpu")
    else:
        index = int(os.environ.get("LOCAL_RANK", 0))
        if index >= torch.cuda.device_count():
            raise ToolkitError(
                f"there are {torch.cuda.device_count()} GPUs, and process {index} of this machine would need another",
                f"give torchrun --nproc-per-node {torch.cuda.device_count()}",
            )
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
    if size == 1:
        yield World(device=device)
        return
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(seconds=timeout_s))
        yield World(rank, size, device)
    except RuntimeError as error:
        if not from_a_collective(error):
            raise
        raise ToolkitError(
            f"another of the {size} processes ended or did not answer within {timeout_s:g} s, so process {rank} stops",
            "see what the others say; the same command with --resume goes on from the last epoch",
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def from_a_collective(error: RuntimeError) -> bool:
    """Whether an error came from talking to other processes. Gloo raises plain RuntimeErrors that name its files."""
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "NCCL"))
