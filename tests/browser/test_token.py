"""A page that asks for a token, and one that comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.browser.browsers import ENGINE, SCENE, Browser, Page, Visitor, expect, look_until_later, look_until_read
from tests.camera_command import FREE, Camera, camera
from tests.runtime.camera.page import TOKEN

pytestmark = pytest.mark.browser


def secret_camera(digits: Path, folder: Path, *listen: str) -> AbstractContextManager[Camera]:
    (folder / "token").write_text(TOKEN)
    shown = ("--source", SCENE, *ENGINE, "--view", "web", *listen)
    return camera(digits, *shown, "--token-file", folder / "token", cwd=folder)


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Continue").click()


def descendants(process: int) -> Iterator[int]:
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            yield child
            yield from descendants(child)


def page_process(of: Camera) -> int:
    """The id of the process that serves the page."""
    name = b"runtime.camera.web.serve"
    return next(one for one in descendants(of.process.pid) if name in Path(f"/proc/{one}/cmdline").read_bytes())


def test_the_token_lets_in_and_the_page_comes_back_to_who_is(chromium: Browser, digits: Path, tmp_path: Path) -> None:
    with secret_camera(digits, tmp_path, *FREE) as first:
        visitor = Visitor(chromium, first.page)
        page = visitor.open()
        assert page.url == f"{first.page}/login"
        expect(page.get_by_role("alert")).to_be_empty()
        sign_in(page, "no-token-0123456789")
        expect(page.get_by_role("alert")).to_have_text("That token is not right.")
        expect(page.get_by_label("Token")).to_have_attribute("aria-invalid", "true")
        page.goto("/")
        assert page.url == f"{first.page}/login"
        sign_in(page, TOKEN)
        connection = page.locator("#connection")
        expect(connection).to_have_text("Connected")
        assert page.url == f"{first.page}/"
        shown = look_until_read(page)
        visitor.assert_content()
        assert not any("token" in url.lower() for url in visitor.requests)  # which is in both, too

        os.kill(page_process(first), signal.SIGKILL)
        expect(connection).to_contain_text("Connection lost")
        expect(connection).to_have_text("Connected")
        shown = look_until_later(page, shown.frame)
        assert "it is started again" in first.end()
        expect(connection).to_have_text("Connection lost (the toolkit has ended), trying again…")
        expect(page.locator("#over")).to_have_text("Connection lost")
        expect(page.locator("#numbers")).to_be_empty()
    with secret_camera(digits, tmp_path, "--listen", f"127.0.0.1:{first.port}"):
        expect(connection).to_have_text("Connected")
        look_until_later(page, look_until_read(page).frame)
    visitor.context.close()
