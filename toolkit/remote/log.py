"""What a command on the other machine says, a line at a time, with our names for its paths."""

from __future__ import annotations

from collections.abc import Mapping

import click

from toolkit.console import printable

LONGEST_LINE = 1 << 16


class Log:
    """Shows what comes in, on standard error.

    Args:
        host: that stands before each line.
        names: ours for the paths of the other machine.

    Attributes:
        known: how many bytes came in.
    """

    def __init__(self, host: str, names: Mapping[str, str]) -> None:
        self.host, self.names = host, names
        self.known, self.rest = 0, b""

    def add(self, data: bytes) -> None:
        """Take what comes in, and show the lines that are whole."""
        self.known += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.show(line)
        if len(self.rest) > LONGEST_LINE:
            self.finish()

    def finish(self) -> None:
        """Show what has no line end."""
        if self.rest:
            self.show(self.rest)
        self.rest = b""

    def show(self, line: bytes) -> None:
        text = with_our_names(line.decode(errors="replace"), self.names)
        click.echo(f"{self.host}: {printable(text)}", err=True)


def with_our_names(text: str, names: Mapping[str, str]) -> str:
    """A text of the other machine; `names` are ours for its paths."""
    for there in sorted(names, key=len, reverse=True):  # /w/bundle10 before /w/bundle1
        text = text.replace(there, names[there])
    return text
