"""What OpenCV says of how it was built."""

from __future__ import annotations

import cv2
import pytest

from runtime.camera.opencv import parse_build

BUILD = """
General configuration for OpenCV 4.8.0 =====================================
  Version control:               4.8.0

  GUI:                           {gui}

  Media I/O:
    ZLib:                        build (ver 1.2.13)

  Video I/O:
    DC1394:                      NO
    FFMPEG:                      {ffmpeg}
      avcodec:                   YES (58.134.100)
    GStreamer:                   {gstreamer}
    v4l/v4l2:                    YES (linux/videodev2.h)
"""


@pytest.mark.parametrize(
    ("gui", "drawn_by"),
    [("QT5", "QT5"), ("NONE", ""), ("\n    GTK+:                        YES (ver 3.24.33)", "GTK+"), ("", "")],
)
def test_opencvs_windows(gui: str, drawn_by: str) -> None:
    assert parse_build(BUILD.format(gui=gui, ffmpeg="YES", gstreamer="NO")).gui == drawn_by


def test_opencvs_cameras() -> None:
    jetpack = parse_build(BUILD.format(gui="GTK3", ffmpeg="YES", gstreamer="YES (1.20.3)"))
    assert (jetpack.version, jetpack.gstreamer, jetpack.ffmpeg, jetpack.v4l) == ("4.8.0", True, True, True)
    assert jetpack.lacks == ""
    headless = parse_build(BUILD.format(gui="NONE", ffmpeg="NO", gstreamer="NO"))
    for word in ("GStreamer", "FFmpeg", "headless"):
        assert word in headless.lacks
    assert "V4L" not in headless.lacks


def test_the_build_of_the_opencv_that_is_here() -> None:
    assert parse_build(cv2.getBuildInformation()).version in cv2.__version__
