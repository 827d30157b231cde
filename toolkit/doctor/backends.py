"""The engines of this machine: what each backend says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.doctor.probe import Answer


@dataclass(frozen=True)
class BackendState:
    """An engine.

    Attributes:
        name: of the backend.
        ok: it runs here.
        version: of its library.
        device: what it runs on.
        devices: the names that --device may take.
        overflows: why INT8 weights of 8 bits would give wrong answers here; empty where they do not.
        reason: why it does not run.
        command: that would mend that.
        builds: it does not run here, but makes engines that run elsewhere.
    """

    name: str
    ok: bool
    version: str = ""
    device: str = ""
    devices: Sequence[str] = ()
    overflows: str = ""
    reason: str = ""
    command: str = ""
    builds: bool = False


def read_state(name: str, answer: Answer) -> BackendState:
    """A backend's own answer, or why it gave none."""
    if answer.error:
        return BackendState(name, False, reason=answer.error)
    return BackendState(name, **answer.value)
