"""What a command printed on the other machine with --json, as a value."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from runtime.errors import RemoteError
from toolkit.remote.address import Address
from toolkit.remote.work import Ran

T = TypeVar("T")


def decode(address: Address, ran: Ran, kind: type[T]) -> T:
    """The value.

    Args:
        address: of the machine.
        ran: the command that printed it.
        kind: of the value.

    Raises:
        RemoteError: it is none.
    """
    try:
        return msgspec.json.decode(ran.out, type=kind)
    except msgspec.MsgspecError as error:
        raise RemoteError(
            f"what toolkit {ran.name} printed on {address} is not understood: {error}",
            "install the toolkit of this machine there, or send it along: --remote-wheel FILE",
        ) from error
