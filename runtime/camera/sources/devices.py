"""Local cameras on Linux: which there are, and why one cannot be had."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from runtime.errors import SourceError

VIDEO4LINUX = 81  # the major number of its devices
SYNTHETIC_HINT = "no camera at hand: try --source synthetic://"


def is_device(text: str) -> bool:
    """Whether it names a device: /dev/video0, /dev/v4l/by-id/..., whether there is one or not."""
    if re.match(r"/dev/(video\d|v4l/)", text):
        return True
    try:
        return stat.S_ISCHR(os.stat(text).st_mode)
    except (OSError, ValueError):
        return False


def find_cameras() -> list[str]:
    """The local ones, as `/dev/video0 (its name)`."""
    devices = sorted(Path("/dev").glob("video[0-9]*"), key=lambda path: int(re.sub(r"\D", "", path.name) or 0))
    return [f"{device} ({name})" if (name := name_of(device)) else str(device) for device in devices]


def name_of(device: Path) -> str:
    """As the driver says."""
    try:
        return (Path("/sys/class/video4linux") / device.name / "name").read_text(errors="replace").strip()
    except OSError:
        return ""


def others(but: str = "") -> str:
    """A hint with the cameras that there are."""
    cameras = [camera for camera in find_cameras() if camera.split(" ")[0] != but]
    return "there is " + ", ".join(cameras) if cameras else SYNTHETIC_HINT


def check_camera(device: str) -> None:
    """Find out before it is opened what opening would not say.

    Raises:
        SourceError: there is none, it is something else, or this user may not use it.
    """
    try:
        status = os.stat(device)
    except OSError as error:
        raise SourceError(f"there is no camera {device}: {error.strerror}", others()) from None
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != VIDEO4LINUX:
        raise SourceError(f"{device} is no camera", others())
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"you may not use {device}: permission denied",
            "run `sudo usermod -aG video $USER`, then log out and in again",
        )


def explain(device: str, reason: str) -> SourceError:
    """Why a camera that is there cannot be opened: most often another program has it."""
    if holding := holders(device):
        return SourceError(f"{device} is in use by {', '.join(holding)}", "end that program, or take another camera")
    return SourceError(
        f"{device} gives no pictures: {reason}",
        f"a camera often has a second device that gives none, and another user's program may have it; {others(device)}",
    )


def holders(device: str) -> list[str]:
    """The programs that have it open, as `name (process 123)`; only those of this user, except for root."""
    wanted, found = os.path.realpath(device), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            files = [os.readlink(file.path) for file in os.scandir(folder / "fd")]
            if wanted in files and int(folder.name) != os.getpid():
                found.append(f"{(folder / 'comm').read_text().strip()} (process {folder.name})")
        except OSError:  # not ours, or gone
            continue
    return found
