"""What tests of recordings look at: the pictures and the parts of an MP4 file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from runtime.camera.frame import Picture
from tests.runtime.camera.stand_ins import DrawnSource


def source_of(fps: float | None, *, live: bool) -> DrawnSource:
    return DrawnSource(fps=fps, live=live)


def frames_of(path: Path) -> list[Picture]:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while (read := video.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    return frames


def boxes_of(data: bytes) -> list[bytes]:
    """The outermost parts of an MP4 file, by name."""
    names, place = [], 0
    while place + 8 <= len(data):
        names.append(data[place + 4 : place + 8])
        place += int.from_bytes(data[place : place + 4], "big") or len(data)
    return names
