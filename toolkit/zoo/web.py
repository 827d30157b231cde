"""HTTP as `toolkit.zoo.download` needs it: from a byte on, over https alone, every failure a WeightsError."""

from __future__ import annotations

import ipaddress
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from runtime.cache import APPLICATION
from runtime.errors import WeightsError

TIMEOUT_S = 30.0  # to connect, and without a byte


def request(url: str, start: int, known: str) -> tuple[HTTPResponse, int]:
    """Ask for what comes after `start` bytes of the version that is known; the answer, and where it begins."""
    headers = {"User-Agent": APPLICATION}
    if start:
        headers["Range"] = f"bytes={start}-"
        if known:
            headers["If-Range"] = known
    opener = urllib.request.build_opener(SafeRedirects)
    try:
        response: HTTPResponse = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code == 416 and start:  # there is no more, and yet what there is is not it
            error.close()
            return request(url, 0, "")
        raise
    if response.status != 206:
        return response, 0
    if response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        return response, start
    response.close()
    if not start:
        raise HTTPException("a part of the file was sent that nobody asked for")
    return request(url, 0, "")


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows to https alone; from this machine, to this machine as well."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        require_safe(newurl, req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def require_safe(url: str, source: str | None = None) -> None:
    """Refuse what others on the way can read and change.

    Args:
        url: to be opened.
        source: what redirected there.
    """
    local = is_local(url) and (source is None or is_local(source))
    if urlsplit(url).scheme != "https" and not (urlsplit(url).scheme == "http" and local):
        reason = f"{source} redirects to {url}, which" if source else url
        raise WeightsError(f"{reason} is not https; it was not opened", by_hand(source or url))


def is_local(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def version(response: HTTPResponse) -> str:
    """What names this version of the file in an If-Range header: a strong ETag, or the date; empty without both."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


@contextmanager
def network_errors(url: str) -> Iterator[None]:
    """What the network raises, as a WeightsError."""
    again = f"run it again to go on where it stopped; or {by_hand(url)}"
    try:
        yield
    except HTTPError as error:
        error.close()
        raise WeightsError(
            f"cannot download {url}: the server answers {error.code} {error.reason}", by_hand(url)
        ) from error
    except URLError as error:
        raise WeightsError(f"cannot reach {urlsplit(url).netloc} to download {url}: {error.reason}", again) from error
    except (OSError, HTTPException) as error:
        raise WeightsError(f"the connection to {url} broke: {error or type(error).__name__}", again) from error


def by_hand(url: str) -> str:
    """What a user can do without us."""
    return f"download {url} by hand and give --weights FILE"
