"""Visitors who show the page what their own cameras see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.browsers import OWN, Page, Playwright, Visitor, expect, launched, look, written
from tests.camera_command import Camera
from tests.runtime.camera.page import until

pytestmark = pytest.mark.browser

OTHER = "516"
# All that is shown as text from now on, whenever it changes.
REMEMBER = """() => {
    const [numbers, digits] = ["numbers", "digits"].map((id) => document.getElementById(id));
    window.remembered = [];
    const watcher = new MutationObserver(() => {
        remembered.push(numbers.textContent, ...[...digits.rows].map(({ dataset }) => dataset.label));
    });
    for (const place of [numbers, digits]) watcher.observe(place, { childList: true, subtree: true });
}"""


def start(visitor: Visitor) -> Page:
    page = visitor.open("/visit")
    page.evaluate(REMEMBER)
    page.get_by_role("button", name="Start").click()
    return page


def test_two_visitors_each_see_their_own_digits_and_never_the_other_s(
    playwright: Playwright, visitor: Visitor, drawn: Camera, tmp_path: Path
) -> None:
    with launched(playwright, written(OTHER), tmp_path) as another:
        other = Visitor(another, drawn.page)
        pages = {OWN: start(visitor), OTHER: start(other)}
        for text, page in pages.items():
            expect(page.locator("#numbers")).to_have_text(text)
            expect(page.locator("#digits th")).to_have_text(list(text))
        frames = {text: look(page).frame for text, page in pages.items()}
        until(lambda: all(look(page).frame > frames[text] + 20 for text, page in pages.items()), "both go on")
        for text, page in pages.items():
            said = page.evaluate("() => window.remembered")
            assert text in said and set("".join(said)) <= set(text)
        other.context.close()
        other.assert_content()


def test_what_is_shown_is_the_visitor_s_picture_and_gone_when_it_is_stopped(visitor: Visitor) -> None:
    page = start(visitor)
    expect(page.locator("#numbers")).to_have_text(OWN)
    shown = look(page)
    green = (abs(shown.picture.astype(int) - (120, 220, 60)).max(axis=2) < 40).sum()
    assert green > 200  # boxes
    assert (shown.picture.min(axis=2) > 200).mean() > 0.5  # the sheet
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#over")).to_have_text("The camera is off")
    expect(page.locator("#numbers")).to_be_empty()
    expect(page.locator("#connection")).to_have_text("Not connected")
    assert look(page).picture.max() == 0
