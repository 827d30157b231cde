"""The window: pictures as they are read, and the keys that a person presses on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import cv2

from runtime.camera.controls import SMALLEST_REGION, Controls
from runtime.camera.frame import Box, Picture
from runtime.camera.outputs.pen import BLUE

TITLE = "toolkit camera"
ESCAPE = 27
WIDEST, HIGHEST = 1600, 900  # of the window when it opens


class Window:
    """Shows pictures and listens.

    Attributes:
        closed: whether the person wants to end.
        help_shown: whether the keys are to be listed.
        watched: the number of the source that is shown.
        note: what came of the latest key, to be told once; empty where there is nothing.

    Args:
        snapshots: the folder for snapshots, which is made when one is taken.
        controls: what keys and mouse change.
        sources: their names.
    """

    def __init__(self, snapshots: Path, controls: Controls | None = None, sources: Sequence[str] = ("",)) -> None:
        self.snapshots, self.controls, self.sources = snapshots, controls or Controls(), sources
        self.closed = self.help_shown = False
        self.watched, self.note = 0, ""
        self._selecting = False
        self._from: tuple[int, int] | None = None
        self._to = (0, 0)
        self._picture: Picture | None = None
        self._open = False

    @property
    def region(self) -> Box | None:
        """The part of the frame that is read, of the source that is shown."""
        return self.controls.region_of(self.sources[self.watched])

    @region.setter
    def region(self, region: Box | None) -> None:
        self.controls.regions[self.sources[self.watched]] = region

    def show(self, picture: Picture) -> None:
        """Show a picture, uint8 (H, W, 3) BGR, and see to keys and mouse."""
        if self._picture is None or self._picture.shape != picture.shape:
            self.open(picture)
        self._picture = picture
        if self.closed:
            return  # it would open again
        cv2.imshow(TITLE, self.with_drag(picture))
        self.listen(1)

    def open(self, picture: Picture) -> None:
        """Open the window, or give it the shape of another picture; as large as that, or as fits on most screens."""
        height, width = picture.shape[0], picture.shape[1]
        scale = min(1.0, WIDEST / width, HIGHEST / height)
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | getattr(cv2, "WINDOW_GUI_NORMAL", 0))
        cv2.resizeWindow(TITLE, round(width * scale), round(height * scale))
        cv2.setMouseCallback(TITLE, self.on_mouse)
        self._open = True

    def listen(self, milliseconds: int) -> None:
        """Wait for a key so long, and do what it stands for; also notice that the window was closed."""
        if not self._open:
            return
        try:
            key = cv2.waitKey(milliseconds)
            if key >= 0:
                self.on_key(key & 0xFF)
            self.closed = self.closed or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # of Qt, when its last window is closed
            self.closed = True

    def on_key(self, key: int) -> None:
        """Do what a key stands for."""
        if key in (ord("q"), ord("Q"), ESCAPE):
            self.closed = True
        elif key == ord(" "):
            self.controls.paused = not self.controls.paused
        elif key in (ord("h"), ord("H"), ord("?")):
            self.help_shown = not self.help_shown
        elif key in (ord("r"), ord("R")):
            self._selecting, self._from = True, None
            self.note = "drag a rectangle with the mouse over what is to be read"
        elif key in (ord("c"), ord("C")):
            self.region, self._selecting, self._from = None, False, None
        elif key in (ord("n"), ord("N")):
            self.watched, self._selecting, self._from = (self.watched + 1) % len(self.sources), False, None
        elif key in (ord("s"), ord("S")) and self._picture is not None:
            self.note = self.save(self._picture)

    def on_mouse(self, event: int, x: int, y: int, flags: int, data: object) -> None:
        """A drag after `r` chooses the region. The place is in pixels of the picture, however large the window is."""
        if not self._selecting:
            return
        if event == cv2.EVENT_LBUTTONDOWN:
            self._from = self._to = (x, y)
        elif self._from and event == cv2.EVENT_MOUSEMOVE:
            self._to = (x, y)
        elif self._from and event == cv2.EVENT_LBUTTONUP:
            self._to = (x, y)
            region = self.dragged(self._from)
            if min(region[2:]) >= SMALLEST_REGION:
                self.region, self._selecting = region, False
            self._from = None

    def dragged(self, start: tuple[int, int]) -> Box:
        """The box from where the mouse was pressed to where it is, within the picture."""
        assert self._picture is not None
        height, width = self._picture.shape[0], self._picture.shape[1]
        xs = sorted(min(max(0, x), width) for x in (start[0], self._to[0]))
        ys = sorted(min(max(0, y), height) for y in (start[1], self._to[1]))
        return xs[0], ys[0], xs[1] - xs[0], ys[1] - ys[0]

    def with_drag(self, picture: Picture) -> Picture:
        """The picture, or a copy with the rectangle that is being dragged."""
        if not self._from:
            return picture
        x, y, width, height = self.dragged(self._from)
        copy = picture.copy()
        cv2.rectangle(copy, (x, y), (x + width, y + height), BLUE, 2)
        return copy

    def save(self, picture: Picture) -> str:
        """Write a snapshot, which replaces no file; what came of it, in words."""
        moment = datetime.now().strftime("%Y%m%d-%H%M%S-%f")[:-3]
        _, data = cv2.imencode(".png", picture)
        try:
            self.snapshots.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                path = self.snapshots / f"camera-{moment}{f'-{number}' if number > 1 else ''}.png"
                try:
                    write_new(path, data.tobytes())
                    return f"wrote {path}"
                except FileExistsError:
                    number += 1
        except OSError as error:
            return f"no snapshot: {error.strerror or error}: {self.snapshots}"

    def close(self) -> None:
        """Close the window; may be called twice."""
        if self._open:
            self._open = False
            cv2.destroyAllWindows()
            cv2.waitKey(1)


def write_new(path: Path, data: bytes) -> None:
    """Write a file, of which nothing stays where its disk is full.

    Raises:
        FileExistsError: there is one of that name.
    """
    file = path.open("xb")
    try:
        with file:
            file.write(data)
    except OSError:
        path.unlink()
        raise
