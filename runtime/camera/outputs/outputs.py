"""All outputs of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.camera.feed import Channel, Feed
from runtime.camera.outputs.lines import JsonLines
from runtime.camera.outputs.recording import Recording
from runtime.camera.outputs.seen import Seen
from runtime.camera.outputs.window import Window
from runtime.camera.summary import Tally


class Output(Protocol):
    """Takes answers, and holds nobody up."""

    def show(self, channel: Channel, seen: Seen) -> None:
        """Take a frame with its answers."""
        ...

    def attend(self, feed: Feed, tally: Tally) -> None:
        """Do what there is to do between frames; called ten times a second at least."""
        ...


@dataclass
class Outputs:
    """Where answers go; what is None is left out.

    Attributes:
        lines: of JSON.
        recording: of the pictures with what was read on them; of the first source.
        window: for a person.
        others: that work beside this process.
        say: takes a line about the source or an output, for people.
    """

    lines: JsonLines | None = None
    recording: Recording | None = None
    window: Window | None = None
    others: Sequence[Output] = ()
    say: Callable[[str], None] = lambda text: None
