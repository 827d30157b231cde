"""Checks a site that was built: it loads nothing from elsewhere, and its links lead somewhere. `check.py FOLDER`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes by which a page loads something; a link that is followed (`a`, `link rel=canonical`) loads nothing.
LOADING = {"src", "srcset", "poster", "data"}
LOADING_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "manifest", "modulepreload"}
# Markdown that stayed as it was: GitHub takes some lists and tables that are none for mkdocs.
LEFT_OVER = re.compile(r"\A\d+\. |^(?:\|.*\|\s*$|[-*] |#+ |```)|\]\(", re.MULTILINE)
STYLE_LOADS = re.compile(r"(?:url\(|@import\s)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


class Page(HTMLParser):
    """What a page loads, links to and says.

    Attributes:
        loads: addresses that a browser fetches by itself.
        links: addresses that a reader may follow.
        names: what an address can point to within the page.
        prose: text of paragraphs and list items, code left out.
        pictures: how many have no text in place of them.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.prose: list[str] = []
        self.pictures = 0
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.names |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and LOADING_LINKS & set(values.get("rel", "").split()):
            self.loads.append(values["href"])
        self.loads += [part.split()[0] for name in LOADING & set(values) for part in values[name].split(",") if part]
        self.loads += STYLE_LOADS.findall(values.get("style", ""))
        self.pictures += tag == "img" and not values.get("alt")
        if tag in ("p", "li"):
            self.prose.append("")
        if tag in ("code", "pre", "script", "style"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.loads += STYLE_LOADS.findall(data)
        elif not self._open and self.prose:
            self.prose[-1] += data


def complaints(site: Path) -> Iterator[str]:
    """What is wrong with a site, a line each."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} has no pages"
    for path, page in pages.items():
        where = path.relative_to(site)
        yield from (f"{where} loads {address}" for address in page.loads if elsewhere(address))
        local = [address for address in page.loads if not elsewhere(address) and path.name != "404.html"]
        for address in [
            *local,
            *(link for link in page.links if path.name != "404.html" and not urlsplit(link).scheme),
        ]:
            yield from (f"{where} points to {address}: {reason}" for reason in dead(address, path, pages))
        for text in page.prose:
            if match := LEFT_OVER.search(text):
                yield f"{where} shows Markdown: {text[match.start() :][:60]!r}"
        if page.pictures:
            yield f"{where} has {page.pictures} pictures without a text in place of them"
    for path in sorted(site.rglob("*.css")):
        for address in STYLE_LOADS.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads {address}"


def elsewhere(address: str) -> bool:
    """Whether a browser would ask another machine for it."""
    return urlsplit(address).scheme not in ("", "data") or address.startswith("//")


def dead(address: str, path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Why a link of a page leads nowhere."""
    parts = urlsplit(address)
    if parts.scheme == "data":
        return
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file():
        yield "no such file"
    elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names | {"__top"}:
        yield "no such place in it"


def main() -> None:
    """Print what is wrong, and exit with 1 if anything is."""
    found = list(complaints(Path(sys.argv[1]).resolve()))
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
