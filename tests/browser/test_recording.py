"""A recording, played."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser.browsers import ENGINE, SCENE, SIZE, Browser
from tests.command import toolkit
from tests.runtime.camera.page import until

pytest.importorskip("imageio_ffmpeg")
pytestmark = pytest.mark.browser


@pytest.fixture
def recording(digits: Path, tmp_path: Path) -> Iterator[str]:
    """The address of one."""
    options = ("--source", f"{SCENE}&seconds=2", "--fast", "--view", "none", "--record", "read.mp4")
    done = toolkit("camera", digits, *options, *ENGINE, cwd=tmp_path, fresh=True)
    assert done.returncode == 0, done.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/read.mp4"
        server.shutdown()
        thread.join()


def test_a_browser_plays_it(chromium: Browser, recording: str) -> None:
    page = chromium.new_page()
    page.goto(recording)
    video = page.locator("video")
    video.evaluate("(video) => { video.muted = true; return video.play(); }")
    until(lambda: video.evaluate("(video) => video.currentTime > 0.5"), "it plays")
    assert video.evaluate("(video) => [video.videoWidth, video.videoHeight, video.duration]") == [*SIZE, 2]
    page.context.close()
