"""Weights to and from files. Those of torch.save are pickles, which can run any code: no code in them is run."""

from __future__ import annotations

import stat
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from runtime.errors import WeightsError
from runtime.folder import write_atomically
from runtime.lfs import refuse_pointer
from toolkit.zoo.card import HINT, LARGEST_HEADER, Card, to_metadata
from toolkit.zoo.checkpoint import load_state
from toolkit.zoo.model import ZooModel
from toolkit.zoo.torchvision import rename

RANDOM_WEIGHTS_SEED = 0
SAVE_HINT = "save them with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
WRAPPERS = ("module.", "_orig_mod.")  # of nn.DataParallel and DistributedDataParallel, of torch.compile
PICKLE_STARTS = (
    b"PK\x03\x04",
    b"\x80\x02",
    b"\x80\x03",
    b"\x80\x04",
    b"\x80\x05",
)  # torch.save writes a zip or the second


def make_with_weights(model: ZooModel) -> nn.Module:
    """A model's module with its weights; with random ones, always the same, where it has none.

    Raises:
        WeightsError: the file cannot be read, or does not fit.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(RANDOM_WEIGHTS_SEED)
        module = model.make()
    if model.weights:
        load_weights(module, model.weights)
    return module


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a module from a file that has exactly its keys, shapes and types.

    The file is a safetensors file, or a state_dict as torch.save writes it, alone or in a checkpoint; its content tells
    which, not its name. Names of a module that was wrapped, and torchvision's for AlexNet, are understood.

    Raises:
        WeightsError: the file cannot be read, or does not fit; the message names the first key.
    """
    wanted = module.state_dict()
    given = read_state(path, 16 * sum(tensor.nbytes for tensor in wanted.values()) + LARGEST_HEADER)
    given = rename(unwrapped(given, wanted), wanted)
    for key, tensor in wanted.items():
        if key not in given:
            raise misfit(path, f"it has no '{key}', which the model wants as {shape(tensor)}")
        if shape(given[key]) != shape(tensor):
            raise misfit(path, f"its '{key}' is {shape(given[key])}, and the model wants {shape(tensor)}")
        if given[key].is_floating_point() and not given[key].isfinite().all():
            raise misfit(path, f"its '{key}' holds NaN or infinity")
    for key in given:
        if key not in wanted:
            raise misfit(path, f"it has '{key}', which the model does not know")
    module.load_state_dict(given)


def unwrapped(given: dict[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """Names without what wrappers put before each of them, where the module has no such names itself."""
    for wrapper in (*WRAPPERS, *WRAPPERS):  # one within the other, either way
        if (
            given
            and all(key.startswith(wrapper) for key in given)
            and not any(key.startswith(wrapper) for key in wanted)
        ):
            given = {key.removeprefix(wrapper): tensor for key, tensor in given.items()}
    return given


def save_weights(module: nn.Module, path: Path, card: Card) -> None:
    """Write a module's weights in one step, with what they are of."""
    tensors = {key: tensor.contiguous() for key, tensor in module.state_dict().items()}
    write_atomically(path, save(tensors, to_metadata(card)))


def read_state(path: Path, limit: int) -> dict[str, Tensor]:
    """The tensors of a file of at most `limit` bytes. Pipes and devices are refused: they may never end."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise WeightsError(f"the weights {path} are not a file", HINT)
        if not status.st_size:
            raise WeightsError(f"the weights {path} are empty (0 bytes)", "copy or save them again")
        if status.st_size > limit:
            raise WeightsError(f"{path} has {status.st_size / 1e6:,.0f} MB, far too many for this model", HINT)
        with path.open("rb") as file:
            start = file.read(64)
        refuse_pointer(start, path, WeightsError)
        # A safetensors file may begin with two bytes of a pickle as well: a length, and then always JSON.
        if start.startswith(PICKLE_STARTS) and start[8:9] != b"{":
            return load_state(path)
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}", HINT) from error
    try:
        return load(data)
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file, nor one of torch.save: {error}", SAVE_HINT
        ) from error
    except KeyError as error:
        raise misfit(path, f"it has the type {error.args[0]}, which PyTorch does not know") from error


def misfit(path: Path, why: str) -> WeightsError:
    """The error for a file of another model."""
    return WeightsError(f"the weights {path} do not fit: {why}", "give the weights of this very model")


def shape(tensor: Tensor) -> str:
    """A tensor's type and shape, for people."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
