"""TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from runtime.errors import MissingPackageError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Epoch: TypeAlias = dict[str, float]  # epoch, loss, held_out_top1, lr and seconds: a row of a training's history
TAGS = {"loss": "train/loss", "held_out_top1": "held_out/top1", "lr": "train/lr", "seconds": "train/seconds"}


@contextmanager
def event_log(folder: Path | None, done: int) -> Iterator[SummaryWriter | None]:
    """A writer into a folder; None without one.

    Args:
        folder: made where it is not there.
        done: epochs that a checkpoint holds; events of later ones, from before the interruption, are taken back.

    Raises:
        MissingPackageError: tensorboard is not installed.
    """
    if folder is None:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"--log-dir writes TensorBoard's files, and the package {error.name} is not installed",
            "pip install tensorboard, or leave --log-dir out: --json has the same figures",
        ) from error
    with SummaryWriter(str(folder), purge_step=done + 1) as writer:
        yield writer


def write_epoch(writer: SummaryWriter, epoch: Epoch) -> None:
    """One epoch's figures, at once."""
    for name, tag in TAGS.items():
        writer.add_scalar(tag, epoch[name], int(epoch["epoch"]))
    writer.flush()
