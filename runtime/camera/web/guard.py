"""Who may see the page: names under which it is asked for, pages that ask, and the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

BEARER = "bearer "


class Guard:
    """Decides, and keeps no list of anybody.

    Args:
        token: that has to be known; empty where none is needed.
        hosts: names of this machine that a browser may ask for, beside its addresses and localhost.
    """

    def __init__(self, token: str, hosts: Sequence[str]) -> None:
        self.token = token.encode()
        self.hosts = {"localhost", *(host.lower().rstrip(".") for host in hosts)}

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this machine: a name that a stranger made to point here does not.

        An address is let through: no page of a stranger is served from it.
        """
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname or "", parts.port
        except ValueError:
            return False
        if parts.netloc != host or parts.username is not None or "@" in host:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.rstrip(".") in self.hosts
        return True

    def knows_origin(self, origin: str | None, scheme: str, host: str) -> bool:
        """Whether a request comes from this very page. Programs that are no browsers say no origin.

        The page has TLS where it comes by a proxy that ends it, and there none is left on the way from there.
        """
        return origin is None or origin.lower() in {f"{s}://{host}".lower() for s in (scheme, "https")}

    @property
    def cookie(self) -> str:
        """What a browser is given in place of the token: it tells nothing of it, and holds while the token does."""
        return hmac.new(self.token, b"session of the camera's page", hashlib.sha256).hexdigest()

    def is_token(self, text: str) -> bool:
        """Whether it is the token; takes as long for any text of its length."""
        return hmac.compare_digest(text.encode(), self.token)

    def lets_in(self, cookie: str, authorization: str) -> bool:
        """Whether a request with these headers comes from someone who knows the token."""
        if not self.token:
            return True
        if authorization.lower().startswith(BEARER):
            return self.is_token(authorization[len(BEARER) :].strip())
        return hmac.compare_digest(cookie.encode(), self.cookie.encode())
