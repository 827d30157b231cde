"""Makes the documentation's pictures of the page: `python -m tests.browser.screenshots docs BUNDLE`."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.browsers import ENGINE, OWN, Visitor, launched, look, written
from tests.camera_command import FREE, camera
from tests.runtime.camera.page import until

SCENE = "synthetic://clean?size=640x480&fps=10&digits=10&seed=59&scene=1000000"
FRAME = 100  # that is waited for: by then all digits are sure
COLORS = 200


def save(path: Path, png: bytes) -> None:
    """With fewer colours, in less than a third of the bytes."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def shoot(browser: Browser, url: str, path: Path, **options: object) -> None:
    visitor = Visitor(browser, url, **options)
    page = visitor.open()
    expect(page.locator("#connection")).to_have_text("Connected")
    until(lambda: look(page).frame >= FRAME, "digits are sure")
    save(path, page.screenshot())
    visitor.context.close()


def main(folder: Path, bundle: Path) -> None:
    source = ("--source", SCENE, *ENGINE, "--view", "web", *FREE)
    with (
        tempfile.TemporaryDirectory() as place,
        camera(bundle.resolve(), *source, cwd=Path(place)) as it,
        sync_playwright() as playwright,
        launched(playwright, written(OWN), Path(place)) as browser,
    ):
        wide = {"viewport": {"width": 1060, "height": 684}, "color_scheme": "light"}
        phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
        kind = {"color_scheme": "dark", "is_mobile": True, "has_touch": True}
        shoot(browser, it.page, folder / "camera-page.png", **wide)
        shoot(browser, it.page, folder / "camera-page-dark-phone.png", **phone, **kind)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
