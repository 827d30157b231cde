"""The page for everyone: by the keyboard, in either colour scheme, on a phone, and by axe's rules."""

from __future__ import annotations

import pytest

pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python: pip install '.[browser]'")

from axe_playwright_python.sync_playwright import Axe

from tests.browser.browsers import OWN, Browser, Page, Visitor, expect, look_until_read
from tests.camera_command import Camera

pytestmark = pytest.mark.browser

WIDE = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
MAGNIFIED = {"viewport": {"width": 195, "height": 422}}  # that phone, with all twice as large
# Whatever a person can do something with, and each that a step by Tab comes to; whether that one is seen to be there.
BEGIN = """() => {
    const all = document.querySelectorAll("a[href], button, input, select, [tabindex='0']");
    window.left = new Set([...all].filter((one) => !one.disabled && one.checkVisibility()));
    return left.size;
}"""
STEP = """() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    left.delete(document.activeElement);
    return document.activeElement === document.body || (outlineStyle !== "none" && parseFloat(outlineWidth) > 1);
}"""
LEFT = "() => [...left].map((one) => one.outerHTML)"


def opened(visitor: Visitor, path: str) -> Page:
    """A page, with digits where it has any."""
    page = visitor.open(path)
    if path == "/":
        look_until_read(page)
    elif path == "/visit":
        page.get_by_role("button", name="Start").click()
        expect(page.locator("#numbers")).to_have_text(OWN)
    return page


@pytest.mark.parametrize("path", ["/", "/visit", "/login?wrong"])
@pytest.mark.parametrize("screen", [WIDE, PHONE, MAGNIFIED], ids=["wide", "phone", "magnified"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    screen: dict[str, object], path: str, chromium: Browser, drawn: Camera
) -> None:
    visitor = Visitor(chromium, drawn.page, **screen)
    page = opened(visitor, path)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page).response
        assert len(found["passes"]) > 10  # it has looked
        assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found["violations"]] == []
        assert page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        assert page.evaluate("() => innerWidth") == screen["viewport"]["width"]
    visitor.context.close()
    visitor.assert_content()


@pytest.mark.parametrize("path", ["/", "/visit"])
def test_all_is_reached_by_the_keyboard_and_seen_to_be(path: str, visitor: Visitor) -> None:
    page = visitor.open(path)
    expect(page.get_by_role("navigation")).to_be_visible()
    count = page.evaluate(BEGIN)
    assert count >= 5
    for _ in range(count):
        page.keyboard.press("Tab")
        assert page.evaluate(STEP)
    assert page.evaluate(LEFT) == []


def test_it_is_paused_and_set_by_keys_alone(visitor: Visitor) -> None:
    page = visitor.open()
    look_until_read(page)
    over, button = page.locator("#over"), page.locator("#pause")
    page.keyboard.press(" ")
    expect(over).to_have_text("Paused")
    button.focus()
    page.keyboard.press("Enter")
    expect(over).to_be_hidden()
    page.keyboard.press(" ")  # of the button that has the focus, and not twice
    expect(button).to_have_text("Go on")
    expect(over).to_have_text("Paused")
    page.keyboard.press(" ")
    expect(over).to_be_hidden()
    page.get_by_label("Use these keys").uncheck()
    page.locator("h1").click()
    page.keyboard.press(" ")
    expect(button).to_have_text("Pause")
