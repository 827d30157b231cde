"""Whether a window can be shown here, found out before one is: without a display, Qt would end the process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import cv2

from runtime.camera.opencv import parse_build

PATIENCE_S = 20
PROBE = "import cv2, os; cv2.namedWindow('toolkit camera'); os._exit(0)"


@dataclass(frozen=True)
class NoWindow:
    """Why there can be none, and what to do about it."""

    reason: str
    remedy: str


def why_no_window() -> NoWindow | None:
    """None where a window can be shown."""
    if not parse_build(cv2.getBuildInformation()).gui:
        return NoWindow(
            "this OpenCV is built without windows (opencv-python-headless)",
            "pip uninstall opencv-python-headless && pip install --force-reinstall opencv-python",
        )
    if not sys.platform.startswith("linux"):
        return None
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return NoWindow(
            "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            "run it on the desktop of the machine, or connect with ssh -X; or record with --record FILE.mp4",
        )
    problem = probe()
    if not problem:
        return None
    return NoWindow(
        f"the display {os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')} shows none: {problem}",
        "check that another program, such as xmessage hello, opens a window there",
    )


def probe() -> str:
    """Open a window in a process of its own; the reason where that fails, else nothing."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"it does not answer within {PATIENCE_S} s"
    if not done.returncode:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "display" in line.lower()]
    return (telling or lines or [f"exit code {done.returncode}"])[0]
