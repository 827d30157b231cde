"""What OpenCV was built with: which cameras and windows it can open. Does not import it: it may not even start."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class OpenCvBuild:
    """How OpenCV was built.

    Attributes:
        version: of OpenCV.
        gstreamer: it opens pipelines: a Jetson's own cameras, most IP cameras.
        ffmpeg: it reads video files and streams.
        v4l: it opens USB cameras.
        gui: what draws its windows; empty where nothing does.
        lacks: what that means for cameras, in one line; empty where nothing is missing.
    """

    version: str
    gstreamer: bool
    ffmpeg: bool
    v4l: bool
    gui: str
    lacks: str


def parse_build(text: str) -> OpenCvBuild:
    """Read `cv2.getBuildInformation()`."""
    version = re.search(r"General configuration for OpenCV (\S+)", text)
    gstreamer, ffmpeg, v4l = (has(text, name) for name in ("GStreamer", "FFMPEG", "v4l/v4l2"))
    gui = parse_gui(text)
    lacks = [
        what
        for there, what in (
            (v4l, "USB cameras (V4L)"),
            (gstreamer, "a Jetson's CSI cameras (GStreamer)"),
            (ffmpeg, "video files (FFmpeg)"),
            (bool(gui), "windows (it is a headless build)"),
        )
        if not there
    ]
    return OpenCvBuild(version[1] if version else "", gstreamer, ffmpeg, v4l, gui, ", ".join(lacks))


def has(text: str, name: str) -> bool:
    """Whether a line `name: YES ...` is there."""
    return re.search(rf"^\s*{re.escape(name)}:\s+YES\b", text, re.MULTILINE) is not None


def parse_gui(text: str) -> str:
    """The one that draws windows: named after `GUI:`, or in older builds the one below it that says YES."""
    match = re.search(r"^\s*GUI:[ \t]*(\S*)[ \t]*\n((?:[ \t]+\S.*\n)*)", text, re.MULTILINE)
    if match is None or match[1] == "NONE":
        return ""
    below = re.search(r"^\s*(QT|GTK\+|Cocoa|Win32 UI|Wayland):\s+YES", match[2], re.MULTILINE)
    return match[1] or (below[1] if below else "")
