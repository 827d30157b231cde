"""Weights to and from safetensors files. Nothing is ever unpickled: a pickle can run any code."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from runtime.errors import WeightsError
from runtime.folder import write_atomically

SAVE_HINT = "save them with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
LARGEST_HEADER = 100_000_000  # bytes, by the format
PICKLE_STARTS = (
    b"PK\x03\x04",
    b"\x80\x02",
    b"\x80\x03",
    b"\x80\x04",
    b"\x80\x05",
)  # torch.save writes a zip or the second


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a module from a safetensors file that has exactly its keys, shapes and types.

    Raises:
        WeightsError: the file cannot be read, or does not fit; the message names the first key.
    """
    wanted = module.state_dict()
    data = read_file(path, 16 * sum(tensor.nbytes for tensor in wanted.values()) + LARGEST_HEADER)
    try:
        given = load(data)
    except SafetensorError as error:
        if data.startswith(PICKLE_STARTS):
            raise WeightsError(
                f"{path} is a pickle or another archive, as torch.save writes it; it was not opened, since it can run "
                "any code",
                f"convert it without running any: {convert_line(path)}",
            ) from error
        raise WeightsError(f"{path} is not a whole safetensors file: {error}", SAVE_HINT) from error
    except KeyError as error:
        raise misfit(path, f"it has the type {error.args[0]}, which PyTorch does not know") from error
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


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes. Pipes and devices are refused: they may never end."""
    hint = "give a safetensors file"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise WeightsError(f"the weights {path} are not a file", hint)
        if status.st_size > limit:
            raise WeightsError(f"{path} has {status.st_size / 1e6:,.0f} MB, far too many for this model", hint)
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}", hint) from error


def convert_line(path: Path) -> str:
    """A shell command that makes a safetensors file of a pickled state_dict; `weights_only` lets no code run."""
    target = path.with_name(
        f"{path.stem}-converted.safetensors" if path.suffix == ".safetensors" else f"{path.stem}.safetensors"
    )
    code = (
        "import torch, safetensors.torch; "
        f"state = torch.load(open({str(path)!r}, 'rb'), map_location='cpu', weights_only=True); "
        "safetensors.torch.save_file({key: value.contiguous().clone() for key, value in state.items()}, "
        f"{str(target)!r})"
    )
    return f"python -c {shlex.quote(code)}"


def misfit(path: Path, why: str) -> WeightsError:
    """The error for a file of another model."""
    return WeightsError(f"the weights {path} do not fit: {why}", "give the weights of this very model")


def shape(tensor: Tensor) -> str:
    """A tensor's type and shape, for people."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
