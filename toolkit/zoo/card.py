"""What a weights file says of itself: the model, its options, and what it takes and gives. Imports no PyTorch."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runtime.errors import WeightsError
from runtime.spec import ModelSpec

HINT = "give a safetensors file, or a state_dict that torch.save wrote"
KEY = "toolkit"  # in the metadata of the safetensors file
LARGEST_HEADER = 100_000_000  # bytes, by the format


class Card(Struct, frozen=True, forbid_unknown_fields=True):
    """Travels in the metadata of a safetensors file.

    Attributes:
        model: its name in the zoo.
        options: what the module was made with.
        spec: input, preprocessing, labels and the threshold of refusal.
    """

    model: str
    options: dict[str, Any]
    spec: ModelSpec


def to_metadata(card: Card) -> dict[str, str]:
    """For `safetensors.torch.save`."""
    return {KEY: msgspec.json.encode(card).decode()}


def read_card(path: Path) -> Card | None:
    """The card of a safetensors file; None where it has none, or is no safetensors file.

    The format: 8 bytes, little endian, give the length of a JSON header whose `__metadata__` maps text to text.

    Raises:
        WeightsError: the file cannot be read, or its card is not one.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe may never end
            raise WeightsError(f"the weights {path} are not a file", HINT)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= LARGEST_HEADER else b""
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}", HINT) from error
    try:
        text = json.loads(header)["__metadata__"][KEY]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    try:
        return msgspec.json.decode(text, type=Card)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise WeightsError(
            f"the weights {path} describe themselves in a way that this version cannot read: {error}",
            "use the version of the toolkit that wrote them, or train them again",
        ) from error
