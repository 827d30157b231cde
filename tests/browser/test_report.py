"""A report in a real browser: by axe's rules, in either colour scheme, on a phone, by the keyboard, and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="needs playwright: pip install '.[browser]'")
pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python: pip install '.[browser]'")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.runtime.camera.page import PATIENCE_S, until
from tests.toolkit.report.rendered import page_of

pytestmark = pytest.mark.browser

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
PAPER = {"width": 1031, "height": 702}  # A4, landscape, within the margins, at 96 pixels an inch
SAMPLES = ("four", "hostile", "nothing")
OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true })"
TOO_WIDE = """width => [...document.querySelectorAll('table, figure, p, dl, ul')]
    .filter(each => each.checkVisibility() && each.getBoundingClientRect().right > width + 1)
    .map(each => each.outerHTML.slice(0, 200))"""


class Reader:
    """Somebody who reads reports, and what the browser complained of."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.folder = folder
        self.context = browser.new_context()
        self.context.set_default_timeout(1000 * PATIENCE_S)
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.context.on("console", lambda line: self.problems.append(line.text))
        self.context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.context.on("dialog", lambda dialog: self.problems.append(dialog.message))

    def open(self, name: str) -> Page:
        file = self.folder / f"{name}.html"
        file.write_text(page_of(name), encoding="utf-8")
        page = self.context.new_page()
        page.goto(file.as_uri())
        return page


@pytest.fixture
def reader(chromium: Browser, tmp_path: Path) -> Iterator[Reader]:
    it = Reader(chromium, tmp_path)
    yield it
    it.context.close()
    assert it.problems == []
    assert [url for url in it.requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("name", SAMPLES)
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(name: str, reader: Reader) -> None:
    page = reader.open(name)
    for size, scheme in ((WIDE, "light"), (PHONE, "dark")):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        page.evaluate(OPEN_ALL)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"][:3]]) for each in found] == []


def test_the_colours_of_pictures_follow_the_scheme(reader: Reader) -> None:
    page = reader.open("four")
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        colours.append(page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill"))
    assert colours == ["rgb(27, 31, 36)", "rgb(232, 234, 237)"]


def test_everything_is_reached_by_the_keyboard(reader: Reader) -> None:
    page = reader.open("four")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    wide = page.locator(".scroll").first
    wide.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    until(lambda: page.evaluate("document.querySelector('.scroll').scrollLeft > 0"))
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")


@pytest.mark.parametrize("name", ("four", "many"))
def test_paper_is_light_and_cuts_nothing_off(name: str, reader: Reader) -> None:
    page = reader.open(name)
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size(PAPER)  # type: ignore[arg-type]
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(TOO_WIDE, PAPER["width"]) == []
    tallest = page.evaluate("Math.max(...[...document.querySelectorAll('figure')].map(each => each.offsetHeight))")
    assert tallest <= PAPER["height"], "a picture, its title and its caption fit one sheet"
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
