"""The live picture, what is read on it, and where the page gets all that from."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.browser.browsers import (
    ENGINE,
    SCENE,
    SIZE,
    Browser,
    Shown,
    Visitor,
    digits_on,
    expect,
    look_until_later,
    look_until_read,
    scene,
)
from tests.camera_command import FREE, Camera, camera
from tests.runtime.camera.page import until

pytestmark = pytest.mark.browser

BOX_COLORS = ((120, 220, 60), (40, 180, 255))  # BGR, of a digit that is sure and of one that is not
RING = 14  # pixels of the frame round a digit's ink, where its box is


def boxed(shown: Shown) -> np.ndarray:
    """Where the canvas has the colours of boxes, in pixels of the frame."""
    like = [np.abs(shown.picture.astype(int) - color).max(axis=2) < 40 for color in BOX_COLORS]
    return cv2.resize((like[0] | like[1]).astype(np.uint8), SIZE) > 0


def test_the_picture_moves_with_its_digits_boxed_and_read(visitor: Visitor) -> None:
    page = visitor.open()
    expect(page.locator("#connection")).to_have_text("Connected")
    expect(page.locator("#state")).to_have_text("Streaming")
    first = look_until_read(page)
    assert first.labels == sorted(str(digit.label) for digit in digits_on(first.frame))
    later = look_until_later(page, first.frame + 2)
    assert np.abs(first.picture.astype(int) - later.picture).max() > 50
    for shown in (first, later):
        picture, _ = scene().scene(shown.frame).frame(shown.frame)
        difference = np.abs(cv2.resize(shown.picture, SIZE, interpolation=cv2.INTER_AREA).astype(int) - picture)
        assert np.median(difference) < 6
    colored = boxed(first)
    for digit in digits_on(first.frame):
        x, y, width, height = digit.box
        ring = colored[max(0, y - RING) : y + height + RING, max(0, x - RING) : x + width + RING].copy()
        assert ring.sum() > (width + height) / 2  # a quarter of its box at least, whatever lies over it
    assert colored.mean() < 0.1


def test_what_is_read_is_told_to_those_who_do_not_see(visitor: Visitor) -> None:
    page = visitor.open()
    numbers = look_until_read(page).numbers
    canvas = page.get_by_role("img", name="Live picture of synthetic")
    for number in numbers:
        expect(canvas).to_have_attribute("aria-label", re.compile(number))
        expect(page.locator("#spoken")).to_contain_text(number)


def test_how_sure_a_digit_is_fills_its_bar(visitor: Visitor) -> None:
    page = visitor.open()
    look_until_read(page)
    bar = page.locator("#digits meter").first
    bar.evaluate("(bar) => { bar.value = bar.max; }")
    picture = cv2.imdecode(np.frombuffer(bar.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    inner = picture[2:-1, picture.shape[1] // 2]  # without an edge that lies between two pixels
    assert np.ptp(inner, axis=0).max() < 40  # one colour from top to bottom


def test_a_source_that_cannot_be_read_says_why(chromium: Browser, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(bytes(1000))
    sources = ("--source", "broken.mp4", "--source", SCENE)
    with camera(digits, *sources, *ENGINE, "--view", "web", *FREE, cwd=tmp_path) as it:
        visitor = Visitor(chromium, it.page)
        page = visitor.open()
        expect(page.get_by_role("heading", name="broken.mp4")).to_be_visible()
        expect(page).to_have_title("broken.mp4 · toolkit camera")
        expect(page.locator("#over")).to_contain_text("broken.mp4 cannot be played")
        expect(page.locator("#status")).to_contain_text("broken.mp4 cannot be played")
        expect(page.locator("#latency")).not_to_contain_text("ms")
        page.get_by_label("Source").select_option("1")
        expect(page).to_have_title(f"{SCENE} · toolkit camera")
        look_until_read(page)
        expect(page.locator("#over")).to_be_hidden()
        visitor.context.close()
        visitor.assert_content()


@pytest.mark.parametrize("path", ["/", "/visit"])
def test_without_scripts_there_is_a_notice_and_nothing_that_does_not_work(
    path: str, chromium: Browser, drawn: Camera
) -> None:
    visitor = Visitor(chromium, drawn.page, java_script_enabled=False)
    page = visitor.open(path)
    expect(page.locator("noscript p")).to_be_visible()
    for nothing in ("section", "button", "#connection"):
        expect(page.locator(nothing).filter(visible=True)).to_have_count(0)
    visitor.context.close()


def test_nothing_is_loaded_from_elsewhere_nor_could_be(chromium: Browser, drawn: Camera) -> None:
    visitor = Visitor(chromium, drawn.page)
    for path, script in (("/", "view.js"), ("/visit", "visit.js")):
        page = visitor.open(path)
        expect(page.locator("h1")).to_be_visible()
        until(lambda: any(url.endswith(script) for url in visitor.requests), "its script is loaded")  # noqa: B023
    expect(page.locator("#live")).to_be_visible()  # as sources.json has said
    names = {url.rpartition("/")[2] for url in visitor.requests}
    assert {"style.css", "icon.svg", "sources.json", "socket"} <= names
    visitor.assert_content()
    page.evaluate("() => fetch('http://127.0.0.2:9/').catch(() => {})")
    page.evaluate("() => document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.2:9/x.png' }))")
    for kind in ("connect-src", "img-src"):
        until(lambda: any(kind in problem for problem in visitor.problems), f"{kind} forbids it")  # noqa: B023
    visitor.context.close()
