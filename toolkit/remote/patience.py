"""A connection that breaks off is taken up again, for as long as is said; what was being done is done again."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from typing import TypeVar

import click

from runtime.errors import ConnectionLostError, RemoteError
from toolkit.remote.ssh import Connection

T = TypeVar("T")

RETRY = "TOOLKIT_SSH_RETRY"  # seconds for which a lost connection is taken up again
RETRY_S = 60.0
MOST_DROPS = 20  # of the connection, in one step
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0


class Patience:
    """What does not give up at once.

    Args:
        connection: to the machine.
        folder: in which it works.
    """

    def __init__(self, connection: Connection, folder: str) -> None:
        self.connection, self.folder = connection, folder

    def __call__(self, step: Callable[[], T]) -> T:
        """Do a step that can be done again, and do so where the connection is lost in the midst of it.

        Raises:
            ConnectionLostError: it did not come back.
        """
        for _ in range(MOST_DROPS):
            try:
                return step()
            except ConnectionLostError as error:
                self.reconnect(error)
        raise self.lost("broke off again and again")

    def reconnect(self, lost: ConnectionLostError) -> None:
        """Try, ever more seldom."""
        until, pause = time.monotonic() + retry_seconds(), FIRST_PAUSE_S
        click.echo(f"{lost.message}; what runs there goes on. Trying again", err=True)
        while True:
            try:
                self.connection.open()
            except RemoteError as error:
                if time.monotonic() + pause > until:
                    raise self.lost(f"was lost and did not come back ({error.message})") from error
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                click.echo(f"connected to {self.connection.address} again", err=True)
                return

    def lost(self, what: str) -> ConnectionLostError:
        """The error that says how things stand."""
        address, folder = self.connection.address, shlex.quote(self.folder)
        return ConnectionLostError(
            f"the connection to {address} {what}. Nothing was written here; what was begun there goes on, in {folder}",
            f"the same command with --remote-resume {folder} takes it up; "
            f"to give it up: {address.command} rm -r {folder}",
        )


def retry_seconds() -> float:
    """For how long a lost connection is taken up again."""
    try:
        return float(os.environ.get(RETRY) or RETRY_S)
    except ValueError as error:
        raise RemoteError(f"{RETRY} is not a number of seconds", f"leave it out for {RETRY_S:g}") from error
