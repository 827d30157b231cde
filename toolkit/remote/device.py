"""The toolkit on the other machine: where it is, and whether it is ours."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import RemoteError
from toolkit import DISTRIBUTION, toolkit_version
from toolkit.remote.ssh import Connection
from toolkit.remote.trouble import last_line

# On the PATH that a command gets, on that of a login shell, or where the documentation puts it.
FIND = r"""
found=
try() { if [ -z "$found" ] && [ -n "$1" ]; then found=$(command -v "$1" 2>/dev/null); fi; }
if [ -n "$1" ]; then
    case "$1" in "~/"*) try "$HOME/${1#"~/"}" ;; *) try "$1" ;; esac
else
    try toolkit
    try "$("${SHELL:-/bin/sh}" -lc 'command -v toolkit' 2>/dev/null </dev/null | tail -n 1)"
    for place in .venv .local toolkit/.venv edge-deployment-toolkit/.venv; do try "$HOME/$place/bin/toolkit"; done
fi
echo "$found"
beside=$(dirname "$found")/python3
if [ -n "$found" ] && [ -x "$beside" ]; then echo "$beside"; else command -v python3 || echo; fi
"""
VERSION = '"$@" --version </dev/null'
UNPACK_WHEEL = """
umask 077; cd "$1" || exit 1
if [ -d site ]; then exec cat >/dev/null; fi
rm -rf site.new && mkdir site.new && cat >toolkit.whl && "$2" -m zipfile -e toolkit.whl site.new && mv site.new site
"""


@dataclass(frozen=True)
class Found:
    """What there is on the other machine; empty where there is none.

    Attributes:
        toolkit: the command.
        python: the interpreter that it runs with, or the system's.
    """

    toolkit: str
    python: str


def find(connection: Connection, named: str | None) -> Found:
    """Look for the toolkit.

    Args:
        connection: to the machine.
        named: where the user says that it is.
    """
    lines = connection.run(FIND, named or "").out.decode(errors="surrogateescape").splitlines()
    return Found(*[*lines, "", ""][:2])


def require_toolkit(connection: Connection, named: str | None) -> list[str]:
    """How to call the toolkit of the other machine, which has the version that this one has.

    Args:
        connection: to the machine.
        named: where the user says that it is.

    Raises:
        RemoteError: there is none, or another version.
    """
    found, address, ours = find(connection, named), connection.address, toolkit_version()
    carry = "or send one along: --remote-wheel FILE"
    if not found.toolkit and named:
        raise RemoteError(f"{address} has no {named}", f"give the path of its toolkit with --remote-toolkit, {carry}")
    if not found.toolkit:
        raise RemoteError(
            f"there is no toolkit on {address}",
            f"install {DISTRIBUTION} {ours} there, give its path with --remote-toolkit, {carry}",
        )
    command = [found.toolkit]
    theirs = version_of(connection, command)
    if theirs != ours:
        raise RemoteError(
            f"{found.toolkit} on {address} has version {theirs}, this one {ours}: what they write may differ",
            f"install {DISTRIBUTION} {ours} there, {carry}",
        )
    return command


def version_of(connection: Connection, command: list[str]) -> str:
    """The version of a toolkit.

    Raises:
        RemoteError: the command is none.
    """
    answer = connection.run(VERSION, *command)
    words = answer.out.decode(errors="replace").split()
    if answer.code or len(words) != 2 or words[0] != "toolkit":
        said = last_line(answer.err) or f"it says {' '.join(words)[:100]!r}"
        raise RemoteError(
            f"{command[-1]} on {connection.address} does not work: {said}",
            f"try it there: {connection.address.command}",
        )
    return words[1]


def send_wheel(connection: Connection, wheel: Path, folder: str, named: str | None) -> list[str]:
    """Put a wheel into the work folder, and say how to call the toolkit in it.

    The packages that it needs are those of the toolkit that is there, or of the system's Python where there is none.

    Args:
        connection: to the machine.
        wheel: the file.
        folder: on the machine.
        named: where the user says that a toolkit is.

    Raises:
        RemoteError: it is no wheel of this version, or does not work there.
    """
    require_wheel(wheel)
    python = find(connection, named).python
    if not python:
        raise RemoteError(f"there is no python3 on {connection.address}", "install Python 3.10 or newer there")
    with connection.running(UNPACK_WHEEL, folder, python) as command:
        with suppress(BrokenPipeError):  # why, it says below
            command.stdin.write(wheel.read_bytes())
        if command.end():
            raise RemoteError(
                f"cannot unpack {wheel.name} on {connection.address}: {last_line(command.said())}",
                f"is there room in {folder}?",
            )
    call = ["env", f"PYTHONPATH={folder}/site", python, "-m", "toolkit"]
    theirs = version_of(connection, call)
    if theirs != toolkit_version():
        raise RemoteError(
            f"{wheel} holds version {theirs}, this one is {toolkit_version()}", "give a wheel of this version"
        )
    return call


def require_wheel(wheel: Path) -> None:
    """Find out here whether a file is a wheel of the toolkit.

    Raises:
        RemoteError: it is none.
    """
    try:
        with zipfile.ZipFile(wheel) as opened:
            names = set(opened.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise RemoteError(f"{wheel} is no wheel: {error}", "`pip wheel --no-deps .` in a clone makes one") from error
    if "toolkit/__main__.py" not in names:
        raise RemoteError(f"{wheel} is not a wheel of the toolkit", "`pip wheel --no-deps .` in a clone makes one")
