"""Runs `toolkit camera` where it serves a page."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.command import TOOLKIT, environment
from tests.runtime.camera.page import Answer, ask, until

NO_DISPLAY = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
FREE = ("--listen", "127.0.0.1:0")


class Camera:
    """A command that serves."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.lines = process, list[str]()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        until(lambda: self.url or process.poll() is not None, "an address is told")
        assert self.url, self.said

    def read(self) -> None:
        assert self.process.stderr
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def said(self) -> str:
        return "".join(self.lines)

    @property
    def url(self) -> re.Match[str] | None:
        return re.search(r"^(.+): (https?)://([^/]+):(\d+)/( .*)?$", self.said, re.MULTILINE)

    @property
    def port(self) -> int:
        assert self.url
        return int(self.url[4])

    @property
    def page(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, **headers: str) -> Answer:
        return ask(self.port, path, headers=headers)

    def end(self) -> str:
        """By SIGTERM, as a supervisor does; what it said."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0, self.said
        self.thread.join(60)
        assert "Traceback" not in self.said
        return self.said


@contextmanager
def camera(bundle: Path, *arguments: object, cwd: Path, **variables: str) -> Iterator[Camera]:
    process = subprocess.Popen(
        [*TOOLKIT, "camera", str(bundle), *map(str, arguments)],
        cwd=cwd,
        env=environment(**NO_DISPLAY, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield Camera(process)
    finally:
        process.kill()
        process.communicate()
