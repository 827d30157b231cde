"""OpenCV's `VideoCapture` for each kind of source, inside the capturing process."""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.sources.request import CAMERA, GSTREAMER, Request

SECOND_NS = 1_000_000_000
MOST_FPS = 1000  # some containers say 90,000
#: OpenCV with FFMPEG 8 prints this of a frame of two fields, and gives what was in the memory before as its picture.
INTERLACED = b"Cannot convert interlaced to progressive"
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # key;value|key;value


def open_capture(request: Request) -> cv2.VideoCapture:
    """What captures it; not opened where that failed."""
    if request.backend == CAMERA:
        return open_camera(request)
    if request.backend == GSTREAMER:
        return cv2.VideoCapture(request.target, cv2.CAP_GSTREAMER)
    if not request.live:
        return cv2.VideoCapture(request.target, cv2.CAP_FFMPEG)
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, request.patience_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, request.patience_ms]
    if hasattr(cv2, "CAP_PROP_N_THREADS"):  # from OpenCV 4.7 on
        options += [cv2.CAP_PROP_N_THREADS, 1]  # each further one would hold back a frame
    return cv2.VideoCapture(request.target, cv2.CAP_FFMPEG, options)


def open_deinterlaced(request: Request, index: int) -> cv2.VideoCapture:
    """The same, each two fields made one picture by FFMPEG's filter; not opened where OpenCV comes without filters.

    Args:
        request: what to capture.
        index: of the frame that a file goes on with.
    """
    options = os.environ.get(OPTIONS, "").replace(";", "=").replace("|", ":")
    movie = f"movie={escaped(request.target)}" + (f":format_opts={escaped(options)}" if options else "")
    os.environ[OPTIONS] = "input_format;lavfi"
    source = cv2.VideoCapture(f"{movie},yadif=deint=interlaced", cv2.CAP_FFMPEG)
    for _ in range(0 if request.live else index):
        source.grab()
    return source


def escaped(value: str) -> str:
    """A value of a filter's option: once as a value, and once more as a part of a graph."""
    return re.sub(r"([\\'\[\],;])", r"\\\1", re.sub(r"([\\':])", r"\\\1", value))


def open_camera(request: Request) -> cv2.VideoCapture:
    """A local camera. It gives the nearest to what it is asked for, which is read back later."""
    if sys.platform == "darwin":
        camera = cv2.VideoCapture(int(request.target), cv2.CAP_AVFOUNDATION)
    elif sys.platform == "win32":
        camera = cv2.VideoCapture(int(request.target), cv2.CAP_MSMF)
    else:
        camera = cv2.VideoCapture(request.target, cv2.CAP_V4L2)
    if camera.isOpened():
        # First of all: without compression USB carries few pixels, and a size is refused that MJPG would allow.
        camera.set(cv2.CAP_PROP_FOURCC, int.from_bytes(b"MJPG", "little"))
        if request.size:
            camera.set(cv2.CAP_PROP_FRAME_WIDTH, request.size[0])
            camera.set(cv2.CAP_PROP_FRAME_HEIGHT, request.size[1])
        if request.fps:
            camera.set(cv2.CAP_PROP_FPS, request.fps)
    return camera


def describe(source: cv2.VideoCapture) -> dict[str, Any]:
    """What an open one says of itself: `size`, `codec`, `fps`, `frames`; each may be unknown."""
    width, height = (int(source.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    fps, frames = source.get(cv2.CAP_PROP_FPS), source.get(cv2.CAP_PROP_FRAME_COUNT)
    code = (int(source.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1").strip()
    return {
        "size": (width, height) if width > 0 and height > 0 else None,
        "codec": code if code.isascii() and code.isprintable() else "",
        "fps": round(fps, 3) if 0 < fps <= MOST_FPS else None,
        "frames": int(frames) if 0 < frames < 1e9 else None,
    }


def taken_ns(source: cv2.VideoCapture, request: Request) -> int:
    """When the frame that was just grabbed was taken, by `time.monotonic_ns()`; where nobody knows, now."""
    now = time.monotonic_ns()
    if request.backend == CAMERA and sys.platform == "linux":
        # V4L2 stamps a frame by the same clock when its exposure ends or its transfer starts.
        taken = int(source.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        if 0 <= now - taken < SECOND_NS:
            return taken
    return now


def as_bgr(image: np.ndarray) -> NDArray[np.uint8]:
    """Whatever a pipeline gives, uint8 or uint16 (H, W) or (H, W, 1, 3 or 4), as uint8 (H, W, 3).

    Raises:
        ValueError: it is of another kind, as what is packed otherwise.
    """
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels not in (1, 3, 4) or image.dtype != np.uint8:
        raise ValueError(
            f"its frames are {image.dtype} with {channels} channels: "
            "end the pipeline with ! videoconvert ! video/x-raw,format=BGR ! appsink"
        )
    if channels == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    elif channels == 4:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    result: NDArray[np.uint8] = image
    return result
