"""A browser and a camera for all tests of pages.

They last for this folder alone: Playwright keeps an event loop running, which tests elsewhere could not bear.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

    from tests.browser.browsers import Visitor
    from tests.camera_command import Camera


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as it:
        yield it


@pytest.fixture(scope="package")
def chromium(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    from tests.browser.browsers import OWN, launched, written

    with launched(playwright, written(OWN), tmp_path_factory.mktemp("camera")) as browser:
        yield browser


@pytest.fixture(scope="package")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.runtime.camera.digit_bundle import write_digit_bundle

    return write_digit_bundle(tmp_path_factory.mktemp("digits") / "digits")


@pytest.fixture(scope="package")
def drawn(chromium: Browser, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camera]:
    """A camera that draws a scene, and invites visitors. Whoever changes its controls sets them back."""
    from tests.browser.browsers import ENGINE, SCENE
    from tests.camera_command import FREE, camera

    sources = ("--source", SCENE, "--source", "browser://")
    with camera(digits, *sources, *ENGINE, "--view", "web", *FREE, cwd=tmp_path_factory.mktemp("drawn")) as it:
        yield it
        it.end()


@pytest.fixture
def visitor(chromium: Browser, drawn: Camera) -> Iterator[Visitor]:
    """Somebody who looks at that camera, and for whom all goes well."""
    from tests.browser.browsers import Visitor

    it = Visitor(chromium, drawn.page)
    yield it
    it.context.close()
    it.assert_content()
