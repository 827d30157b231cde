"""Keys and mouse of the window; the window itself where there is a display."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from runtime.camera.opencv import parse_build
from runtime.camera.outputs.display import why_no_window
from runtime.camera.outputs.window import ESCAPE, TITLE, Window
from runtime.images import read_image
from tests.runtime.camera.stand_ins import moving_picture


def window_with(picture_size: tuple[int, int], folder: Path) -> Window:
    window = Window(folder)
    window._picture = moving_picture(0, picture_size)
    return window


def press(window: Window, *keys: str) -> None:
    for key in keys:
        window.on_key(ord(key))


def drag(window: Window, *places: tuple[int, int]) -> None:
    events = [cv2.EVENT_LBUTTONDOWN, *[cv2.EVENT_MOUSEMOVE] * (len(places) - 2), cv2.EVENT_LBUTTONUP]
    for event, place in zip(events, places, strict=True):
        window.on_mouse(event, *place, 0, None)


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), ESCAPE])
def test_keys_that_end(key: int, tmp_path: Path) -> None:
    window = Window(tmp_path)
    window.on_key(key)
    assert window.closed


def test_keys_that_turn_something_on_and_off(tmp_path: Path) -> None:
    window = Window(tmp_path)
    press(window, " ", "h", "x")
    assert (window.controls.paused, window.help_shown, window.closed) == (True, True, False)
    press(window, " ", "h")
    assert (window.controls.paused, window.help_shown) == (False, False)


def test_n_shows_the_next_source_and_a_region_is_of_one_source(tmp_path: Path) -> None:
    window = Window(tmp_path, sources=["left", "right"])
    window._picture = moving_picture(0, (160, 120))
    press(window, "r")
    drag(window, (10, 10), (50, 50))
    press(window, "n")
    assert (window.watched, window.region) == (1, None)
    assert window.controls.regions == {"left": (10, 10, 40, 40)}
    press(window, "n")
    assert (window.watched, window.region) == (0, (10, 10, 40, 40))


def test_a_drag_after_r_chooses_the_region_in_any_direction(tmp_path: Path) -> None:
    window = window_with((160, 120), tmp_path)
    press(window, "r")
    drag(window, (90, 70), (50, 50), (20, 30))
    assert window.region == (20, 30, 70, 40)
    drag(window, (0, 0), (10, 10), (60, 60))  # without r
    assert window.region == (20, 30, 70, 40)
    press(window, "c")
    assert window.region is None


def test_a_drag_beyond_the_border_ends_there_and_a_click_is_no_drag(tmp_path: Path) -> None:
    window = window_with((160, 120), tmp_path)
    press(window, "r")
    drag(window, (50, 50), (51, 50))
    assert window.region is None
    drag(window, (100, 100), (900, -50))
    assert window.region == (100, 0, 60, 100)


def test_the_rectangle_is_seen_while_it_is_dragged(tmp_path: Path) -> None:
    window = window_with((160, 120), tmp_path)
    picture = moving_picture(0)
    assert window.with_drag(picture) is picture
    press(window, "r")
    window.on_mouse(cv2.EVENT_LBUTTONDOWN, 10, 10, 0, None)
    window.on_mouse(cv2.EVENT_MOUSEMOVE, 100, 100, 0, None)
    shown = window.with_drag(picture)
    assert (shown[10, 50] != picture[10, 50]).any()
    assert (picture == moving_picture(0)).all()


def test_snapshots_are_pngs_with_the_time_that_replace_nothing(tmp_path: Path) -> None:
    window = window_with((160, 120), tmp_path / "snaps")
    for _ in range(20):
        press(window, "s")
    names = sorted(path.name for path in (tmp_path / "snaps").iterdir())
    assert len(names) == 20
    assert all(re.fullmatch(r"camera-\d{8}-\d{6}-\d{3}(-\d+)?\.png", name) for name in names)
    assert (read_image(tmp_path / "snaps" / names[0]) == moving_picture(0)[:, :, ::-1]).all()
    assert window.note.startswith("wrote ")


def test_a_snapshot_that_cannot_be_written_is_said_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    window = window_with((160, 120), tmp_path / "file" / "folder")
    press(window, "s")
    assert window.note.startswith("no snapshot: Not a directory")


def test_of_a_snapshot_that_does_not_fit_on_the_disk_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    def open_full(path: Path, mode: str) -> FullDisk:
        path.touch(exist_ok=False)
        return FullDisk()

    window = window_with((160, 120), tmp_path)
    with monkeypatch.context() as full:
        full.setattr(Path, "open", open_full)
        press(window, "s")
    assert window.note.startswith("no snapshot: No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_picture_there_is_no_snapshot(tmp_path: Path) -> None:
    window = Window(tmp_path)
    press(window, "s")
    assert list(tmp_path.iterdir()) == []
    window.close()


def test_an_opencv_without_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI: NONE\n")
    problem = why_no_window()
    assert problem and "headless" in problem.reason and "pip install" in problem.remedy


def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI: QT5\n")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    problem = why_no_window()
    assert problem and "no display" in problem.reason


def test_a_display_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt ends the process then: here that of the probe."""
    if not parse_build(cv2.getBuildInformation()).gui:
        pytest.skip("this OpenCV has no windows")
    monkeypatch.setenv("DISPLAY", ":31415")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    problem = why_no_window()
    assert problem and ":31415" in problem.reason


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="no display here")
def test_a_real_window_shows_pictures_of_changing_size() -> None:
    script = f"""
import cv2
from pathlib import Path
from runtime.camera.outputs.window import Window
from tests.runtime.camera.stand_ins import moving_picture
window = Window(Path("."))
for index in range(20):
    window.show(moving_picture(index, (160, 120) if index < 10 else (320, 200)))
assert not window.closed
cv2.destroyWindow({TITLE!r})  # as its button does
window.listen(1)
assert window.closed
window.close()
window.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
