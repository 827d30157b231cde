"""What a training is continued from: one file, replaced as a whole after each epoch."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime.errors import ToolkitError
from runtime.folder import flush
from toolkit.training.events import Epoch

VERSION = 1
# What torch.load and the lines after it make of a file that is no checkpoint, or of half a one.
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, RuntimeError, EOFError),
    *(LookupError, TypeError, ValueError, AttributeError),
)
Identity = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A training after some epochs.

    Attributes:
        identity: what the training is of, by name: a continued one must have the same.
        epoch: the last that is done, from 1.
        learner: what `Learner.state` gives.
        best: weights of the best epoch.
        best_top1: its accuracy on the held-out images, in percent.
        best_epoch: that epoch.
        history: figures of each epoch.
    """

    identity: Identity
    epoch: int
    learner: dict[str, Any]
    best: dict[str, Tensor]
    best_top1: float
    best_epoch: int
    history: list[Epoch]


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write it under a temporary name, then rename it: whoever is killed leaves the one before.

    Raises:
        ToolkitError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")  # always the same: what a killed process left is overwritten
    fields = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    try:
        torch.save({"version": VERSION, **fields}, temporary)
        flush(temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # PyTorch makes the second of a full disk
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).partition("\n")[0]
        raise ToolkitError(
            f"cannot write the checkpoint {path}: {reason}", "give another place with --checkpoint, or free some space"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path, identity: Identity) -> Checkpoint:
    """Read it, without running code that it may hold, and see that it is of this very training.

    Raises:
        ToolkitError: it is not there, damaged, no checkpoint, or of another training; the message names the first
            thing that differs.
    """
    hint = "leave --resume out to train from the beginning (with --force, where this file may be replaced)"
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe may never end
            raise ToolkitError(f"the checkpoint {path} is not a file", hint)
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # PyTorch writes checksums, and does not look at them
        if damaged is not None:
            raise zipfile.BadZipFile(damaged)
        found = torch.load(path, map_location="cpu", weights_only=True)
        if found.pop("version") != VERSION:
            raise ToolkitError(f"the checkpoint {path} is of another version of this toolkit", hint)
        checkpoint = Checkpoint(**found)
        if not isinstance(checkpoint.identity, dict):
            raise TypeError("a checkpoint knows its training by name")
    except FileNotFoundError as error:
        raise ToolkitError(f"there is no checkpoint {path} to resume from", hint) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # zipfile follows a wrong offset
            raise ToolkitError(f"{path} is no whole checkpoint of a training", hint) from error
        raise ToolkitError(f"cannot read the checkpoint {path}: {error.strerror or error}", hint) from error
    except DAMAGED as error:
        raise ToolkitError(f"{path} is no whole checkpoint of a training", hint) from error
    for name in {**identity, **checkpoint.identity}:
        before, now = checkpoint.identity.get(name), identity.get(name)
        if before != now:
            raise ToolkitError(
                f"the checkpoint {path} is of another training: {name} was {before}, and is {now} now",
                "give what it was begun with, or begin anew with --force in place of --resume",
            )
    return checkpoint


def digest_of(module: nn.Module) -> str:
    """sha256 over a module's weights."""
    state = hashlib.sha256()
    for name, value in module.state_dict().items():
        state.update(name.encode())
        state.update(digest_of_tensor(value).encode())
    return state.hexdigest()


def digest_of_tensor(tensor: Tensor) -> str:
    """sha256 over shape and values."""
    values = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return hashlib.sha256(repr(tuple(tensor.shape)).encode() + values.tobytes()).hexdigest()
