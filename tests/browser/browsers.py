"""A real browser, and somebody who looks at the camera's page with it."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright", reason="needs playwright: pip install '.[browser]'")

from playwright.sync_api import Browser, Page, Playwright, expect

from runtime.camera.frame import Picture
from runtime.camera.synthetic.source import open_synthetic, shipped_digits
from runtime.camera.synthetic.truth import Truth
from tests.runtime.camera.page import PATIENCE_S, until

ENGINE = ("--backend", "onnxruntime", "--threads", 1)
SIZE = (640, 480)
SCENE = f"synthetic://clean?size={SIZE[0]}x{SIZE[1]}&fps=10&digits=7&seed=26&scene=1000000"  # one scene for ever
OWN = "407"  # that the browser's camera sees
FAKE_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
NAMES = ("chromium", "chromium-browser", "google-chrome")
# What is seen at one moment: the canvas is drawn in the same turn in which the text is written.
SHOWN = """() => {
    const canvas = document.getElementById("picture");
    return {
        frame: canvas.dataset.frame,
        labels: [...document.querySelectorAll("#digits tr")].map(({ dataset }) => dataset.label),
        numbers: [...document.querySelectorAll("#numbers span")].map(({ textContent }) => textContent),
        picture: canvas.toDataURL(),
    };
}"""

expect.set_options(timeout=1000 * PATIENCE_S)


@contextmanager
def launched(playwright: Playwright, seen: Picture, folder: Path) -> Iterator[Browser]:
    """Chromium as the system has it, with a camera that sees a picture; a test that needs it is skipped without.

    Args:
        playwright: drives it.
        seen: by its camera.
        folder: for a file with that.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip("needs Chromium, which is not installed")
    flags = [*FAKE_CAMERA, f"--use-file-for-fake-video-capture={write_video(folder / 'camera.y4m', seen)}"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=program, args=flags)
    try:
        yield browser
    finally:
        browser.close()


def write_video(path: Path, picture: Picture) -> Path:
    """Write a video that stands still."""
    height, width = picture.shape[:2]
    frame = b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).tobytes()
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode() + 2 * frame)
    return path


class Visitor:
    """Somebody with cookies of his own.

    Attributes:
        requests: addresses of all that was asked for.
        problems: what the browser complained of: errors, and what the page's policy forbade.
    """

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url, self.requests, self.problems = url, list[str](), list[str]()
        self.context = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(1000 * PATIENCE_S)
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.context.on("console", lambda line: line.type in ("error", "warning") and self.problems.append(line.text))
        self.context.on("weberror", lambda error: self.problems.append(str(error.error)))

    def open(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.goto(path)
        return page

    @property
    def strange(self) -> list[str]:
        """What was asked of others than the camera."""
        own = urlsplit(self.url).netloc
        return [url for url in self.requests if urlsplit(url).netloc != own]

    def assert_content(self) -> None:
        """Nothing went wrong, and nothing came from elsewhere."""
        assert self.requests and self.strange == []
        assert self.problems == []


@dataclass(frozen=True)
class Shown:
    """What a page shows at one moment.

    Attributes:
        frame: the number of the source's frame.
        labels: of the digits in the table, sorted.
        numbers: as text, sorted.
        picture: of the canvas, BGR.
    """

    frame: int
    labels: list[str]
    numbers: list[str]
    picture: Picture


def look(page: Page) -> Shown:
    """At the page, as it is now."""
    seen = page.evaluate(SHOWN)
    data = base64.b64decode(seen["picture"].partition(",")[2])
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return Shown(
        int(seen["frame"] or -1), sorted(seen["labels"]), sorted(seen["numbers"]), np.asarray(picture, np.uint8)
    )


def look_until_read(page: Page) -> Shown:
    """At the page, once it shows all that is on the frame, and nothing else."""
    shown: list[Shown] = []

    def is_read() -> bool:
        shown.append(look(page))
        return shown[-1].frame >= 0 and shown[-1].numbers == numbers_on(shown[-1].frame)

    until(is_read, "the page shows the numbers of the scene")
    return shown[-1]


def look_until_later(page: Page, frame: int) -> Shown:
    """At the page, once it shows a later frame."""
    until(lambda: look(page).frame > frame, "the picture moves")
    return look(page)


@cache
def scene() -> Any:
    """The camera that the tests look through, to ask it for the truth."""
    return open_synthetic(SCENE, fast=True)


def digits_on(frame: int) -> list[Truth]:
    """What is to be read on a frame of the scene, left to right."""
    return sorted((one for one in scene().truth(frame) if one.kind == "digit"), key=lambda one: one.box[0])


def numbers_on(frame: int) -> list[str]:
    """The numbers of a frame, sorted."""
    texts: dict[int | None, str] = {}
    for digit in digits_on(frame):
        texts[digit.number] = texts.get(digit.number, "") + str(digit.label)
    return sorted(texts.values())


def written(text: str, size: tuple[int, int] = (640, 360)) -> Picture:
    """A sheet with a number on it, in MNIST's hand."""
    images, labels = shipped_digits()
    sheet = np.full((size[1], size[0]), 235, np.uint8)
    side = 112
    for place, character in enumerate(text):
        digit = cv2.resize(images[labels == int(character)][0], (side, side), interpolation=cv2.INTER_CUBIC)
        top, left = (size[1] - side) // 2, size[0] // 2 + round(side * 0.8 * (place - len(text) / 2))
        ground = sheet[top : top + side, left : left + side]
        np.minimum(ground, 235 - (0.85 * digit).astype(np.uint8), out=ground)
    return np.asarray(cv2.cvtColor(sheet, cv2.COLOR_GRAY2BGR), np.uint8)
