"""The whole of a stay on another machine.

    with at_work(remote, progress) as work:
        bundle = work.send("bundle", Path("lenet-int8"))
        ran = work.run("verify", "verify", bundle, "--json")
        work.require(ran)

What runs there does not depend on the connection. Where it breaks off, it is taken up again for a while, and then the
folder is left as it is, for another `at_work` to take up. In every other case it is removed, with what runs in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from runtime.errors import ConnectionLostError, RemoteError
from runtime.progress import Progress
from toolkit.remote import scripts
from toolkit.remote.address import Address
from toolkit.remote.device import require_toolkit, send_wheel
from toolkit.remote.ssh import Connection
from toolkit.remote.trouble import failed_there
from toolkit.remote.work import Work


@dataclass(frozen=True)
class Remote:
    """Where to work, as the command line says it.

    Attributes:
        address: of the machine.
        toolkit: its command there; None looks for it.
        wheel: to use in its place.
        resume: a work folder there, left when a connection was lost.
    """

    address: Address
    toolkit: str | None = None
    wheel: Path | None = None
    resume: str | None = None


@contextmanager
def at_work(remote: Remote, progress: Progress) -> Iterator[Work]:
    """Connect, find the toolkit, and have a work folder for the length of a `with` block.

    Args:
        remote: where.
        progress: told of what is sent and brought back.

    Raises:
        RemoteError: no connection, no toolkit, no folder; or the connection is lost and stays so.
    """
    connection = Connection(remote.address)
    try:
        connection.open()
        toolkit = [] if remote.wheel else require_toolkit(connection, remote.toolkit)
        folder = open_folder(connection, remote)
        work = Work(connection, toolkit, folder, progress, resumed=remote.resume is not None)
        try:
            if remote.wheel:
                work.toolkit = send_wheel(connection, remote.wheel, folder, remote.toolkit)
            yield work
        except ConnectionLostError:
            work.kept = True  # it can be taken up
            raise
        finally:
            if not work.kept:
                give_up(connection, folder)
    finally:
        connection.close()


def open_folder(connection: Connection, remote: Remote) -> str:
    """Make the work folder, or see that it is one."""
    if remote.resume is not None:
        if connection.run(scripts.IS_OURS, remote.resume).code:
            raise RemoteError(
                f"{remote.resume} on {remote.address} is no work folder of this toolkit and this user",
                "the message of the lost connection names it; without --remote-resume the work begins anew",
            )
        return remote.resume
    made = connection.run(scripts.MAKE)
    if made.code:
        raise failed_there(remote.address, "make a work folder", made.err, "/var/tmp")
    return made.out.decode(errors="surrogateescape").splitlines()[-1]


def give_up(connection: Connection, folder: str) -> None:
    """End what still runs in a work folder, and remove it."""
    try:
        connection.run(scripts.CANCEL, folder)
        connection.run(scripts.REMOVE, folder)
    except RemoteError:
        text = f"{connection.address} cannot be reached: {folder} stays there, and so does what runs in it"
        click.echo(text, err=True)
