"""Where MQTT messages go: the address of a broker, and the topics of sources there."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from runtime.camera.sources.address import hide
from runtime.errors import OptionError, ToolkitError
from runtime.text import plain

PORTS = {"mqtt": 1883, "mqtts": 8883}
PREFIX = "toolkit/camera"
LONGEST_PREFIX, LONGEST_LEVEL = 200, 60  # characters
UNSAFE = re.compile(r"[^\w.-]+")  # in a level of a topic: MQTT forbids / + # and NUL there, people quote the others
HINT = (
    "write it like mqtt://user:password@host:1883/prefix, or mqtts:// for TLS; in user and password, "
    "write @ : / ? # % as %40 %3A %2F %3F %23 %25"
)


@dataclass(frozen=True)
class Broker:
    """A broker, and how to talk to it.

    Attributes:
        host: name or address.
        port: of TCP.
        prefix: of all topics, without a slash at either end.
        client_id: that the broker knows this client by; empty for one that is made up.
        username: None where none is needed.
        password: the same.
        tls: whom to trust; None for a connection that is not encrypted.
    """

    host: str
    port: int
    prefix: str = PREFIX
    client_id: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The address, fit to be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_broker(text: str) -> Broker:
    """Take the address of a broker apart.

    Args:
        text: `mqtt://[user[:password]@]host[:port][/prefix][?client_id=NAME]`; `mqtts://` is TLS, which trusts the
            system's authorities, or with `?ca=FILE` those of a PEM file.

    Raises:
        OptionError: it cannot be understood. Of the address it shows nothing: any part of one that is not understood
            may be of the password.
        ToolkitError: the file cannot be read.
    """
    try:
        text.encode()
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # fails here rather than where it is looked up
    except ValueError:
        raise wrong("has no valid host and port") from None
    if parts.scheme not in PORTS:
        raise wrong("does not begin with mqtt:// or mqtts://")
    if not host or port == 0:
        raise wrong("names no host" if not host else "has port 0")
    if "#" in text or "@" in parts.path + parts.query:  # 12/3@host: of a password, that looked like a port
        raise wrong("has a # in it, or an @ after the host")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not options.keys() <= {"client_id", "ca"}:
        raise wrong("has another option than ?client_id=NAME and ?ca=FILE")
    username, password = (unquote(part) if part else None for part in (parts.username, parts.password))
    if password and not username:
        raise wrong("has a password without a user")
    prefix, client_id = unquote(parts.path).strip("/") or PREFIX, options.get("client_id", "")
    if any(ord(character) < 32 for character in prefix + client_id + (username or "")):
        raise wrong("has control characters in it")
    if re.search(r"[+#]|^\$", prefix) or len(prefix) > LONGEST_PREFIX:
        raise wrong(f"has a prefix that has + or # in it, begins with $ or is longer than {LONGEST_PREFIX} characters")
    secure, authorities = parts.scheme == "mqtts", options.get("ca")
    if authorities is not None and not (secure and authorities):
        raise wrong("has ?ca= without a file" if secure else "has ?ca=FILE, which is of mqtts:// alone")
    tls = trusting(authorities) if secure else None
    return Broker(host, port or PORTS[parts.scheme], prefix, client_id, username, password, tls)


def wrong(why: str) -> OptionError:
    """What is wrong with an address."""
    return OptionError(f"the address of the MQTT broker {why}", HINT)


def trusting(authorities: str | None) -> ssl.SSLContext:
    """TLS that trusts the authorities of a PEM file; None for those of the system.

    Raises:
        ToolkitError: the file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=authorities)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", str(error))
        raise ToolkitError(
            f"the MQTT broker's authorities cannot be read from {authorities}: {why}",
            "give ?ca= the PEM file of the authority that signed the broker's certificate",
        ) from None


def levels_of(sources: Sequence[str]) -> dict[str, str]:
    """For each source the level that stands for it in topics: short, and without what MQTT forbids.

    Names that would be the same, or are cut off, end in a hash of the source's, so that they are the same in every run.
    """
    levels = {source: UNSAFE.sub("-", hide(source)).strip("-") or "source" for source in sources}
    often = Counter(levels.values())
    for source, level in levels.items():
        if often[level] > 1 or len(level) > LONGEST_LEVEL:
            digest = hashlib.sha256(plain(hide(source)).encode()).hexdigest()[:8]
            levels[source] = f"{level[: LONGEST_LEVEL - 9]}-{digest}"
    return levels
