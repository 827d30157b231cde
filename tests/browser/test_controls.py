"""What a person does on the page, and another page beside it sees."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.browser.browsers import SIZE, Page, Visitor, digits_on, expect, look, look_until_later, look_until_read
from tests.camera_command import Camera
from tests.runtime.camera.page import until

pytestmark = pytest.mark.browser

LEFT_HALF = (20, 20, SIZE[0] // 2 - 20, SIZE[1] - 40)
MIDDLE = SIZE[0] // 2


def metric(camera: Camera, name: str) -> float:
    lines = camera.ask("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"toolkit_camera_{name}"))


def test_a_pause_is_for_all_and_can_be_ended_by_all(visitor: Visitor, drawn: Camera) -> None:
    here, there = visitor.open(), visitor.open()
    look_until_read(here)
    here.get_by_role("button", name="Pause").click()
    for page in (here, there):
        expect(page.get_by_role("button", name="Go on")).to_be_visible()
        expect(page.locator("#over")).to_have_text("Paused")
    read, uptime = metric(drawn, "frames_read_total"), metric(drawn, "uptime_seconds")
    until(lambda: metric(drawn, "uptime_seconds") > uptime + 1, "time passes")
    assert metric(drawn, "frames_read_total") == read and metric(drawn, "paused") == 1
    frame = look(here).frame
    there.get_by_role("button", name="Go on").click()
    for page in (here, there):
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        expect(page.locator("#over")).to_be_hidden()
        look_until_later(page, frame)


def test_with_a_threshold_nobody_reaches_there_are_no_digits(visitor: Visitor) -> None:
    here, there = visitor.open(), visitor.open()
    look_until_read(there)
    before = here.locator("#threshold").input_value()
    here.get_by_label("Threshold", exact=True).press("End")
    for page in (here, there):
        expect(page.locator("#threshold-value")).to_have_text("100 %")
        expect(page.locator("#digits tr")).to_have_count(0)
        expect(page.locator("#numbers")).to_be_empty()
    there.get_by_label("Threshold", exact=True).fill(before)
    expect(here.locator("#threshold-value")).to_have_text(f"{100 * float(before):.0f} %")
    look_until_read(here)


def drag(page: Page, box: tuple[int, int, int, int]) -> None:
    """Over the picture, in pixels of the source's frame."""
    canvas = page.locator("#picture").bounding_box()
    assert canvas
    scale = canvas["width"] / SIZE[0]
    left, top, width, height = (scale * side for side in box)
    page.mouse.move(canvas["x"] + left, canvas["y"] + top)
    page.mouse.down()
    page.mouse.move(canvas["x"] + left + width, canvas["y"] + top + height)
    page.mouse.up()


def region(page: Page) -> list[str]:
    return [page.locator(f"#region-{side}").input_value() for side in "xywh"]


def test_a_region_that_is_dragged_alone_is_read_until_it_is_reset(visitor: Visitor) -> None:
    here, there = visitor.open(), visitor.open()
    whole = look_until_read(here)
    inside = {str(one.label) for one in digits_on(whole.frame) if one.box[0] + one.box[2] < MIDDLE - 20}
    outside = {str(one.label) for one in digits_on(whole.frame) if one.box[0] > MIDDLE + 20}
    assert inside - outside and outside - inside
    drag(here, LEFT_HALF)
    for page in (here, there):
        until(lambda page=page: "" not in region(page), "the region is in its fields")
        chosen = [float(side) for side in region(page)]
        assert np.allclose(chosen, LEFT_HALF, atol=3)
        until(
            lambda page=page: set(look(page).labels) >= inside and not set(look(page).labels) & (outside - inside),
            "digits within the region alone are read",
        )
        assert look(page).picture[:, -100:].mean() < 0.6 * whole.picture[:, -100:].mean()  # it is dark there
    there.get_by_role("button", name="Read all of it").click()
    for page in (here, there):
        until(lambda page=page: region(page) == [""] * 4, "there is no region")
        look_until_read(page)


def test_a_region_can_be_typed(visitor: Visitor) -> None:
    here, there = visitor.open(), visitor.open()
    look_until_read(here)
    for name, side in zip(("Left", "Top", "Width", "Height"), LEFT_HALF, strict=True):
        here.get_by_label(name).fill(str(side))
    here.get_by_role("button", name="Apply").click()
    until(lambda: region(there) == list(map(str, LEFT_HALF)), "the other page has it")
    there.locator("body").press("c")
    until(lambda: region(here) == [""] * 4, "a key has reset it")


def test_a_snapshot_is_a_picture_of_the_frame_with_what_was_read(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.open()
    look_until_read(page)
    with page.expect_download() as download:
        page.get_by_text("Save snapshot").click()
    assert download.value.suggested_filename == "camera.png"
    download.value.save_as(tmp_path / "camera.png")
    assert (tmp_path / "camera.png").read_bytes().startswith(b"\x89PNG")
    picture = cv2.imread(str(tmp_path / "camera.png"))
    assert picture is not None and picture.shape == (SIZE[1], SIZE[0], 3)
    assert (abs(picture.astype(int) - (120, 220, 60)).max(axis=2) < 40).sum() > 500  # boxes
