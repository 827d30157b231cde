"""Where the page is served, and the token that is needed there."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import secrets
import socket
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs

from runtime.errors import InputError, MissingPackageError, OptionError, ToolkitError

HOST, PORT = "127.0.0.1", 8765
SHORTEST_TOKEN, LONGEST_TOKEN = 16, 1024  # characters
PACKAGES = {"tornado": "tornado>=6.5", "prometheus_client": "prometheus-client>=0.20"}
WHERE_HINT = "write it like 127.0.0.1:8765, 0.0.0.0:8765 or [::1]:8765; port 0 takes any that is free"


def missing_package() -> MissingPackageError | None:
    """Why there can be no page here; None where there can."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    needs = " ".join(f"'{PACKAGES[name]}'" for name in PACKAGES)
    return MissingPackageError(f"the page needs {' and '.join(missing)}", f"pip install {needs}")


def parse_address(text: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        OptionError: it is no such text.
    """
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})", text)
    if not match or int(match[2]) > 65535:
        raise OptionError(f"'{text}' is no address to listen at", WHERE_HINT)
    return match[1].strip("[]"), int(match[2])


def listen(text: str | None = None) -> socket.socket:
    """A socket that listens.

    Args:
        text: host and port; None takes `HOST` and `PORT`, or another port where that is taken.

    Raises:
        OptionError: it is no address.
        ToolkitError: it is taken, or not of this machine, or not to be had.
    """
    host, port = parse_address(text) if text else (HOST, PORT)
    try:
        return bound(host, port)
    except (OSError, UnicodeError) as error:  # that is of a name that no machine can have
        if not text:
            return bound(HOST, 0)
        reason = getattr(error, "strerror", None) or "it is no name"
        raise ToolkitError(f"nothing can be served at {text}: {reason}", f"give another one; {WHERE_HINT}") from None


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there."""
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        listener.bind(address)
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def is_private(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def url_of(listener: socket.socket, *, tls: bool) -> str:
    """The address of the page, for people; of one that listens everywhere, by this machine's name."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        host = socket.gethostname()
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"


def own_names() -> tuple[str, ...]:
    """Names by which others may know this machine."""
    name = socket.gethostname()
    return tuple(dict.fromkeys((name, socket.getfqdn(), f"{name.partition('.')[0]}.local")))


def read_token(path: Path) -> str:
    """The token that a file holds.

    Raises:
        InputError: it cannot be read, or holds none that is long enough.
    """
    hint = f"make one: python -c 'import secrets; print(secrets.token_urlsafe(32))' > {path}; chmod 600 {path}"
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_TOKEN + 1).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no token can be read: {getattr(error, 'strerror', None) or error}", hint) from None
    if not re.fullmatch(rf"[!-~]{{{SHORTEST_TOKEN},{LONGEST_TOKEN}}}", text):
        raise InputError(
            f"{path}: a token is {SHORTEST_TOKEN} to {LONGEST_TOKEN} letters, digits and signs in one line", hint
        )
    return text


def own_token() -> tuple[str, Path]:
    """The token of this user, which is made when it is needed first; and the file that holds it.

    Raises:
        InputError: the file cannot be read.
        ToolkitError: it cannot be made.
    """
    path = Path(platformdirs.user_state_dir("edge-deployment-toolkit")) / "camera-token"
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent) as file:  # for its owner alone
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                with suppress(FileExistsError):  # another camera that was started just now has made one
                    os.link(file.name, path)
        except OSError as error:
            raise ToolkitError(
                f"no token can be kept in {path}: {error.strerror or error}", "give one with --token-file FILE"
            ) from None
    return read_token(path), path


def check_certificate(certificate: Path, key: Path | None) -> None:
    """Find out whether TLS works with them before anything is served.

    Raises:
        InputError: it does not.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        what = f"{certificate}" + (f" with {key}" if key else "")
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise InputError(
            f"{what} cannot be used for TLS: {reason}",
            "give PEM files: the certificate, and its key without a password, with --tls-key where it is another file",
        ) from None
