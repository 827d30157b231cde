"""Weights from files that torch.save wrote. They are pickles, and may hold any code: none of it is run."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runtime.errors import WeightsError, first_line

#: Where a training keeps the weights among what it goes on with.
PLACES = ("state_dict", "model_state_dict", "model")
SAVE_HINT = "save the weights alone, where they were made: torch.save(model.state_dict(), 'weights.pth')"


def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a state_dict, or of that in a checkpoint, by key, on the CPU. Bound the size of the file before.

    A file of PyTorch 1.6 or later is mapped, not read: it must not change while the tensors are used.

    Raises:
        WeightsError: it is damaged, or holds anything but a flat dict of dense tensors.
    """
    mapped = zipfile.is_zipfile(path)
    if mapped:
        require_plain_zip(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an unusual pickle, which is read or refused below
            if mapped and path.suffix != ".safetensors":  # torch.load would go by the name
                state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            else:
                with path.open("rb") as file:
                    state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"holds {found[1]}, and so" if found else "is damaged, or"
        raise WeightsError(
            f"{path} {what} is a pickle of more than tensors: that can run any code, and none was run", SAVE_HINT
        ) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise WeightsError(f"{path} is not a whole file of torch.save: {first_line(error)}", SAVE_HINT) from error
    return require_state(path, state)


def require_plain_zip(path: Path) -> None:
    """Refuse an archive that torch.save does not write: a compressed one may unpack to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path} is not a whole file of torch.save: {first_line(error)}", SAVE_HINT) from error
    names = [entry.filename.rpartition("/")[2] for entry in entries]
    if "constants.pkl" in names:
        raise WeightsError(f"{path} is a TorchScript archive, which is a program and not weights alone", SAVE_HINT)
    if "data.pkl" not in names or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise WeightsError(f"{path} is an archive, but not one that torch.save writes", SAVE_HINT)


def require_state(path: Path, state: Any) -> dict[str, Tensor]:
    """What was loaded, if it is a flat dict of dense tensors."""
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(state).__name__}, not a dict of tensors", SAVE_HINT)
    state = next((state[place] for place in PLACES if isinstance(state.get(place), dict)), state)
    for key, value in state.items():
        if not isinstance(key, str):
            raise WeightsError(f"{path} holds something under {key!r:.100}, which is no name of a tensor", SAVE_HINT)
        if type(value) not in (Tensor, nn.Parameter):
            kind = type(value).__name__
            raise WeightsError(f"{path}: {key!r:.100} is of type {kind}, and a tensor is wanted", SAVE_HINT)
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise WeightsError(f"{path}: {key!r:.100} is sparse, quantized or without content", SAVE_HINT)
    return {key: value.detach() for key, value in state.items()}
