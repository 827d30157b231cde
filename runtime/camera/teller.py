"""Tells people of what changes while it reads."""

from __future__ import annotations

from runtime.camera.feed import Feed
from runtime.camera.outputs.outputs import Outputs
from runtime.errors import first_line


class Teller:
    """Says once what changes: the state of a source, an output that ended, what a key did."""

    def __init__(self, feed: Feed, outputs: Outputs) -> None:
        self.feed, self.outputs = feed, outputs
        self.told: set[str] = set()

    def tell(self) -> None:
        """Say what is new."""
        channels = self.feed.channels
        for channel in channels:
            while channel.news:
                self.outputs.say(channel.news.popleft())
            if channel.error and len(channels) > 1:
                name = channel.source.name
                self.once(f"error of {name}", f"{name} is read no more: {first_line(channel.error)}")
        lines, recording, window = self.outputs.lines, self.outputs.recording, self.outputs.window
        if lines and lines.problem and not lines.gone:
            self.once("lines", f"no more lines are written: {lines.problem}")
        if recording and recording.problem:
            self.once("recording", f"the recording has stopped: {recording.problem}")
        if window and window.note:
            self.outputs.say(window.note)
            window.note = ""

    def once(self, about: str, text: str) -> None:
        """Say a thing that stays true."""
        if about not in self.told:
            self.told.add(about)
            self.outputs.say(text)
