"""A folder on another machine in which commands of the toolkit run; other folders are sent there and brought back."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import RemoteError
from runtime.progress import Progress
from toolkit.console import printable
from toolkit.remote import scripts
from toolkit.remote.archive import files_below, pack, unpack
from toolkit.remote.log import LONGEST_LINE, Log
from toolkit.remote.patience import Patience
from toolkit.remote.ssh import Connection
from toolkit.remote.trouble import failed_there

MOST_OUTPUT = 64 << 20


@dataclass(frozen=True)
class Ran:
    """A command that has ended.

    Attributes:
        name: of the command, such as `build`.
        code: its exit code.
        out: its standard output.
    """

    name: str
    code: int
    out: bytes


class Work:
    """A work folder, and the commands in it. Names are letters and digits, of one use each.

    Args:
        connection: to the machine.
        toolkit: how to call it there.
        folder: there.
        progress: told of what is sent and brought back.
        resumed: an earlier run has left the folder: what it sent is not sent again, and what it began is waited for.

    Attributes:
        kept: the folder is to stay there even if this fails.
    """

    def __init__(
        self, connection: Connection, toolkit: Sequence[str], folder: str, progress: Progress, resumed: bool
    ) -> None:
        self.connection, self.toolkit, self.folder, self.progress = connection, list(toolkit), folder, progress
        self.resumed, self.address = resumed, connection.address
        self.patiently = Patience(connection, folder)
        self.local_names: dict[str, str] = {}
        self.kept = False

    def has(self, name: str) -> bool:
        """Whether a folder is there, whole."""
        there = f"{self.folder}/in/{name}.whole"
        return self.patiently(lambda: self.connection.run(scripts.HAS, there).code == 0)

    def send(self, name: str, path: Path, files: Sequence[str] | None = None, told: str | None = None) -> str:
        """Send a folder, or a file.

        Args:
            name: of the folder there.
            path: of the folder or the file here.
            files: that are sent of a folder, by their names below it; None sends all.
            told: how it is called in what people read; None takes the path.

        Returns:
            Its path there.
        """
        there = f"{self.folder}/in/{name}"
        if path.is_file():
            self.local_names[f"{there}/{path.name}"] = str(path)
            return f"{self.send(name, path.parent, [path.name])}/{path.name}"
        self.local_names[there] = str(path) if told is None else told
        if self.resumed and self.has(name):
            return there
        names = files_below(path) if files is None else list(files)
        total = sum((path / one).stat().st_size for one in names)
        with self.progress.stage(f"send to {self.address.host}", total) as stage:
            self.patiently(lambda: self.send_once(there, path, names, stage.advance))
        return there

    def send_once(self, there: str, path: Path, names: Sequence[str], told: Callable[[int], object]) -> None:
        """The same, over a connection that holds."""
        with self.connection.running(scripts.RECEIVE, there) as command:
            with suppress(BrokenPipeError):  # why, it says below
                pack(path, names, command.stdin, told)
            if command.end():
                raise failed_there(self.address, f"write {self.folder}", command.said(), self.folder)

    def place(self, name: str, told: object) -> str:
        """A path there for what a command writes.

        Args:
            name: of the folder there.
            told: how it is called in what people read.
        """
        there = f"{self.folder}/out/{name}"
        self.local_names[there] = str(told)
        return there

    def run(self, name: str, *arguments: str) -> Ran:
        """Run `toolkit ARGUMENTS` and wait for it; its standard error is shown as it comes.

        Args:
            name: of this run.
            arguments: of the toolkit, with paths of the other machine.
        """
        step, text, what = f"{self.folder}/run-{name}", shlex.join(arguments), f"toolkit {arguments[0]}"
        command = [self.folder, name, text, *self.toolkit, *arguments]
        begun = self.patiently(lambda: self.connection.run(scripts.START, *command))
        if begun.code:
            raise failed_there(self.address, f"work in {self.folder}", begun.err, self.folder)
        if (other := begun.out.decode(errors="replace")) != text:
            self.kept = True
            raise RemoteError(
                f"{self.folder} on {self.address} is of another command: toolkit {printable(other)}",
                "give that command again, or leave out --remote-resume to begin anew",
            )
        log = Log(self.address.host, self.local_names)
        if self.patiently(lambda: self.follow(step, log)) == scripts.GONE:
            raise RemoteError(
                f"{what} on {self.address} was ended without a word",
                "it ran out of memory (dmesg there tells) or of space, or the machine was restarted",
            )
        result = self.patiently(lambda: self.connection.run(scripts.RESULT, step, most=MOST_OUTPUT))
        code, _, out = result.out.partition(b"\n")
        if result.code or not code.isdigit():
            raise failed_there(self.address, f"read what {what} printed", result.err, self.folder)
        return Ran(arguments[0], int(code), out)

    def follow(self, step: str, log: Log) -> int:
        """Show what a command says until it has ended."""
        with self.connection.running(scripts.FOLLOW, step, str(log.known)) as command:
            while data := command.stdout.read1(LONGEST_LINE):
                log.add(data)
            code = command.end()
        log.finish()
        return code

    def bring(self, name: str, folder: Path) -> None:
        """Bring back what a command wrote at a `place`.

        Args:
            name: of the place.
            folder: here, which is ours alone, and empty.
        """
        with self.progress.stage(f"bring from {self.address.host}") as stage:
            self.patiently(lambda: self.bring_once(f"{self.folder}/out/{name}", folder, stage.advance))

    def bring_once(self, there: str, folder: Path, told: Callable[[int], object]) -> None:
        """The same, over a connection that holds."""
        clear(folder)  # of what came before it was lost
        with self.connection.running(scripts.GIVE, there) as command:
            try:
                unpack(command.stdout, folder, told)
            except RemoteError:
                if command.was_cut():
                    raise self.connection.lost() from None
                raise
            if command.end():
                raise failed_there(self.address, f"read {there}", command.said(), self.folder)

    def require(self, ran: Ran) -> None:
        """Go on only if a command was successful.

        Raises:
            RemoteError: it was not; this program's exit code will be that command's.
        """
        if ran.code:
            what = f"toolkit {ran.name} ended with exit code {ran.code} on {self.address}"
            error = RemoteError(what, "what it said stands above")
            error.exit_code = ran.code
            raise error


def clear(folder: Path) -> None:
    """Empty a folder of ours."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
