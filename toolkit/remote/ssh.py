"""One connection over the system's own ssh, which all commands share; keys and host keys are the user's own affair."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from runtime.errors import ConnectionLostError, RemoteError
from toolkit.remote.address import Address
from toolkit.remote.trouble import no_connection

SSH = "TOOLKIT_SSH"  # the command in place of `ssh`, as in "ssh -F FILE"; options in it come before these, and so win
# Nobody is asked anything, a silent peer is given up after a quarter of a minute, and nothing of the user's
# configuration that is meant for a terminal gets in the way. What says whom to trust stays as it is.
OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "ControlPersist": "no",
    "LogLevel": "INFO",
}
MARK = b"toolkit-begins-here"  # whatever the other machine's shell prints as it starts stands before it
LOST = 255  # ssh's own exit code
LONGEST_SOCKET = 80  # characters: the system's limit is 107, and ssh adds some
MOST_NOISE = 1 << 20
MOST_ERRORS = 1 << 16
PATIENCE_S = 3.0


@dataclass(frozen=True)
class Answer:
    """What a command on the other machine gave back."""

    code: int
    out: bytes
    err: str


class Running:
    """A command on the other machine, from the moment on at which it really runs."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes], address: Address) -> None:
        self.process, self.errors, self.address = process, errors, address
        assert process.stdin is not None and process.stdout is not None
        self.stdin, self.stdout = process.stdin, cast(io.BufferedReader, process.stdout)

    def await_mark(self) -> bool:
        """Read until the command has begun; False where it does not."""
        seen = 0
        while seen < MOST_NOISE and (line := self.stdout.readline(MOST_NOISE)):
            if line.rstrip() == MARK:
                return True
            seen += len(line)
        return False

    def said(self) -> str:
        """Its standard error, as far as it is of use."""
        self.errors.seek(0)
        return self.errors.read(MOST_ERRORS).decode(errors="replace")

    def end(self) -> int:
        """Give it no more input, and wait for it.

        Raises:
            ConnectionLostError: the connection was.
        """
        with suppress(BrokenPipeError):
            self.stdin.close()
        code = self.process.wait()
        if code == LOST:
            raise lost(self.address)
        return code

    def was_cut(self) -> bool:
        """Whether it ended with the connection."""
        try:
            return self.process.wait(PATIENCE_S) == LOST
        except subprocess.TimeoutExpired:
            return False

    def stop(self) -> None:
        """End it, whatever it is doing."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.stdin, self.stdout, self.errors):
            with suppress(BrokenPipeError):
                pipe.close()


class Connection:
    """A connection to another machine.

    Args:
        address: of the machine.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.ssh = shlex.split(os.environ.get(SSH) or "ssh")
        self.folder: Path | None = None
        self.master: Running | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            RemoteError: it cannot be, with the reason.
        """
        self.close()
        if not self.ssh or shutil.which(self.ssh[0]) is None:
            raise RemoteError(f"there is no {self.ssh[0] if self.ssh else 'ssh'} here", "apt install openssh-client")
        self.folder = short_folder()
        # Its only command waits for the end of our own process, and ends the connection with it.
        master = self.master = self.launch("exec cat >/dev/null", (), ("ControlMaster=yes",))
        if not master.await_mark():
            with suppress(ConnectionLostError):
                master.end()
            said = master.said()
            self.close()
            raise no_connection(self.address, said)

    def close(self) -> None:
        """Disconnect; nothing happens where there is no connection."""
        master, folder = self.master, self.folder
        self.master = self.folder = None
        if master is not None:
            with suppress(BrokenPipeError):
                master.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                master.process.wait(PATIENCE_S)
            master.stop()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def running(self, script: str, *arguments: str) -> Iterator[Running]:
        """Run a script of the POSIX shell on the other machine for the length of a `with` block.

        Args:
            script: sees the arguments as $1, $2, ...
            arguments: any text without a NUL.

        Raises:
            ConnectionLostError: there is no connection, or no more.
        """
        # Without the master ssh would connect by itself: it shall fail instead.
        command = self.launch(script, arguments, ("ControlMaster=no", "ProxyCommand=false"))
        try:
            if not command.await_mark():
                command.end()
                raise self.lost()
            yield command
        finally:
            command.stop()

    def run(self, script: str, *arguments: str, most: int = MOST_NOISE) -> Answer:
        """Run a script and wait for it.

        Args:
            script: sees the arguments as $1, $2, ...
            arguments: any text without a NUL.
            most: bytes that it may print.

        Raises:
            ConnectionLostError: there is no connection, or no more.
            RemoteError: it prints more.
        """
        with self.running(script, *arguments) as command:
            out = command.stdout.read(most + 1)
            if len(out) > most:
                raise RemoteError(f"{self.address} answers with more than {most >> 20} MiB", "is it the right machine?")
            return Answer(command.end(), out, command.said())

    def lost(self) -> ConnectionLostError:
        """The error for a connection that broke off."""
        return lost(self.address)

    def launch(self, script: str, arguments: tuple[str, ...], options: tuple[str, ...]) -> Running:
        """Start ssh with a command for the other machine, in a session of its own: a Ctrl-C is for us alone."""
        if self.folder is None:
            raise self.lost()
        told = [f"{name}={value}" for name, value in OPTIONS.items()]
        path = str(self.folder / "s").replace("%", "%%")
        flags = [word for option in (*told, *options, f'ControlPath="{path}"') for word in ("-o", option)]
        begin = f"echo; echo {MARK.decode()}; {script}"
        there = f"exec {shlex.join(['sh', '-c', begin, 'sh', *arguments])}"
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `Running.stop`
        try:
            process = subprocess.Popen(
                [*self.ssh, *flags, *self.address.arguments, there],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "LC_ALL": "C.UTF-8"},  # its messages are read
                start_new_session=True,
            )
        except OSError as error:
            raise RemoteError(f"cannot start {self.ssh[0]}: {error.strerror}", f"look at {SSH}") from error
        return Running(process, errors, self.address)


def lost(address: Address) -> ConnectionLostError:
    """The error for a connection that broke off."""
    return ConnectionLostError(f"the connection to {address} was lost", "run the same command again")


def short_folder() -> Path:
    """A folder of our own for the socket of the connection, whose name must not be long."""
    folder = tempfile.mkdtemp(prefix="ssh-")
    if len(folder) > LONGEST_SOCKET:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="ssh-", dir="/tmp")
    return Path(folder)
