"""What ssh and the commands on the other machine say when they fail, and what to do about it."""

from __future__ import annotations

from runtime.errors import RemoteError
from toolkit.remote.address import Address

#: What ssh says -> what it means, and what to do; {command} is `ssh HOST`, {host} the host. The first that fits counts.
FROM_SSH: tuple[tuple[str, str, str], ...] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "it has another host key than it had",
        "if it was set up anew: ssh-keygen -R {known}, then `{command}` once; if not, somebody may stand in between",
    ),
    ("Host key verification failed", "its host key is not known here", "`{command}` once by hand, and compare the key"),
    ("Could not resolve hostname", "no such host", "look at the name, or add it to ~/.ssh/config"),
    (
        "Permission denied (",
        "it takes none of the keys that were offered",
        "`ssh-copy-id {target}`, or `ssh-add` for a key with a passphrase: nobody is asked for a password here",
    ),
    (
        "Too many authentication failures",
        "too many keys were offered before the right one",
        "name the key in ~/.ssh/config: IdentityFile with IdentitiesOnly yes",
    ),
    ("Connection refused", "no ssh server answers at that port", "start sshd there, or give the port: ssh://HOST:PORT"),
    ("timed out", "it does not answer", "is it switched on and in this network? try `{command}`"),
    ("No route to host", "it cannot be reached", "is it switched on and in this network? try `{command}`"),
    ("Network is unreachable", "it cannot be reached", "is this machine in its network? try `{command}`"),
)

#: The same of commands on the other machine.
FROM_THERE: tuple[tuple[str, str, str], ...] = (
    ("No space left on device", "no space is left there", "make room in {place} there, or set TMPDIR there"),
    ("Wrote only", "no space is left there", "make room in {place} there, or set TMPDIR there"),
    ("Disk quota exceeded", "the quota there is used up", "make room in {place} there, or set TMPDIR there"),
    ("Read-only file system", "it cannot be written there", "set TMPDIR there to a folder that can be written"),
    ("Permission denied", "it may not be written there", "set TMPDIR there to a folder that {user} may write"),
    ("No such file or directory", "there is no such folder", "set TMPDIR there to a folder that {user} may write"),
    ("tar: not found", "it has no tar", "install tar there"),
    ("setsid: not found", "it has no setsid", "install util-linux there"),
)


def no_connection(address: Address, said: str) -> RemoteError:
    """The error for a connection that did not come about.

    Args:
        address: of the machine.
        said: ssh's standard error.
    """
    known = f"'[{address.host}]:{address.port}'" if address.port and address.port != 22 else address.host
    target = (
        f"{f'-p {address.port} ' if address.port else ''}{f'{address.user}@' if address.user else ''}{address.host}"
    )
    for words, meaning, hint in FROM_SSH:
        if words in said:
            return RemoteError(
                f"no connection to {address}: {meaning}",
                hint.format(command=address.command, host=address.host, known=known, target=target),
            )
    return RemoteError(
        f"no connection to {address}: {last_line(said) or 'ssh ended without a word'}",
        f"`{address.command} true` has to work first, without a question",
    )


def failed_there(address: Address, doing: str, said: str, place: str = "/var/tmp") -> RemoteError:
    """The error for a command on the other machine that failed.

    Args:
        address: of the machine.
        doing: what it was for, as in `cannot DOING on HOST`.
        said: its standard error.
        place: where it wrote.
    """
    for words, meaning, hint in FROM_THERE:
        if words in said:
            user = address.user or "the user there"
            return RemoteError(f"cannot {doing} on {address}: {meaning}", hint.format(place=place, user=user))
    return RemoteError(
        f"cannot {doing} on {address}: {last_line(said) or 'it failed without a word'}", f"try `{address.command}`"
    )


def last_line(text: str) -> str:
    """The last that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
