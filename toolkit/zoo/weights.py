"""Weights to and from safetensors files. Nothing is ever unpickled: a pickle can run any code."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from runtime.errors import WeightsError
from runtime.folder import write_atomically

SAVE_HINT = "save them with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a module from a safetensors file that has exactly its keys, shapes and types.

    Raises:
        WeightsError: the file cannot be read, or does not fit; the message names the first key.
    """
    try:
        given = load(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}", "give a safetensors file") from error
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}", SAVE_HINT) from error
    wanted = module.state_dict()
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


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's weights in one step."""
    write_atomically(path, save({key: tensor.contiguous() for key, tensor in module.state_dict().items()}))


def misfit(path: Path, why: str) -> WeightsError:
    """The error for a file of another model."""
    return WeightsError(f"the weights {path} do not fit: {why}", "give the weights of this very model")


def shape(tensor: Tensor) -> str:
    """A tensor's type and shape, for people."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
